// A snapshot made ready to judge packets: the validated image in memory of its own, the
// environment, and what follows from both (which interface matches which test, which addresses are
// local).
//
// Immutable after `create`, shared by all workers, replaced as a whole.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "common/result.h"
#include "dataplane/classify/classifier.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/environment.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/routes.h"

namespace sluice::program {

class Runtime {
  public:
    // Copies and validates `image`. An image that is not valid, or a ruleset that needs more slots
    // than `slot_capacity`, is refused with a sentence that says why.
    static Result<std::unique_ptr<const Runtime>> create(std::span<const std::byte> image,
                                                         const packet::Environment& environment,
                                                         std::uint32_t slot_capacity);

    std::uint64_t generation() const { return view_.header().generation; }
    const contract::SnapshotView& view() const { return view_; }
    const packet::ParserSettings& parser_settings() const { return parser_settings_; }
    const classify::Classifier& classifier() const { return *classifier_; }
    const classify::LocalAddresses& local_addresses() const { return *local_addresses_; }
    const packet::Environment& environment() const { return environment_; }
    const Routes& routes() const { return *routes_; }

  private:
    struct alignas(contract::kSectionAlignment) Block {
        std::byte bytes[contract::kSectionAlignment];
    };

    Runtime() = default;

    std::vector<Block> image_;
    contract::SnapshotView view_;
    packet::Environment environment_;
    packet::ParserSettings parser_settings_;
    std::unique_ptr<const classify::LocalAddresses> local_addresses_;
    std::unique_ptr<const classify::Classifier> classifier_;
    std::unique_ptr<const Routes> routes_;
};

}  // namespace sluice::program
