#include "controlplane/cli/diff_command.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/cli/check_command.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/cli/pattern_difference.h"
#include "controlplane/cli/running_rules.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/language/printer.h"
#include "controlplane/ruleset/ruleset_difference.h"

namespace sluice::cli {
namespace {

using ruleset::ComparedRule;
using ruleset::RulesetDifference;
using Json = nlohmann::ordered_json;

constexpr char kUsage[] = "; usage: ipfw diff [--json] A B, where A and B are files or `running`";

std::optional<ruleset::Ruleset> rules_of(const std::string& source, Output& output) {
    if (source == kRunning)
        return running_rules(output);
    std::optional<analysis::CheckedFile> file = checked_file(source, output);
    if (!file)
        return std::nullopt;
    return std::move(*file->ruleset);
}

// A rule that is not the same on both sides; one of the two may be missing.
struct Change {
    const ComparedRule* before = nullptr;
    const ComparedRule* after = nullptr;
    const ComparedRule& rule() const { return after != nullptr ? *after : *before; }
    char sign() const { return before == nullptr ? '+' : after == nullptr ? '-' : '~'; }
};

std::vector<Change> in_order(const RulesetDifference& difference) {
    std::vector<Change> changes;
    for (const ComparedRule& rule : difference.removed)
        changes.push_back({&rule, nullptr});
    for (const ruleset::ChangedRule& rule : difference.changed)
        changes.push_back({&rule.before, &rule.after});
    for (const ComparedRule& rule : difference.added)
        changes.push_back({nullptr, &rule});
    std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
        return a.rule().number < b.rule().number;
    });
    return changes;
}

std::string text_of(const ComparedRule& rule) {
    return (rule.set != 0 ? "set " + std::to_string(rule.set) + " " : "") + std::string(rule.text);
}

std::string line_of(const Change& change) {
    std::string line = std::string(1, change.sign()) + " " +
                       language::print_rule_number(change.rule().number) + " " +
                       text_of(change.rule());
    if (change.sign() == '~')
        line += "  (was: " + text_of(*change.before) + ")";
    return line + "\n";
}

Json json_of(const Change& change) {
    const ComparedRule& rule = change.rule();
    Json entry = {{"change", change.sign() == '+'   ? "added"
                             : change.sign() == '-' ? "removed"
                                                    : "changed"},
                  {"number", rule.number},
                  {"set", rule.set},
                  {"rule", rule.text}};
    if (change.sign() == '~') {
        entry["previous_set"] = change.before->set;
        entry["previous_rule"] = change.before->text;
    }
    return entry;
}

}  // namespace

void run_diff(std::span<const std::string> arguments, Output& output) {
    std::vector<std::string> sources;
    bool json = false;
    for (const std::string& word : arguments) {
        if (word == "--json")
            json = true;
        else
            sources.push_back(word);
    }
    const auto option = std::find_if(sources.begin(), sources.end(), [](const std::string& word) {
        return word.starts_with('-') && word.size() > 1;
    });
    if (option != sources.end() || sources.size() != 2) {
        output.complain(
            (option != sources.end()
                 ? "diff: unknown option " + language::quote(*option)
                 : "diff: found " + counted(sources.size(), "ruleset") + ", expected two") +
            kUsage);
        output.status = ExitStatus::usage;
        return;
    }
    const auto before = rules_of(sources[0], output);
    if (!before)
        return;
    const auto after = rules_of(sources[1], output);
    if (!after)
        return;
    const auto rules_before = before->rules(), rules_after = after->rules();
    const std::vector<ComparedRule> compared_before = ruleset::compared(rules_before),
                                    compared_after = ruleset::compared(rules_after);
    const RulesetDifference difference = ruleset::difference(compared_before, compared_after);
    const std::vector<Change> changes = in_order(difference);
    const std::vector<PatternDifference> objects =
        differences(before->patterns(), after->patterns());
    if (!changes.empty() || !objects.empty())
        output.status = ExitStatus::found;
    if (!json) {
        for (const PatternDifference& object : objects)
            output.out += line_of(object);
        for (const Change& change : changes)
            output.out += line_of(change);
        return;
    }
    Json list = Json::array(), object_list = Json::array();
    for (const PatternDifference& object : objects)
        object_list.push_back(json_of(object));
    for (const Change& change : changes)
        list.push_back(json_of(change));
    const ruleset::DifferenceCounts counts = ruleset::counts(difference);
    const Json object = {{"added", counts.added},
                         {"removed", counts.removed},
                         {"changed", counts.changed},
                         {"rules", std::move(list)},
                         {"patterns", std::move(object_list)}};
    output.out += json_text("sluice/diff/1", object);
}

}  // namespace sluice::cli
