#include "controlplane/cli/output.h"

#include <algorithm>

#include "controlplane/cli/pattern_results.h"
#include "controlplane/language/printer.h"
#include "controlplane/ruleset/canonical_text.h"

namespace sluice::cli {
namespace {

using language::Flags;
using ruleset::ListedRule;
using service::OperationResult;

ruleset::ListingOptions listing_options(const Flags& flags) {
    return {.counters = flags.counters,
            .timestamps = flags.timestamps,
            .raw_timestamps = flags.raw_timestamps,
            .sets = flags.sets};
}

bool printed_anew(const Flags& flags) {
    return flags.compact || flags.action_and_comment_only || flags.resolve_names;
}

// What the operations of a listing found, with the place where each one's rules end.
struct Found {
    std::vector<ListedRule> rules;
    std::vector<std::size_t> ends;
    std::vector<ruleset::ListedState> states;
};

Found found(std::span<const OperationResult> results, const Flags& flags) {
    Found all;
    for (const OperationResult& result : results) {
        for (const ListedRule& rule : result.rules)
            all.rules.push_back(as_shown(rule, flags));
        all.ends.push_back(all.rules.size());
        all.states.insert(all.states.end(), result.states.begin(), result.states.end());
    }
    return all;
}

void show_targets(const language::ListCommand& list, const Flags& flags, const Found& all,
                  ruleset::CounterWidths widths, std::uint32_t line, Output& output) {
    std::size_t next = 0;
    auto end = all.ends.begin();
    for (const auto& target : list.targets) {
        if (!target.range) {
            output.complain("invalid rule number: " + target.text, line);
            output.status = ExitStatus::usage;
            continue;
        }
        if (end == all.ends.end())
            return;
        if (next == *end && !flags.dynamic_only) {
            const auto [first, last] = *target.range;
            output.complain(first == last ? "rule " + std::to_string(first) + " does not exist"
                                          : "no rules in range " + std::to_string(first) + "-" +
                                                std::to_string(last),
                            line);
            output.status = ExitStatus::unavailable;
        }
        for (; next < *end; ++next) {
            const std::string text =
                ruleset::format_rule(all.rules[next], listing_options(flags), widths);
            if (!text.empty())
                output.out += text + "\n";
        }
        ++end;
    }
}

void show_list(const language::ListCommand& list, const Flags& flags,
               std::span<const OperationResult> results, std::uint32_t line, Output& output) {
    const ruleset::ListingOptions options = listing_options(flags);
    const Found all = found(results, flags);
    if (list.targets.empty()) {
        output.out += ruleset::format_listing(all.rules, options, all.states);
        return;
    }
    const ruleset::CounterWidths widths = ruleset::counter_widths(all.rules, all.states);
    show_targets(list, flags, all, widths, line, output);
    if (all.states.empty())
        return;
    // ipfw counts the states only where all of them are listed.
    output.out += "## Dynamic rules:\n";
    for (const ruleset::ListedState& state : all.states)
        output.out += ruleset::format_state(state, options, widths) + "\n";
}

// `disable 1 2 enable 0 3 …`; set 31, which cannot be disabled, is not shown.
std::string set_show_line(std::uint32_t disabled) {
    constexpr unsigned kShown = language::kSetCount - 1;
    const auto sets = [&](bool wanted) {
        std::string text;
        for (unsigned set = 0; set < kShown; ++set)
            if (((disabled >> set & 1) != 0) == wanted)
                text += " " + std::to_string(set);
        return text;
    };
    const std::string off = sets(true), on = sets(false);
    std::string text = off.empty() ? "" : "disable" + off;
    if (!on.empty())
        text += (text.empty() ? "enable" : " enable") + on;
    return text + "\n";
}

void show_sysctls(const OperationResult& result, bool values_only, bool quiet, Output& output) {
    for (const service::SysctlReport& report : result.sysctls) {
        if (report.previous && quiet)
            continue;
        if (!values_only)
            output.out += report.name + ": ";
        if (report.previous)
            output.out += std::to_string(*report.previous) + " -> ";
        output.out += std::to_string(report.value) + "\n";
    }
}

// What is printed then is no comment that -q could do without.
bool asks_about_tables(const language::Command& command) {
    using Verb = language::TableCommand::Verb;
    const auto* table = std::get_if<language::TableCommand>(&command);
    return table != nullptr && (table->verb == Verb::list || table->verb == Verb::info ||
                                table->verb == Verb::detail || table->verb == Verb::lookup);
}

}  // namespace

void Output::complain(const std::string& text, std::uint32_t line) {
    err += line == 0 ? "ipfw: " : "Line " + std::to_string(line) + ": ";
    err += text;
    err += '\n';
}

ListedRule as_shown(ListedRule rule, const Flags& flags) {
    if (!printed_anew(flags))
        return rule;
    const auto parsed = ruleset::parse_canonical(rule.text);
    if (!parsed)
        return rule;
    rule.text =
        language::print_rule(*parsed, {.compact = flags.compact || flags.action_and_comment_only,
                                       .action_and_comment_only = flags.action_and_comment_only,
                                       .resolve_names = flags.resolve_names,
                                       .resolver = &language::system_resolver()});
    return rule;
}

std::string echo(const ListedRule& rule, const Flags& flags) {
    const ListedRule shown = as_shown(rule, flags);
    return ruleset::format_rule(shown, listing_options(flags),
                                ruleset::counter_widths({&shown, 1})) +
           "\n";
}

void show_results(const language::Command& command, const Flags& flags,
                  std::span<const OperationResult> results, std::uint32_t line, Output& output) {
    if (const auto* list = std::get_if<language::ListCommand>(&command)) {
        show_list(*list, flags, results, line, output);
        return;
    }
    if (std::holds_alternative<language::SetShowCommand>(command)) {
        for (const OperationResult& result : results)
            output.out += set_show_line(result.disabled_sets.value_or(0));
        return;
    }
    const auto* sysctl = std::get_if<language::SysctlCommand>(&command);
    const auto* pattern = std::get_if<language::PatternCommand>(&command);
    const bool asked_for_lines = asks_about_tables(command);
    for (const OperationResult& result : results) {
        if (result.status != ExitStatus::ok)
            output.status = result.status;
        if (sysctl != nullptr)
            show_sysctls(result, sysctl->values_only, flags.quiet, output);
        if (pattern != nullptr)
            output.out += patterns_text(*pattern, result.pattern_objects);
        if (flags.quiet && asked_for_lines)
            for (const std::string& text : result.lines)
                output.out += text + "\n";
        if (flags.quiet)
            continue;
        if (std::holds_alternative<language::AddCommand>(command))
            for (const ListedRule& rule : result.rules)
                output.out += echo(rule, flags);
        for (const std::string& text : result.lines)
            output.out += text + "\n";
        for (const std::string& text : result.complaints)
            output.complain(text, line);
    }
}

}  // namespace sluice::cli
