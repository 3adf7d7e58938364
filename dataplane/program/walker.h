// The way of one packet through the rules that match it, as ipfw(8) has it: for each in order
// chance and other residual tests, log line, tag, counters, action. `skipto` moves on, `call` and
// `return` move anywhere, `count` and what marks the packet go on, the rest ends the walk.
//
// States. A rule with `probe` looks for the packet's state before its tests are run; a hit jumps to
// the action of the rule that made the state. Each name is looked for once in a walk.
//
// Threads: belongs to the engine of one worker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/program/outputs.h"
#include "dataplane/program/residual_tests.h"
#include "dataplane/program/rule_log.h"
#include "dataplane/program/runtime.h"
#include "dataplane/program/verdict.h"
#include "dataplane/program/walk.h"

namespace sluice::program {

class Walker {
  public:
    // As in Engine: `random` may be null.
    Walker(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random);

    // What tables hold and how long states live does not change within a burst …
    void begin_burst(const Runtime& runtime) {
        tests_.begin_burst(runtime);
        if (runtime.uses_states() && outputs_.states != nullptr)
            lifetimes_ =
                state::Lifetimes::of(runtime.view().sysctls(), outputs_.states->totals().states);
    }
    // … and tables are asked anew when a packet of it comes back.
    void begin_again(const Runtime& runtime) { tests_.begin_burst(runtime); }
    // The packets that come next, for what is better looked up for all of them at once.
    void look_ahead(std::span<const classify::HeaderKey> keys) { tests_.look_ahead(keys); }

    // What was found in a packet is kept until the next one begins.
    void begin_packet() { tests_.begin_packet(); }
    PayloadTests& payload() { return tests_.payload(); }

    // From the rule `from` on. REQUIRES: begin_burst was called with the walk's ruleset, and
    // begin_packet for its packet.
    Verdict walk(Walk& walk, std::uint32_t from);

    struct LiveHit {
        state::Hit state;
        const StateParent* rule = nullptr;  // null: there is none
    };
    // A state whose rule has gone is removed where it is met. REQUIRES: there is a state table.
    LiveHit find_state(const Runtime& runtime, const state::FlowKey& key, state::FlowHash hash,
                       state::CellIndex guess, std::uint32_t name, std::uint32_t uptime_s,
                       std::uint64_t now_ms) {
        state::StateTable& states = *outputs_.states;
        while (const auto hit = states.find(key, hash, guess, name, uptime_s)) {
            const state::Cell& cell = states.cell(hit->cell);
            const StateParent& rule = runtime.state_parent(cell.rule_slot);
            if (rule.id == cell.rule_id &&
                (!rule.may_expire || !ResidualTests::has_expired(runtime, rule.index, now_ms)))
                return {.state = *hit, .rule = &rule};
            states.remove(hit->cell);
        }
        return {};
    }

    // How long states live, in this burst.
    const state::Lifetimes& lifetimes() const { return lifetimes_; }
    // The lines of what no rule sees.
    RuleLog& log() { return log_; }

  private:
    struct Step {
        std::optional<Verdict> verdict;
        std::uint32_t next = 0;  // the rule to go on with, without a verdict
    };

    // The next rule that looks for a state under a name that this walk has not looked for.
    const Runtime::Probe* next_probe(Walk& walk, std::uint32_t from) const;
    // Index of the rule whose action the packet gets.
    std::optional<std::uint32_t> look_for_state(Walk& walk, const Runtime::Probe& probe);
    LiveHit find_state(const Walk& walk, std::uint32_t name) {
        return find_state(walk.runtime, walk.key, walk.hash, walk.guess, name, walk.packet.uptime_s,
                          walk.packet.now_ms);
    }
    // A verdict: the state cannot be made, and the packet is dropped for that.
    std::optional<Verdict> make_state(Walk& walk, const contract::RuleRecord& rule,
                                      std::uint32_t index);
    // Log, counters and action of a rule that has matched, or that made the state that was hit.
    Step perform(Walk& walk, std::uint32_t index);
    // A call that is too deep and a return without a call are passed over, uncounted.
    bool stack_allows(const Walk& walk, const contract::RuleRecord& rule);
    // The copy of the packet that the rest of the walk sees.
    packet::Packet& headers_to_change(Walk& walk);
    void count(const packet::Packet& packet, std::uint32_t slot);

    EngineOutputs outputs_;
    ResidualTests tests_;
    RuleLog log_;
    // By ordinal of the name: the walk that looked for it last.
    std::array<std::uint64_t, Runtime::kMaximumStateNames> looked_for_{};
    std::uint64_t walk_number_ = 0;
    state::Lifetimes lifetimes_;
    packet::Packet changed_;  // of the walk that goes on, if a rule changes headers
};

}  // namespace sluice::program
