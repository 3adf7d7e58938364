// A file of the history may hold anything: it is read, or refused in words. What is taken as a
// ruleset makes one whose text makes the same one again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/history/file_format.h"
#include "controlplane/ruleset/ruleset_text.h"
#include "controlplane/service/restoring_request.h"
#include "controlplane/service/script.h"

using namespace sluice;

namespace {

std::optional<ruleset::Ruleset> restored(std::string_view text) {
    const ruleset::Ruleset empty(false);
    const auto request = service::restoring_request(text, 10, empty.tables(), {});
    if (!request) {
        if (request.error().message.empty())
            std::abort();
        return std::nullopt;
    }
    auto outcome =
        service::run_script(*request, empty, [](std::uint32_t) { return service::RuleTotals(); });
    if (!outcome && outcome.error().error.message.empty())
        std::abort();
    return outcome ? std::optional(std::move(outcome->ruleset)) : std::nullopt;
}

void read_text(std::string_view text) {
    const auto rules = restored(text);
    if (!rules)
        return;
    const std::string printed = ruleset::ruleset_text(*rules);
    const auto again = restored(printed);
    if (!again || ruleset::ruleset_text(*again) != printed)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto header = history::read_header(bytes.substr(0, history::kMaximumHeader));
    if (!header) {
        if (header.error().message.empty())
            std::abort();
        read_text(bytes);
        return 0;
    }
    const std::string_view text = bytes.substr(header->size);
    if (history::wrong_with(*header, text) == nullptr &&
        history::header_of(header->entry, text) != bytes.substr(0, header->size))
        std::abort();
    read_text(text);
    return 0;
}
