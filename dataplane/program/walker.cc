#include "dataplane/program/walker.h"

#include <algorithm>

#include "dataplane/program/actions.h"
#include "dataplane/program/walk_rules.h"

namespace sluice::program {

namespace {

using contract::RuleAction;
using contract::RuleRecord;
using packet::Packet;

RuleRecord with_table_limit(const Walk& walk, RuleRecord rule) {
    rule.state_limit =
        static_cast<std::uint16_t>(std::min(walk.argument.of(contract::TableField::limit), 65535u));
    return rule;
}

// After a call, a return or a state a rule may be met again, and looks and draws again.
void may_go_back(Walk& walk) {
    walk.next_probe = 0;
    walk.drawn_rule = kNoRule;
}

// The first rule at or behind `from` whose header tests match, or `until` if none before it
// does.
std::uint32_t next_match(Walk& walk, std::uint32_t from, std::uint32_t until) {
    const classify::Classifier& classifier = walk.runtime.classifier();
    classify::Matches& matches = walk.matches;
    for (; from < std::min(until, walk.listed_from); ++from)
        if (classifier.tests().rule_matches(from, walk.packet))
            return from;
    // Each turn moves `from` forward.
    while (from < until) {
        const bool told = walk.matches_from <= from && from < matches.end;
        if (!told) {
            classifier.classify({&walk.key_of_headers, 1}, from, {&matches, 1});
            walk.matches_from = from;
        }
        if (!told || from < walk.asked_from)
            walk.next_match = 0;
        walk.asked_from = from;
        std::uint32_t found = until;
        for (; walk.next_match < matches.count; ++walk.next_match) {
            const std::uint32_t match = matches.rules[walk.next_match];
            const std::uint32_t index = match & ~classify::Matches::kUnverified;
            if (index < from)
                continue;
            if (index >= until)
                return until;
            if (match == index || classifier.tests().rule_matches(index, walk.packet)) {
                found = index;
                break;
            }
        }
        if (found < until)
            return found;
        from = matches.end;
    }
    return until;
}

}  // namespace

Walker::Walker(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random)
    : outputs_(outputs), tests_(outputs, seed, random), log_(outputs) {}

Verdict Walker::walk(Walk& walk, std::uint32_t from) {
    const Runtime& runtime = walk.runtime;
    const Packet& packet = walk.packet;
    const auto rules = runtime.view().rules();
    const auto default_index = static_cast<std::uint32_t>(rules.size() - 1);
    ++walk_number_;
    if (walk.marks.has_dscp)
        see_changes(walk.marks, headers_to_change(walk));
    walk.names_left = walk.has_flow ? runtime.state_name_count() : 0;
    // Every turn moves forward, but for a state that was hit: that happens once for each name.
    for (std::uint32_t index = from;; ++index) {
        const Runtime::Probe* probe = next_probe(walk, index);
        const std::uint32_t until = probe != nullptr ? probe->rule : default_index;
        index = next_match(walk, index, until);
        if (probe != nullptr && index == probe->rule) {
            if (!tests_.may_look_for_state(walk, rules[index], index))
                continue;
            if (const auto parent = look_for_state(walk, *probe)) {
                if (misses_its_states(runtime.view().all_rules()[*parent])) {
                    index = behind(runtime, *parent) - 1;
                    continue;
                }
                const Step step = perform(walk, *parent);
                if (step.verdict)
                    return *step.verdict;
                index = step.next - 1;
                continue;
            }
            if (next_match(walk, index, index + 1) != index)
                continue;
        }
        const RuleRecord& rule = rules[index];
        if (!may_judge(rule, packet)) {
            if (index == default_index)
                return {.kind = Verdict::Kind::accept, .rule_number = 0};
            continue;
        }
        if (rule.action == RuleAction::check_state)
            continue;
        const bool matches = tests_.match(walk, rule, index);
        if (walk.refused != contract::DropReason::none)
            return refusal(rule, index, walk.refused);
        if (!matches)
            continue;
        if (rule.state != contract::StateOption::none && walk.has_flow) {
            if (const auto refused = make_state(walk, rule, index))
                return *refused;
        }
        if ((rule.flags & contract::rule_flag::defer) != 0)
            continue;
        const Step step = perform(walk, index);
        if (step.verdict)
            return *step.verdict;
        index = step.next - 1;
    }
}

// ---- States ------------------------------------------------------------------------------------

// The next rule that looks for a state under a name that this walk has not looked for.
const Runtime::Probe* Walker::next_probe(Walk& walk, std::uint32_t from) const {
    if (walk.names_left == 0)
        return nullptr;
    const auto probes = walk.runtime.probes();
    std::size_t& at = walk.next_probe;
    if (at < probes.size() && probes[at].rule < from)
        at = walk.runtime.probe_behind(from);
    while (at < probes.size() && looked_for_[probes[at].name_ordinal] == walk_number_)
        ++at;
    return at < probes.size() ? &probes[at] : nullptr;
}

// Index of the rule whose action the packet gets.
std::optional<std::uint32_t> Walker::look_for_state(Walk& walk, const Runtime::Probe& probe) {
    looked_for_[probe.name_ordinal] = walk_number_;
    walk.names_left = probe.name == contract::kAnyStateName ? 0 : walk.names_left - 1;
    const LiveHit hit = find_state(walk, probe.name);
    if (hit.rule == nullptr)
        return std::nullopt;
    const RuleRecord& parent = walk.runtime.view().all_rules()[hit.rule->index];
    // A packet that a program has given back must not come to it again and again.
    if (parent.action == RuleAction::divert && parent.number <= walk.came_back_behind)
        return std::nullopt;
    outputs_.states->hit(hit.state, walk.packet, lifetimes_.with(parent.state_lifetime_s));
    walk.parent = &parent;
    walk.argument = {};  // a state has found no entry
    walk.forward = hit.state.forward;
    may_go_back(walk);
    return hit.rule->index;
}

// A verdict: the state cannot be made, and the packet is dropped for that.
std::optional<Verdict> Walker::make_state(Walk& walk, const RuleRecord& rule, std::uint32_t index) {
    if (find_state(walk, rule.state_name).rule != nullptr)
        return std::nullopt;
    const contract::Sysctls& sysctls = walk.runtime.view().sysctls();
    std::optional<RuleRecord> limited;
    if ((rule.flags & contract::rule_flag::table_limit) != 0)
        limited = with_table_limit(walk, rule);
    const state::Creation result =
        outputs_.states->create(walk.key, walk.hash, limited ? *limited : rule, walk.packet,
                                sysctls, lifetimes_.with(rule.state_lifetime_s));
    if (result == state::Creation::made)
        return std::nullopt;
    const bool limit = result == state::Creation::limit_reached;
    const state::StateTable::Totals totals = outputs_.states->totals();
    if (!limit || sysctls.verbose != 0)
        log_.state_refused(
            walk.packet, rule,
            limit ? contract::LogKind::state_limit : contract::LogKind::state_table_full,
            totals.states + totals.parents);
    if (!limit && passes_without_state(rule, sysctls)) {
        if (outputs_.without_state != nullptr)
            contract::add(*outputs_.without_state, 1);
        return std::nullopt;
    }
    // The rule that ends the walk is counted, although its action is not carried out.
    count(walk.packet, rule.slot);
    return Verdict{.kind = Verdict::Kind::deny,
                   .reason = limit ? contract::DropReason::state_limit
                                   : contract::DropReason::state_table_full,
                   .rule_number = rule.number,
                   .rule_index = index};
}

// ---- Actions -----------------------------------------------------------------------------------

// Log, counters and action of a rule that has matched, or that made the state that was hit.
Walker::Step Walker::perform(Walk& walk, std::uint32_t index) {
    const auto rules = walk.runtime.view().all_rules();
    const bool from_table = (rules[index].flags & contract::rule_flag::table_argument) != 0;
    std::optional<RuleRecord> replaced;
    if (from_table || (rules[index].flags & contract::rule_flag::table_tag) != 0)
        replaced = with_argument(rules[index], walk.argument, walk.packet);
    const RuleRecord& rule = replaced ? *replaced : rules[index];
    PacketMarks& marks = walk.marks;
    Step step{.verdict = std::nullopt, .next = behind(walk.runtime, index)};
    if ((rule.flags & contract::rule_flag::log) != 0)
        log_.matched(walk.runtime.view().sysctls(), walk.packet, rule);
    if (!apply_tag(rule, marks)) {
        count(walk.packet, rule.slot);
        step.verdict = refusal(rule, index, contract::DropReason::too_many_tags);
        return step;
    }
    if (!acts(rule, walk.packet) || !stack_allows(walk, rule))
        return step;
    count(walk.packet, rule.slot);
    switch (rule.action) {
        case RuleAction::count:
            return step;
        case RuleAction::skipto:
            step.next = target_of(walk.runtime, rule, from_table);
            return step;
        case RuleAction::call:
            if (marks.calls == kMaximumCallsInAll) {
                step.verdict = refusal(rule, index, contract::DropReason::too_many_calls);
                return step;
            }
            ++marks.calls;
            marks.callers[marks.call_depth++] = rule.number;
            step.next = target_of(walk.runtime, rule, from_table);
            may_go_back(walk);
            return step;
        case RuleAction::return_:
            // Behind all rules of the caller's number.
            step.next = walk.runtime.first_rule_from(marks.callers[--marks.call_depth] + 1u);
            may_go_back(walk);
            return step;
        case RuleAction::setdscp:
            mark_packet(rule, walk.packet, marks);
            see_changes(marks, headers_to_change(walk));
            return step;
        case RuleAction::setfib:
        case RuleAction::tcp_setmss:
        case RuleAction::setmark:
            mark_packet(rule, walk.packet, marks);
            return step;
        case RuleAction::reass:
            if (!walk.packet.headers.is_fragment())
                return step;
            // ip_fw2.c counts a fragment when it meets the rule, and when it is kept.
            count(walk.packet, rule.slot);
            step.verdict = verdict_of(rule, index);
            step.verdict->tees = static_cast<std::uint8_t>(walk.tees);
            return step;
        default:
            break;
    }
    step.verdict = verdict_of(rule, index);
    if (from_table && rule.action == RuleAction::fwd) {
        step.verdict->next_hop = rule.next_hop;
        step.verdict->next_hop_family = static_cast<std::uint8_t>(rule.next_hop_family);
    }
    if (rule.action == RuleAction::tee)
        step.verdict->tees = static_cast<std::uint8_t>(walk.tees + 1);
    if (step.verdict->tees == kMaximumTees) {
        step.verdict->kind = Verdict::Kind::deny;
        step.verdict->reason = contract::DropReason::too_many_tees;
    }
    // The way back of a forwarded flow needs no help.
    if (rule.action == RuleAction::fwd && walk.parent == &rules[index] && !walk.forward)
        step.verdict->kind = Verdict::Kind::accept;
    return step;
}

// A call that is too deep and a return without a call are passed over, uncounted.
bool Walker::stack_allows(const Walk& walk, const RuleRecord& rule) {
    const bool error =
        (rule.action == RuleAction::call && walk.marks.call_depth == kMaximumCalls) ||
        (rule.action == RuleAction::return_ && walk.marks.call_depth == 0);
    if (!error)
        return true;
    // ipfw complains of calls only.
    if (rule.action == RuleAction::call)
        log_.call_refused(walk.packet);
    return false;
}

// The copy of the packet that the rest of the walk sees.
Packet& Walker::headers_to_change(Walk& walk) {
    if (walk.seen != &changed_) {
        changed_ = walk.packet;
        walk.seen = &changed_;
    }
    return changed_;
}

void Walker::count(const Packet& packet, std::uint32_t slot) {
    contract::RuleCounters& counters = outputs_.counters[slot];
    contract::add(counters.packets, 1);
    contract::add(counters.bytes, packet.headers.counted_bytes());
    contract::set(counters.last_match_s, packet.now_ms / 1000);
}

}  // namespace sluice::program
