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
#include "dataplane/payload/object.h"
#include "dataplane/program/routes.h"
#include "dataplane/route/fib.h"
#include "dataplane/state/flow_key.h"

namespace sluice::program {

// What a match leads to, where that is all there is to it.
enum class Outcome : std::uint8_t {
    walk,    // more has to be found out
    accept,  // the rule is counted, the packet let through
    deny,    // the rule is counted, the packet dropped
    answer,  // likewise, and the sender told
    look,    // its payload is to be looked into; if that matches, it is as QuickRule::hit says
};

// Whether that is all there is to it, for any packet that headers tell of.
constexpr bool is_final(Outcome outcome) {
    return outcome != Outcome::walk && outcome != Outcome::look;
}

// All that most packets need to know of a rule; small, so that those of many rules stay in the
// cache.
struct QuickRule {
    std::uint32_t slot = 0;
    Outcome matched = Outcome::walk;  // when its header tests match
    Outcome hit = Outcome::walk;      // when one of its states is hit, or a look has matched
};
static_assert(sizeof(QuickRule) == 8);

// The rule that states belong to whose cells name a slot.
struct StateParent {
    std::uint32_t id = 0;     // 0, which no state has: there is none
    std::uint32_t index = 0;  // in all_rules()
    std::uint32_t lifetime_s = 0;
    bool may_expire = false;
    Outcome hit = Outcome::walk;
};
static_assert(sizeof(StateParent) == 16);

class Runtime;

// What helps to make a Runtime, or is shared with others.
struct RuntimeAids {
    // Whose trees are taken as a plan, because hardly a rule has changed; it need not live on.
    const Runtime* previous = nullptr;
    // The routes that verrevpath and the like ask, which change under the rules and outlive the
    // Runtime. Null: those of the environment.
    const route::Fib* fib = nullptr;
    // Whoever looks into payload: the workers, and behind them, the last reader, the thread that
    // traces.
    payload::Matcher::Capacity payload = {};
};

class Runtime {
  public:
    // Copies and validates `image`. An image that is not valid, or a ruleset that needs more slots
    // than `slot_capacity`, is refused with a sentence that says why. `live` is the forwarding
    // table of a gateway and outlives the runtime; without one, rules that ask for routes ask a
    // table made from the environment.
    static Result<std::unique_ptr<const Runtime>> create(std::span<const std::byte> image,
                                                         const packet::Environment& environment,
                                                         std::uint32_t slot_capacity,
                                                         const RuntimeAids& aids = {});

    // Another one for each Runtime, and never 0.
    std::uint64_t serial() const { return serial_; }
    std::uint64_t generation() const { return view_.header().generation; }
    const contract::SnapshotView& view() const { return view_; }
    // The bytes that it was made from.
    std::span<const std::byte> image() const {
        return {image_.front().bytes, static_cast<std::size_t>(view_.header().size)};
    }
    const packet::ParserSettings& parser_settings() const { return parser_settings_; }
    const classify::Classifier& classifier() const { return *classifier_; }
    const classify::LocalAddresses& local_addresses() const { return *local_addresses_; }
    const packet::Environment& environment() const { return environment_; }
    const Routes& routes() const { return *routes_; }
    // As the snapshot has them.
    std::span<const payload::Object> payload_objects() const { return payload_objects_; }
    unsigned payload_readers() const { return payload_readers_; }

    // By index, the live ones.
    std::span<const QuickRule> quick_rules() const { return quick_rules_; }
    // The test of a rule that looks into payload. REQUIRES: its QuickRule says so.
    const contract::Instruction& look_of(std::uint32_t rule) const {
        const contract::RuleRecord& record = view_.rules()[rule];
        return view_.instructions()[record.first_instruction + record.header_count];
    }
    // REQUIRES: slot < the slot_capacity that the Runtime was made for.
    const StateParent& state_parent(std::uint32_t slot) const { return state_parents_[slot]; }
    // The rule that all IP packets meet, if there is but one that needs no walk and tells nobody.
    std::optional<std::uint32_t> only_rule() const { return only_rule_; }
    // Packets are judged at all: `enable` and `enable6`.
    bool judges_everything() const { return judges_everything_; }

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
    // Some rule, a detached one included, asks for the owner of a socket.
    bool asks_for_sockets() const { return asks_for_sockets_; }
    // The worker that a packet belongs to. REQUIRES: the packet is IP.
    template <typename HeadersOrGlance>
    unsigned owner_of(const HeadersOrGlance& headers, const state::OwnerHash& hash,
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
    void find_only_rule();
    Result<Done> load_patterns(const RuntimeAids& aids);
    // Some rule, a detached one included, asks for routes.
    bool asks_for_routes() const;

    struct alignas(contract::kSectionAlignment) Block {
        std::byte bytes[contract::kSectionAlignment];
    };

    Runtime();

    std::uint64_t serial_;
    std::vector<Block> image_;
    contract::SnapshotView view_;
    packet::Environment environment_;
    packet::ParserSettings parser_settings_;
    std::unique_ptr<const classify::LocalAddresses> local_addresses_;
    std::unique_ptr<const classify::Classifier> classifier_;
    std::unique_ptr<const route::Fib> own_fib_;  // null: there is a live one, or nobody asks
    std::unique_ptr<const Routes> routes_;
    std::vector<payload::Object> payload_objects_;
    unsigned payload_readers_ = 1;
    std::vector<QuickRule> quick_rules_;
    std::vector<StateParent> state_parents_;  // by slot
    std::optional<std::uint32_t> only_rule_;
    bool judges_everything_ = true;
    std::vector<Probe> probes_;
    std::uint32_t state_name_count_ = 0;
    bool uses_states_ = false;
    bool uses_reassembly_ = false;
    bool asks_for_sockets_ = false;
};

}  // namespace sluice::program
