#include "dataplane/program/tracer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "dataplane/program/actions.h"
#include "dataplane/program/residual_tests.h"
#include "dataplane/program/walk_rules.h"

namespace sluice::program {

namespace {

using contract::RuleAction;
using contract::RuleRecord;
using contract::TraceOutcome;
using contract::TraceStep;
namespace rule_flag = contract::rule_flag;
namespace trace_flag = contract::trace_flag;

constexpr std::uint32_t kNever = 0x7fffffff;  // as a draw: larger than any chance below 1

// Tables and sockets are asked, nothing is counted.
EngineOutputs outputs_for(const TraceWorld& world) {
    EngineOutputs outputs;
    outputs.tables = world.tables;
    outputs.worker = table::Store::kNobody;
    outputs.sockets = world.sockets;
    outputs.reader = world.runtime.payload_readers() - 1;
    return outputs;
}

bool same_flow(const state::StateCopy& copy, const state::FlowKey& key) {
    return copy.cell.protocol == key.protocol && copy.key.ip_version == key.ip_version &&
           copy.key.low() == key.low() && copy.key.high() == key.high() &&
           copy.key.low_port == key.low_port && copy.key.high_port == key.high_port;
}

class Tracer {
  public:
    Tracer(const TraceWorld& world, const packet::Packet& packet, contract::ChanceIs chance)
        : world_(world),
          runtime_(world.runtime),
          packet_(packet),
          draws_(chance),
          tests_(outputs_for(world), 0, &draws_),
          walk_{.runtime = world.runtime,
                .packet = packet,
                .key_of_headers = no_key_,
                .matches = no_matches_,
                .marks = marks_,
                .seen = &packet} {
        marks_.clear();
        tests_.begin_burst(runtime_);
    }

    Trace run() {
        const contract::Sysctls& sysctls = runtime_.view().sysctls();
        const bool enabled =
            packet_.headers.ip_version == 6 ? sysctls.enable6 != 0 : sysctls.enable != 0;
        if (!enabled)
            trace_.verdict = {.kind = Verdict::Kind::accept, .rule_number = 0};
        else if (packet_.malformed != contract::DropReason::none)
            trace_.verdict = {.kind = Verdict::Kind::deny, .reason = packet_.malformed};
        else
            walk_all();
        return std::move(trace_);
    }

  private:
    class Draws final : public RandomSource {
      public:
        explicit Draws(contract::ChanceIs chance) : chance_(chance) {}
        std::uint32_t draw(const packet::Packet&, std::uint32_t) override {
            asked = true;
            return chance_ == contract::ChanceIs::match ? 0 : kNever;
        }
        bool asked = false;

      private:
        contract::ChanceIs chance_;
    };

    // A walk, and a further one behind each tee, as the engine resumes.
    void walk_all() {
        if (runtime_.uses_states() && !world_.states.empty() && packet_.headers.ip_version != 0) {
            walk_.has_flow = true;
            walk_.key = state::flow_key(packet_.headers);
            find_states();
        }
        std::uint32_t from = 0;
        for (;;) {
            begin_walk();
            const Verdict verdict = walk_from(from);
            trace_.verdict = verdict;
            if (verdict.kind != Verdict::Kind::tee)
                return;
            walk_.tees = verdict.tees;
            from = behind(runtime_, verdict.rule_index);
        }
    }

    void begin_walk() {
        looked_for_.clear();
        may_go_back();
        walk_.parent = nullptr;
        walk_.names_left = walk_.has_flow ? runtime_.state_name_count() : 0;
        tests_.begin_burst(runtime_);
        tests_.begin_packet();
        if (marks_.has_dscp)
            see_changes(marks_, headers_to_change());
    }

    Verdict walk_from(std::uint32_t index) {
        const auto rules = runtime_.view().rules();
        for (;; ++index) {
            const RuleRecord& rule = rules[index];
            TraceStep step{.slot = rule.slot, .id = rule.id, .number = rule.number};
            draws_.asked = false;
            std::optional<std::uint32_t> next;
            const auto verdict = look_at(rule, index, step, next);
            if (draws_.asked)
                step.flags |= trace_flag::by_chance;
            if (!verdict && next && *next != index + 1)
                step.next_number = rules[std::min<std::size_t>(*next, rules.size() - 1)].number;
            tell(step);
            if (verdict)
                return *verdict;
            index = next.value_or(index + 1) - 1;
        }
    }

    void tell(const TraceStep& step) {
        if (trace_.steps.size() < contract::kMaximumTraceSteps)
            trace_.steps.push_back(step);
        else
            trace_.cut_short = true;
    }

    // One rule. `next`: where to go on, if not behind it.
    std::optional<Verdict> look_at(const RuleRecord& rule, std::uint32_t index, TraceStep& step,
                                   std::optional<std::uint32_t>& next) {
        const bool is_last = index + 1 == runtime_.view().rules().size();
        const bool looks = (rule.flags & rule_flag::probe) != 0 && walk_.names_left != 0 &&
                           !looked_for_.contains(rule.state_name);
        if (looks) {
            if (!tests_.may_look_for_state(walk_, rule, index)) {
                fail(step, header_blocks(rule) + first_that_bars(rule));
                return std::nullopt;
            }
            step.flags |= trace_flag::looked_for_state;
            if (const auto parent = look_for_state(rule.state_name, step)) {
                const RuleRecord& maker = runtime_.view().all_rules()[*parent];
                step.outcome = TraceOutcome::state_hit;
                step.parent_slot = maker.slot;
                step.parent_id = maker.id;
                step.parent_number = maker.number;
                if (misses_its_states(maker)) {
                    step.outcome = TraceOutcome::state_elsewhere;
                    next = behind(runtime_, *parent);
                    return std::nullopt;
                }
                return perform(*parent, step, next);
            }
        }
        if (const auto failed = first_header_failure(rule)) {
            fail(step, *failed);
            return std::nullopt;
        }
        if (!may_judge(rule, packet_)) {
            step.outcome = TraceOutcome::not_for_frames;
            if (is_last)
                return Verdict{.kind = Verdict::Kind::accept, .rule_number = 0};
            return std::nullopt;
        }
        if (rule.action == RuleAction::check_state) {
            step.outcome =
                looks || !walk_.has_flow ? TraceOutcome::no_state : TraceOutcome::looked_before;
            return std::nullopt;
        }
        const auto failed = tests_.first_failure(walk_, rule, index);
        if (walk_.refused != contract::DropReason::none)
            return refusal(rule, index, walk_.refused);
        if (failed) {
            fail(step, header_blocks(rule) + *failed);
            return std::nullopt;
        }
        if (rule.state != contract::StateOption::none && walk_.has_flow)
            if (const auto refused = make_state(rule, index, step))
                return refused;
        if ((rule.flags & rule_flag::defer) != 0) {
            step.outcome = TraceOutcome::deferred;
            return std::nullopt;
        }
        return perform(index, step, next);
    }

    // ---- Tests ----------------------------------------------------------------------------------

    static void fail(TraceStep& step, std::uint32_t block) {
        step.outcome = TraceOutcome::test_failed;
        step.test = block;
    }

    std::span<const contract::Instruction> tests_of(const RuleRecord& rule) const {
        return runtime_.view().instructions().subspan(rule.first_instruction,
                                                      rule.header_count + rule.residual_count);
    }

    std::uint32_t header_blocks(const RuleRecord& rule) const {
        std::uint32_t blocks = 0;
        for (const auto& test : tests_of(rule).first(rule.header_count))
            blocks += (test.flags & contract::kOrNext) == 0 ? 1 : 0;
        return blocks;
    }

    std::optional<std::uint32_t> first_header_failure(const RuleRecord& rule) const {
        std::uint32_t block = 0;
        bool matched = false;
        for (const auto& test : tests_of(rule).first(rule.header_count)) {
            matched = matched || runtime_.classifier().tests().matches(test, packet_);
            if ((test.flags & contract::kOrNext) != 0)
                continue;
            if (!matched)
                return block;
            matched = false;
            ++block;
        }
        return std::nullopt;
    }

    // Of a rule that may not look for states: its time is over, or chance is against it. Both stand
    // in front of the other residual tests, and alone in their blocks.
    std::uint32_t first_that_bars(const RuleRecord& rule) const {
        const auto residual = tests_of(rule).subspan(rule.header_count);
        std::uint32_t block = 0;
        for (const auto& test : residual) {
            if (test.opcode == contract::Opcode::not_expired &&
                packet_.now_ms / 1000 >= test.argument)
                return block;
            if (test.opcode == contract::Opcode::probability)
                return block;
            block += (test.flags & contract::kOrNext) == 0 ? 1 : 0;
        }
        return block;
    }

    // ---- States ---------------------------------------------------------------------------------

    void find_states() {
        for (const state::StateTable* table : world_.states) {
            for (state::CellIndex i = 0; i < table->used_cells(); ++i) {
                const auto copy = table->read(i);
                if (!copy || !state::is_state(copy->cell.kind) || !same_flow(*copy, walk_.key) ||
                    copy->cell.expires_s <= packet_.uptime_s)
                    continue;
                state::FlowKey key = walk_.key;
                key.from_low = copy->key.from_low;
                trace_.states.push_back(
                    {.key = key,
                     .name = copy->cell.name,
                     .rule_slot = copy->cell.rule_slot,
                     .rule_id = copy->cell.rule_id,
                     .made_s = copy->made_s,
                     .answered = (copy->cell.marks & state::mark::answered) != 0});
            }
        }
        std::erase_if(trace_.states, [&](const TracedState& state) {
            const auto rule = runtime_.rule_of_state(state.rule_slot, state.rule_id);
            return !rule || ResidualTests::has_expired(runtime_, *rule, packet_.now_ms);
        });
        std::stable_sort(trace_.states.begin(), trace_.states.end(),
                         [](const auto& a, const auto& b) { return a.made_s < b.made_s; });
        known_ = trace_.states;
        totals_ = world_.states.front()->totals();
    }

    // The newest one of the name.
    TracedState* known_state(std::uint32_t name) {
        TracedState* found = nullptr;
        for (TracedState& state : known_) {
            if (name != contract::kAnyStateName && state.name != name)
                continue;
            trace_.ambiguous |= found != nullptr && found->made_s == state.made_s;
            found = &state;
        }
        return found;
    }

    // Index of the rule whose action the packet gets.
    std::optional<std::uint32_t> look_for_state(std::uint32_t name, TraceStep& step) {
        looked_for_.insert(name);
        walk_.names_left = name == contract::kAnyStateName ? 0 : walk_.names_left - 1;
        TracedState* state = known_state(name);
        if (state == nullptr)
            return std::nullopt;
        const std::uint32_t index = *runtime_.rule_of_state(state->rule_slot, state->rule_id);
        walk_.parent = &runtime_.view().all_rules()[index];
        walk_.argument = {};
        walk_.forward = walk_.key.one_end || walk_.key.from_low == state->key.from_low;
        if (!walk_.forward) {
            step.flags |= trace_flag::reverse;
            totals_.unanswered -= state->answered ? 0 : 1;
            state->answered = true;
        }
        may_go_back();
        return index;
    }

    std::optional<Verdict> make_state(const RuleRecord& rule, std::uint32_t index,
                                      TraceStep& step) {
        if (known_state(rule.state_name) != nullptr) {
            step.flags |= trace_flag::has_state;
            return std::nullopt;
        }
        const contract::DropReason reason = why_not(rule);
        if (reason == contract::DropReason::none) {
            ++totals_.states;
            ++totals_.unanswered;
            step.flags |= trace_flag::makes_state;
            known_.push_back({.key = walk_.key,
                              .name = rule.state_name,
                              .rule_slot = rule.slot,
                              .rule_id = rule.id,
                              .made_s = packet_.uptime_s});
            return std::nullopt;
        }
        trace_.state_refused = true;
        if (reason == contract::DropReason::state_table_full &&
            passes_without_state(rule, runtime_.view().sysctls())) {
            step.flags |= trace_flag::without_state;
            return std::nullopt;
        }
        step.outcome = TraceOutcome::state_refused;
        ++trace_.counted[rule.slot];
        return refusal(rule, index, reason);
    }

    // A parent that is new takes a place, also if there is none left for its state.
    contract::DropReason why_not(const RuleRecord& rule) {
        using contract::DropReason;
        const contract::Sysctls& sysctls = runtime_.view().sysctls();
        if (rule.state == contract::StateOption::limit) {
            std::uint32_t most = rule.state_limit;
            if ((rule.flags & rule_flag::table_limit) != 0)
                most = std::min(walk_.argument.of(contract::TableField::limit), 65535u);
            const auto counted = children(rule);
            if (!counted && (totals_.parents >= sysctls.dyn_parent_max ||
                             totals_.states + totals_.parents >= sysctls.dyn_max))
                return DropReason::state_table_full;
            totals_.parents += counted ? 0 : 1;
            if (counted.value_or(0) >= most)
                return DropReason::state_limit;
        }
        return state::StateTable::is_full(totals_, sysctls) ? DropReason::state_table_full
                                                            : DropReason::none;
    }

    // That the limit of the rule counts already; none: nothing counts yet.
    std::optional<std::uint64_t> children(const RuleRecord& rule) const {
        const state::FlowKey wanted = state::masked_key(packet_.headers, rule.limit_mask);
        std::optional<std::uint64_t> sum;
        for (const state::StateTable* table : world_.states)
            for (state::CellIndex i = 0; i < table->used_cells(); ++i)
                if (const auto copy = table->read(i); copy && state::is_parent(copy->cell.kind) &&
                                                      copy->cell.rule_id == rule.id &&
                                                      same_flow(*copy, wanted))
                    sum = sum.value_or(0) + copy->cell.packets;
        return sum;
    }

    void may_go_back() { walk_.drawn_rule = kNoRule; }

    // ---- Actions --------------------------------------------------------------------------------

    std::optional<Verdict> perform(std::uint32_t index, TraceStep& step,
                                   std::optional<std::uint32_t>& next) {
        const RuleRecord& written = runtime_.view().all_rules()[index];
        const bool from_table = (written.flags & rule_flag::table_argument) != 0;
        RuleRecord rule = written;
        if (walk_.argument.value != nullptr) {
            step.flags |= trace_flag::found_entry;
            step.table_value = walk_.argument.of(argument_field(rule.action));
            step.table = last_table(written);
        }
        if (from_table || (rule.flags & rule_flag::table_tag) != 0)
            rule = with_argument(written, walk_.argument, packet_);
        if ((rule.flags & rule_flag::log) != 0)
            step.flags |= trace_flag::logs;
        next = behind(runtime_, index);
        if (!apply_tag(rule, marks_)) {
            ++trace_.counted[rule.slot];
            return refusal(rule, index, contract::DropReason::too_many_tags);
        }
        if (!acts(rule, packet_) || !stack_allows(rule)) {
            pass_over(step);
            return std::nullopt;
        }
        ++trace_.counted[rule.slot];
        return act(rule, index, from_table, *next);
    }

    static void pass_over(TraceStep& step) {
        if (step.outcome == TraceOutcome::matched)
            step.outcome = TraceOutcome::passed_over;
    }

    std::uint32_t last_table(const RuleRecord& rule) const {
        std::uint32_t table = 0;
        for (const auto& test : tests_of(rule))
            if (contract::is_table_test(test.opcode))
                table = test.argument;
        return table;
    }

    bool stack_allows(const RuleRecord& rule) const {
        return !(rule.action == RuleAction::call && marks_.call_depth == kMaximumCalls) &&
               !(rule.action == RuleAction::return_ && marks_.call_depth == 0);
    }

    std::optional<Verdict> act(const RuleRecord& rule, std::uint32_t index, bool from_table,
                               std::uint32_t& next) {
        switch (rule.action) {
            case RuleAction::count:
                return std::nullopt;
            case RuleAction::skipto:
                next = target_of(runtime_, rule, from_table);
                return std::nullopt;
            case RuleAction::call:
                if (marks_.calls == kMaximumCallsInAll)
                    return refusal(rule, index, contract::DropReason::too_many_calls);
                ++marks_.calls;
                marks_.callers[marks_.call_depth++] = rule.number;
                next = target_of(runtime_, rule, from_table);
                may_go_back();
                return std::nullopt;
            case RuleAction::return_:
                next = runtime_.first_rule_from(marks_.callers[--marks_.call_depth] + 1u);
                may_go_back();
                return std::nullopt;
            case RuleAction::setdscp:
                mark_packet(rule, packet_, marks_);
                see_changes(marks_, headers_to_change());
                return std::nullopt;
            case RuleAction::setfib:
            case RuleAction::tcp_setmss:
            case RuleAction::setmark:
                mark_packet(rule, packet_, marks_);
                return std::nullopt;
            case RuleAction::reass:
                if (!packet_.headers.is_fragment())
                    return std::nullopt;
                ++trace_.counted[rule.slot];
                break;
            default:
                break;
        }
        Verdict verdict = verdict_of(rule, index);
        verdict.tees = static_cast<std::uint8_t>(
            rule.action == RuleAction::tee ? walk_.tees + 1
                                           : (rule.action == RuleAction::reass ? walk_.tees : 0));
        if (from_table && rule.action == RuleAction::fwd) {
            verdict.next_hop = rule.next_hop;
            verdict.next_hop_family = static_cast<std::uint8_t>(rule.next_hop_family);
        }
        if (rule.action == RuleAction::tee && verdict.tees == kMaximumTees) {
            verdict.kind = Verdict::Kind::deny;
            verdict.reason = contract::DropReason::too_many_tees;
        }
        const bool is_parent = walk_.parent == &runtime_.view().all_rules()[index];
        if (rule.action == RuleAction::fwd && is_parent && !walk_.forward)
            verdict.kind = Verdict::Kind::accept;
        return verdict;
    }

    packet::Packet& headers_to_change() {
        if (walk_.seen != &changed_) {
            changed_ = packet_;
            walk_.seen = &changed_;
        }
        return changed_;
    }

    const TraceWorld& world_;
    const Runtime& runtime_;
    const packet::Packet& packet_;
    Draws draws_;
    ResidualTests tests_;
    classify::HeaderKey no_key_{};
    classify::Matches no_matches_{};
    PacketMarks marks_{};
    packet::Packet changed_;
    Walk walk_;
    std::set<std::uint32_t> looked_for_;
    std::vector<TracedState> known_;    // with those that the packet would make
    state::StateTable::Totals totals_;  // likewise
    Trace trace_;
};

}  // namespace

Trace trace(const TraceWorld& world, const packet::Packet& packet, contract::ChanceIs chance) {
    return Tracer(world, packet, chance).run();
}

contract::TraceVerdict to_contract(const Verdict& verdict, const Runtime& runtime,
                                   contract::TraceCheck check) {
    contract::TraceVerdict told;
    told.kind = static_cast<std::uint32_t>(verdict.kind);
    told.rule_number = verdict.rule_number;
    told.reason = static_cast<std::uint32_t>(verdict.reason);
    told.argument = verdict.argument;
    told.tees = verdict.tees;
    told.check = check;
    if (verdict.kind != Verdict::Kind::fwd)
        return told;
    const RuleRecord& rule = runtime.view().all_rules()[verdict.rule_index];
    told.next_hop_port = rule.next_hop_port;
    told.next_hop_family =
        verdict.next_hop_family != 0 ? verdict.next_hop_family : rule.next_hop_family;
    told.next_hop = verdict.next_hop_family != 0 ? verdict.next_hop : rule.next_hop;
    return told;
}

}  // namespace sluice::program
