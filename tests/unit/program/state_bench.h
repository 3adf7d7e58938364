// An engine with a shard of states, around rules given as text, some of them detached. The ruleset
// may be replaced while the states stay.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "dataplane/program/engine.h"
#include "dataplane/program/state_judge.h"
#include "dataplane/program/states.h"

namespace sluice::program {

// Draws what the test says, and counts how often it was asked.
class ScriptedRandom : public RandomSource {
  public:
    std::uint32_t draw(const packet::Packet&, std::uint32_t) override {
        ++draws;
        return value;
    }
    std::uint32_t value = 0;
    unsigned draws = 0;
};

class StateBench {
  public:
    static constexpr std::uint32_t kSlots = 64;

    explicit StateBench(const std::vector<std::string>& rules, contract::Sysctls sysctls = {},
                        packet::Environment environment = {})
        : sysctls_(sysctls),
          environment_(std::move(environment)),
          counters_(kSlots),
          annotations_(kSlots),
          ring_memory_(contract::log_ring_stride(kLogRecords) / sizeof(Line)),
          ring_(contract::LogRing::create(ring_memory_.data(), kLogRecords)) {
        auto states = state::StateTable::create({.cells = 4096,
                                                 .secret = {1, 2, 3, 4},
                                                 .counters = &worker_counters_,
                                                 .rules = counters_});
        EXPECT_TRUE(states);
        states_ = std::move(*states);
        engine_ = std::make_unique<Engine>(EngineOutputs{.counters = counters_.data(),
                                                         .annotations = annotations_.data(),
                                                         .slot_capacity = kSlots,
                                                         .log = ring_,
                                                         .log_dropped = nullptr,
                                                         .states = states_.get()},
                                           1, &random);
        load({.rules = rules});
    }

    struct Rules {
        std::vector<std::string> rules;
        std::vector<std::string> orphans = {};
        std::uint32_t disabled_sets = 0;
    };

    // A rule with the text of one loaded before is that rule: it keeps its slot and its id.
    void load(const Rules& given) {
        std::vector<language::Rule> parsed;
        for (const auto& list : {given.rules, given.orphans})
            for (const std::string& text : list) {
                auto rule = language::parse_rule(text, language::refusing_resolver());
                ASSERT_TRUE(rule) << text;
                parsed.push_back(*rule);
                slots_.try_emplace(text, static_cast<std::uint32_t>(slots_.size() + 2));
            }
        std::vector<compiler::RuleInput> inputs;
        for (const auto& list : {given.rules, given.orphans})
            for (const std::string& text : list)
                inputs.push_back({.rule = &parsed[inputs.size()], .slot = slots_.at(text)});
        const std::span<const compiler::RuleInput> all(inputs);
        const auto image = compiler::compile({.rules = all.first(given.rules.size()),
                                              .sysctls = sysctls_,
                                              .generation = ++generation_,
                                              .disabled_sets = given.disabled_sets,
                                              .orphans = all.subspan(given.rules.size())});
        ASSERT_TRUE(image) << image.error().message;
        auto runtime = Runtime::create(*image, environment_, kSlots);
        ASSERT_TRUE(runtime) << runtime.error().message;
        runtime_ = std::move(*runtime);
    }

    Verdict pass(packet::Packet packet) {
        packet.uptime_s = now_s;
        Verdict verdict;
        marks_.clear();
        engine_->filter(*runtime_, {&packet, 1}, {&verdict, 1}, {&marks_, 1});
        return verdict;
    }
    Verdict resume(packet::Packet packet, const Verdict& verdict) {
        packet.uptime_s = now_s;
        return engine_->resume(*runtime_, packet, verdict, marks_);
    }

    Verdict enter(packet::Packet packet, unsigned number) {
        packet.uptime_s = now_s;
        return engine_->enter(*runtime_, packet, number, marks_);
    }

    void tend() {
        while (engine_->tend_states(*runtime_, now_s, nullptr)) {
        }
    }

    std::uint64_t kill(const contract::StateFilter& filter) {
        Engine::Killed killed;
        std::uint64_t sum = 0;
        do {
            killed = engine_->kill_states(*runtime_, filter, now_s, killed.next);
            sum += killed.states;
        } while (!killed.done);
        return sum;
    }

    // Has all states judged anew, and carries out what comes of it.
    struct Rechecked {
        std::uint64_t kept = 0, moved = 0, killed = 0;
        bool operator==(const Rechecked&) const = default;
    };
    Rechecked recheck(const route::Fib* fib = nullptr) {
        Rechecked result;
        const auto judge = StateJudge::create({.runtime = *runtime_, .fib = fib});
        EXPECT_TRUE(judge);
        std::vector<StateDecision> decisions;
        for (state::CellIndex i = 0; i < states_->used_cells(); ++i) {
            const auto state = states_->read(i);
            if (!state || !state::is_state(state->cell.kind))
                continue;
            StateDecision decision{.cell = i,
                                   .key = state->key,
                                   .name = state->cell.name,
                                   .rule_id = state->cell.rule_id};
            if (const auto rule = (*judge)->judge(*state)) {
                decision.next_slot = runtime_->view().all_rules()[*rule].slot;
                decision.next_id = runtime_->view().all_rules()[*rule].id;
            }
            if (decision.next_id == decision.rule_id)
                ++result.kept;
            else
                decisions.push_back(decision);
        }
        const SettledStates settled = settle_states(*states_, *runtime_, decisions, now_s);
        result.moved = settled.moved;
        result.killed = settled.killed;
        return result;
    }
    std::optional<std::uint32_t> judge(const state::StateCopy& state) const {
        return (*StateJudge::create({.runtime = *runtime_}))->judge(state);
    }
    SettledStates settle(const StateDecision& decision) {
        return settle_states(*states_, *runtime_, {&decision, 1}, now_s);
    }
    state::StateCopy state(state::CellIndex cell) const { return *states_->read(cell); }

    // Packets that the rule with this text has counted.
    std::uint64_t counted(const std::string& text) const {
        return counters_[slots_.at(text)].packets;
    }
    std::uint64_t states_of(const std::string& text) const {
        return counters_[slots_.at(text)].states;
    }
    std::uint64_t states() const { return worker_counters_.states; }
    std::vector<contract::StateRecord> listed(const contract::StateFilter& filter = {}) const {
        std::vector<contract::StateRecord> records;
        append_states(*states_, *runtime_, filter, now_s, 7, records);
        return records;
    }

    // The lines that have been logged since the last call.
    std::vector<contract::LogKind> logged() {
        std::vector<contract::LogKind> kinds;
        for (contract::LogRecord record; ring_.pop(record);)
            kinds.push_back(record.kind);
        return kinds;
    }

    std::uint32_t now_s = 100;
    ScriptedRandom random;

  private:
    static constexpr std::uint32_t kLogRecords = 64;
    struct alignas(64) Line {
        std::byte bytes[64];
    };

    contract::Sysctls sysctls_;
    packet::Environment environment_;
    contract::WorkerCounters worker_counters_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    std::vector<Line> ring_memory_;
    contract::LogRing ring_;
    std::map<std::string, std::uint32_t> slots_;
    std::uint64_t generation_ = 0;
    std::unique_ptr<const Runtime> runtime_;
    std::unique_ptr<state::StateTable> states_;
    std::unique_ptr<Engine> engine_;
    PacketMarks marks_;
};

}  // namespace sluice::program
