// What rules mean for the way of a packet: for the engine, which takes the way, and for the tracer,
// which tells it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/actions.h"
#include "dataplane/program/runtime.h"
#include "dataplane/program/verdict.h"

namespace sluice::program {

// A packet that hits a state goes on behind the rule that made it, which does nothing, if that
// rule's actions begin with `untag` or `return`: ipfw has those as a negated `tag` and `call`, and
// takes the negation for one of the test. Its answers are what we promise.
inline bool misses_its_states(const contract::RuleRecord& rule) {
    if ((rule.flags & contract::rule_flag::log) != 0)
        return false;
    if (rule.writes_tags())
        return (rule.flags & contract::rule_flag::untag) != 0;
    return rule.action == contract::RuleAction::return_;
}

// A bridge passes what is not IP unless a rule that names layer2, MAC or mac-type says otherwise.
inline bool may_judge(const contract::RuleRecord& rule, const packet::Packet& packet) {
    return packet.passage.entry != packet::Entry::bridge || packet.headers.ip_version != 0 ||
           (rule.flags & contract::rule_flag::link_layer) != 0;
}

// The rule behind one; of a detached one, where it would stand.
inline std::uint32_t behind(const Runtime& runtime, std::uint32_t index) {
    return index < runtime.view().rules().size() ? index + 1
                                                 : runtime.view().all_rules()[index].target;
}

inline Verdict refusal(const contract::RuleRecord& rule, std::uint32_t index,
                       contract::DropReason reason) {
    return {.kind = Verdict::Kind::deny,
            .reason = reason,
            .rule_number = rule.number,
            .rule_index = index};
}

inline Verdict verdict_of(const contract::RuleRecord& rule, std::uint32_t index) {
    return {.kind = verdict_kind(rule.action),
            .argument = rule.action_number,
            .mtu = rule.mtu,
            .rule_number = rule.number,
            .rule_index = index};
}

// As the compiler finds it for a number that is written out: skipto never goes back.
inline std::uint32_t target_of(const Runtime& runtime, const contract::RuleRecord& rule,
                               bool from_table) {
    if (!from_table)
        return rule.target;
    return runtime.first_rule_from(rule.action == contract::RuleAction::call
                                       ? rule.action_number
                                       : std::max<unsigned>(rule.action_number, rule.number + 1u));
}

}  // namespace sluice::program
