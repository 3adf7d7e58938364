#include "controlplane/cli/lint_command.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "analysis/lint.h"
#include "controlplane/cli/check_command.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/cli/running_rules.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/language/printer.h"

namespace sluice::cli {
namespace {

using analysis::Finding;
using analysis::FindingKind;
using analysis::LintReport;
using Json = nlohmann::ordered_json;

constexpr char kUsage[] = "; usage: ipfw lint [--all] [--json] [FILE|running]";

// The rules that are looked at, and where they come from.
struct Subject {
    std::string file;                         // empty: they run
    std::vector<std::size_t> lines;           // of the file, by rule
    std::vector<ruleset::RulePointer> rules;  // the default rule last

    std::size_t line(std::size_t rule) const { return rule < lines.size() ? lines[rule] : 0; }
    unsigned number(std::size_t rule) const { return rules[rule]->rule.number; }
    const std::string& text(std::size_t rule) const { return rules[rule]->text; }
};

// `rule 100 (line 3)`, `rules 100, 200 and 2 more together`
std::string names_of(const Subject& subject, const Finding& finding) {
    const bool several = finding.others.size() + finding.more > 1;
    std::string names = several ? "rules " : "rule ";
    for (std::size_t i = 0; i < finding.others.size(); ++i) {
        const std::size_t other = finding.others[i];
        names += (i == 0 ? "" : ", ") + std::to_string(subject.number(other));
        if (subject.line(other) != 0)
            names += " (line " + std::to_string(subject.line(other)) + ")";
    }
    if (finding.more != 0)
        names += " and " + std::to_string(finding.more) + " more";
    return names;
}

std::string sentence(const Subject& subject, const Finding& finding) {
    const std::string others = names_of(subject, finding);
    const bool several = finding.others.size() + finding.more > 1;
    const std::string together = several ? " together" : "";
    std::string text = std::string(analysis::name_of(finding.kind)) + ": ";
    switch (finding.kind) {
        case FindingKind::never_matching:
            text += finding.why;
            break;
        case FindingKind::shadowed:
            text +=
                others + together + (several ? " decide" : " decides") + " all its packets before";
            break;
        case FindingKind::redundant:
            text += "without it " + others + together + (several ? " do" : " does") +
                    " the same to its packets";
            break;
        case FindingKind::contradicting:
            text += others + " before it " + (several ? "do" : "does") +
                    " the opposite to some of the same packets";
            break;
        case FindingKind::missing_ipv6_twin:
            text += others + (several ? " let" : " lets") + " the same through as IPv6";
            break;
        case FindingKind::encrypted_payload:
        case FindingKind::stream_without_states:
            text += finding.why + (finding.others.empty() ? "" : "; see " + others);
            break;
    }
    if (finding.others.size() == 1 && finding.more == 0)
        text += ": " + subject.text(finding.others.front());
    return text;
}

std::string heading(const Subject& subject, std::size_t rule) {
    std::string text;
    if (!subject.file.empty())
        text = analysis::Remark{subject.line(rule), 0, {}}.place(subject.file);
    return text + language::print_rule_number(subject.rules[rule]->rule.number) + " " +
           subject.text(rule) + "\n";
}

// What is said of each rule stands together.
std::string text_of(const Subject& subject, const LintReport& report) {
    std::map<std::size_t, std::vector<std::string>> by_rule;
    for (const Finding& finding : report.findings)
        by_rule[finding.rule].push_back(sentence(subject, finding));
    for (const analysis::Undecided& undecided : report.undecided)
        by_rule[undecided.rule].push_back("not decided: " + undecided.why);
    std::string text;
    for (const auto& [rule, sentences] : by_rule) {
        text += heading(subject, rule);
        for (const std::string& line : sentences)
            text += "    " + line + "\n";
    }
    text += counted(report.findings.size(), "finding") + " in " +
            counted(subject.rules.size() - 1, "rule");
    if (!report.undecided.empty())
        text += ", " + counted(report.undecided.size(), "question") + " not decided";
    return text + "\n";
}

Json rule_json(const Subject& subject, std::size_t rule) {
    Json entry = {{"number", subject.number(rule)}, {"set", subject.rules[rule]->rule.set}};
    if (subject.line(rule) != 0)
        entry["line"] = subject.line(rule);
    entry["rule"] = subject.text(rule);
    return entry;
}

std::string json_of(const Subject& subject, const LintReport& report) {
    Json findings = Json::array(), undecided = Json::array();
    for (const Finding& finding : report.findings) {
        Json entry = {{"kind", analysis::name_of(finding.kind)}};
        entry.update(rule_json(subject, finding.rule));
        entry["others"] = Json::array();
        for (const std::size_t other : finding.others)
            entry["others"].push_back(rule_json(subject, other));
        entry["more"] = finding.more;
        entry["message"] = sentence(subject, finding);
        findings.push_back(std::move(entry));
    }
    for (const analysis::Undecided& each : report.undecided) {
        Json entry = rule_json(subject, each.rule);
        entry["message"] = each.why;
        undecided.push_back(std::move(entry));
    }
    const Json object = {{"source", subject.file.empty() ? kRunning : subject.file},
                         {"rules", subject.rules.size() - 1},
                         {"findings", std::move(findings)},
                         {"undecided", std::move(undecided)}};
    return json_text("sluice/lint/1", object);
}

}  // namespace

void run_lint(std::span<const std::string> arguments, Output& output) {
    std::vector<std::string> sources;
    bool json = false;
    auto crossing = analysis::Crossing::ignored;
    for (const std::string& word : arguments) {
        if (word == "--json") {
            json = true;
            continue;
        }
        if (word == "--all") {
            crossing = analysis::Crossing::told;
            continue;
        }
        if ((word.starts_with('-') && word.size() > 1) || !sources.empty()) {
            output.complain("lint: found " + language::quote(word) + kUsage);
            output.status = ExitStatus::usage;
            return;
        }
        sources.push_back(word);
    }
    const bool running = sources.empty() || sources.front() == kRunning;
    Subject subject;
    std::optional<ruleset::Ruleset> rules;
    if (running) {
        rules = running_rules(output);
    } else if (auto file = checked_file(sources.front(), output)) {
        rules = std::move(file->ruleset);
        subject.file = sources.front();
        subject.lines = std::move(file->lines);
    }
    if (!rules)
        return;
    subject.rules = rules->rules();
    subject.rules.push_back(rules->default_rule());
    const Result<LintReport> report = analysis::lint(
        *rules, running ? analysis::DefaultRule::known : analysis::DefaultRule::unknown, crossing);
    if (!report) {
        output.complain(report.error().message);
        output.status = report.error().status;
        return;
    }
    output.out += json ? json_of(subject, *report) : text_of(subject, *report);
    if (!report->findings.empty())
        output.status = ExitStatus::found;
}

}  // namespace sluice::cli
