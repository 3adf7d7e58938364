// A snapshot made ready to judge packets: the validated image in memory of its own, the
// environment, and what follows from both (which interface matches which test, which addresses are
// local).
//
// Immutable after `create`, shared by all workers, replaced as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/result.h"
#include "dataplane/classify/classifier.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/environment.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/routes.h"
#include "dataplane/state/flow_key.h"

namespace sluice::program {

class Runtime {
  public:
    // Copies and validates `image`. An image that is not valid, or a ruleset that needs more slots
    // than `slot_capacity`, is refused with a sentence that says why. `live` is the forwarding
    // table of a gateway and outlives the runtime; without one, rules that ask for routes ask a
    // table made from the environment.
    static Result<std::unique_ptr<const Runtime>> create(std::span<const std::byte> image,
                                                         const packet::Environment& environment,
                                                         std::uint32_t slot_capacity,
                                                         const route::Fib* live = nullptr);

    std::uint64_t generation() const { return view_.header().generation; }
    const contract::SnapshotView& view() const { return view_; }
    const packet::ParserSettings& parser_settings() const { return parser_settings_; }
    const classify::Classifier& classifier() const { return *classifier_; }
    const classify::LocalAddresses& local_addresses() const { return *local_addresses_; }
    const packet::Environment& environment() const { return environment_; }
    const Routes& routes() const { return *routes_; }

    // What most packets need to know of a rule, in one place.
    struct RuleSummary {
        std::uint32_t slot = 0;
        std::uint16_t number = 0;
        std::uint16_t action_number = 0;
        std::uint16_t mtu = 0;
        contract::RuleAction action = contract::RuleAction::deny;
        // The action is counted and ends the walk, and that is all.
        bool acts_plainly = false;
        // A match leads to the action and to nothing else.
        bool plain = false;
        bool link_layer = false;
        std::uint32_t state_lifetime_s = 0;
    };
    // By index, the live ones.
    std::span<const RuleSummary> summaries() const { return summaries_; }

    // A rule that looks for a state before its tests are run.
    struct Probe {
        std::uint32_t rule = 0;          // index
        std::uint32_t name = 0;          // contract::kAnyStateName: any
        std::uint32_t name_ordinal = 0;  // 0… state_name_count() - 1
    };

    // A ruleset that looks for states under more names is refused.
    static constexpr std::size_t kMaximumStateNames = 1024;

    // In the order of the rules.
    std::span<const Probe> probes() const { return probes_; }
    // The first probe at or behind a rule.
    std::size_t probe_behind(std::uint32_t rule) const;
    std::uint32_t state_name_count() const { return state_name_count_; }
    // Some rule makes states or looks for them. Without one, nobody needs to know flows.
    bool uses_states() const { return uses_states_; }
    // Some rule puts fragments together. Then all packets between two hosts have one owner.
    bool uses_reassembly() const { return uses_reassembly_; }
    // The worker that a packet belongs to. REQUIRES: the packet is IP.
    unsigned owner_of(const packet::Headers& headers, const state::OwnerHash& hash,
                      unsigned workers) const {
        return state::OwnerHash::worker_of(
            uses_reassembly_ ? hash.of_addresses(headers) : hash(headers), workers);
    }
    // Index in all_rules() of the rule that a state belongs to; none: it has been deleted.
    std::optional<std::uint32_t> rule_of_state(std::uint32_t slot, std::uint32_t id) const;
    // Index of the first live rule that has this number or a higher one; else of the default rule.
    std::uint32_t first_rule_from(unsigned number) const;

  private:
    void index_rules(std::uint32_t slot_capacity);
    // Some rule, a detached one included, asks for routes.
    bool asks_for_routes() const;

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
    std::unique_ptr<const route::Fib> own_fib_;  // null: there is a live one, or nobody asks
    std::unique_ptr<const Routes> routes_;
    std::vector<RuleSummary> summaries_;
    std::vector<Probe> probes_;
    std::uint32_t state_name_count_ = 0;
    bool uses_states_ = false;
    bool uses_reassembly_ = false;
    std::vector<std::uint32_t> rule_by_slot_;
};

}  // namespace sluice::program
