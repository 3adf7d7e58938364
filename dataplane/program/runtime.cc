#include "dataplane/program/runtime.h"

#include <cstring>
#include <string>

namespace sluice::program {

Result<std::unique_ptr<const Runtime>> Runtime::create(std::span<const std::byte> image,
                                                       const packet::Environment& environment,
                                                       std::uint32_t slot_capacity) {
    if (image.size() > contract::kSnapshotMaximumSize ||
        image.size() % contract::kSectionAlignment != 0)
        return Error{ExitStatus::data, "the snapshot has " + std::to_string(image.size()) +
                                           " bytes: more than allowed, or not a multiple of 64"};
    if (environment.interfaces.size() > packet::kMaximumInterfaces)
        return Error{ExitStatus::data, "there are " +
                                           std::to_string(environment.interfaces.size()) +
                                           " interfaces; the engine knows at most " +
                                           std::to_string(packet::kMaximumInterfaces)};
    std::unique_ptr<Runtime> runtime(new Runtime);
    runtime->image_.resize(image.size() / sizeof(Block));
    if (!image.empty())
        std::memcpy(runtime->image_.data(), image.data(), image.size());
    auto view =
        contract::SnapshotView::validate(std::as_bytes(std::span<const Block>(runtime->image_)));
    if (!view)
        return view.error();
    runtime->view_ = *view;
    for (const contract::RuleRecord& rule : view->rules())
        if (rule.slot >= slot_capacity)
            return Error{ExitStatus::unavailable,
                         "rule " + std::to_string(rule.number) + " needs counter slot " +
                             std::to_string(rule.slot) + ", there are " +
                             std::to_string(slot_capacity) +
                             "; raise slot_capacity in the settings of the data plane"};
    runtime->environment_ = environment;
    runtime->parser_settings_ = {
        .deny_unknown_extension_headers = view->sysctls().deny_unknown_exthdrs != 0,
        .permit_single_fragment6 = view->sysctls().permit_single_frag6 != 0};
    runtime->local_addresses_ = std::make_unique<classify::LocalAddresses>(runtime->environment_);
    runtime->classifier_ = std::make_unique<classify::Classifier>(
        runtime->view_, runtime->environment_, *runtime->local_addresses_);
    runtime->routes_ = std::make_unique<Routes>(runtime->environment_);
    return std::unique_ptr<const Runtime>(std::move(runtime));
}

}  // namespace sluice::program
