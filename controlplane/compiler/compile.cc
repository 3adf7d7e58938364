#include "controlplane/compiler/compile.h"

#include <algorithm>

#include "controlplane/compiler/pattern_sections.h"
#include "controlplane/compiler/rule_compiler.h"
#include "controlplane/compiler/support.h"

namespace sluice::compiler {

namespace {

using contract::RuleRecord;

std::uint32_t id_of(const RuleInput& rule) {
    return rule.id != 0 ? rule.id : rule.slot;
}

std::uint32_t next_id(const Input& input) {
    std::uint32_t last = 0;
    for (const auto& list : {input.rules, input.orphans})
        for (const RuleInput& rule : list)
            last = std::max(last, id_of(rule));
    return std::max(input.next_id, last + 1);
}

// The rules while they are being compiled: the live ones in `sections.rules`, the others apart.
struct Compilation {
    Sections sections;
    std::vector<RuleRecord> detached;
    StateNames names;
    TestContext context;
    Labels labels;

    Result<RuleRecord> translate(const RuleInput& input) {
        if (input.text == nullptr)
            if (auto why = unsupported(*input.rule))
                return Error{ExitStatus::unavailable, *why};
        if (Result<Done> told_apart = names.add_all(*input.rule); !told_apart)
            return told_apart.error();
        return compile_rule(input, context, sections);
    }
};

// Sends what jumps to where it goes on.
Result<Done> resolve_jumps(const Input& input, Compilation& work) {
    std::vector<RuleRecord>& live = work.sections.rules;
    std::size_t next_live = 0, next_detached = 0;
    for (std::size_t i = 0; i < input.rules.size(); ++i) {
        const language::Rule& rule = *input.rules[i].rule;
        const bool disabled = (input.disabled_sets >> rule.set & 1) != 0;
        RuleRecord& record = disabled ? work.detached[next_detached++] : live[next_live++];
        if (!jumps(record))
            continue;
        if (rule.action.label.empty())
            record.target = jump_target(record, live);
        else if (Result<Done> resolved = work.labels.resolve(rule, i, record); !resolved)
            return resolved.error();
    }
    return Done{};
}

Result<Done> compile_rules(const Input& input, Compilation& work) {
    std::vector<RuleRecord>& live = work.sections.rules;
    for (const auto& list : {input.rules, input.orphans})
        for (const RuleInput& rule : list)
            work.context.changes.add(*rule.rule);
    live.reserve(input.rules.size() + input.orphans.size() + 1);
    for (std::size_t i = 0; i < input.rules.size(); ++i) {
        const RuleInput& rule = input.rules[i];
        Result<RuleRecord> record = work.translate(rule);
        if (!record)
            return record.error();
        if (Result<Done> added = work.labels.add(*rule.rule, i, live.size()); !added)
            return added.error();
        if ((input.disabled_sets >> rule.rule->set & 1) == 0) {
            live.push_back(*record);
            continue;
        }
        record->flags |= contract::rule_flag::disabled;
        record->target = static_cast<std::uint32_t>(live.size());  // the live rule behind it
        work.detached.push_back(*record);
    }
    live.push_back(compile_default_rule(input.default_accept, input.default_slot, next_id(input),
                                        work.sections));
    if (Result<Done> resolved = resolve_jumps(input, work); !resolved)
        return resolved.error();
    for (const RuleInput& orphan : input.orphans) {
        Result<RuleRecord> record = work.translate(orphan);
        if (!record)
            return record.error();
        record->flags |= contract::rule_flag::orphan;
        record->target = static_cast<std::uint32_t>(live.size() - 1);
        work.detached.push_back(*record);
    }
    return Done{};
}

}  // namespace

Result<std::vector<std::byte>> compile(const Input& input) {
    Compilation work;
    work.context.tables = input.tables;
    work.context.patterns = input.patterns;
    if (input.patterns != nullptr)
        if (Result<Done> set = set_patterns(input.patterns->all(), work.sections); !set)
            return set.error();
    if (Result<Done> compiled = compile_rules(input, work); !compiled)
        return compiled.error();
    contract::SnapshotHeader header;
    header.generation = input.generation;
    header.sysctls = input.sysctls;
    header.live_rules = static_cast<std::uint32_t>(work.sections.rules.size());
    header.disabled_sets = input.disabled_sets;
    append(work.sections.rules, work.detached);
    return checked_image(header, work.sections);
}

Result<std::vector<std::byte>> compile(const ruleset::Ruleset& ruleset, std::uint64_t generation) {
    const auto inputs = [](const std::vector<ruleset::RulePointer>& rules) {
        std::vector<RuleInput> result;
        result.reserve(rules.size());
        for (const ruleset::RulePointer& rule : rules)
            result.push_back({.rule = &rule->rule,
                              .slot = rule->slot,
                              .log_limit = rule->log_limit,
                              .id = rule->id,
                              .text = &rule->text});
        return result;
    };
    const std::vector<ruleset::RulePointer> rules = ruleset.rules(), orphans = ruleset.orphans();
    const std::vector<RuleInput> rule_inputs = inputs(rules), orphan_inputs = inputs(orphans);
    return compile({.rules = rule_inputs,
                    .default_accept = ruleset.default_accept(),
                    .default_slot = ruleset.default_rule()->slot,
                    .sysctls = ruleset.sysctls(),
                    .generation = generation,
                    .next_id = ruleset.next_id(),
                    .disabled_sets = ruleset.disabled_sets(),
                    .orphans = orphan_inputs,
                    .tables = &ruleset.tables(),
                    .patterns = &ruleset.patterns()});
}

}  // namespace sluice::compiler
