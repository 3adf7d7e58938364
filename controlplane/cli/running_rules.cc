#include "controlplane/cli/running_rules.h"

#include <span>
#include <string>
#include <utility>

#include "controlplane/cli/client.h"
#include "controlplane/language/command.h"
#include "controlplane/ruleset/canonical_text.h"

namespace sluice::cli {
namespace {

Result<service::Response> ask() {
    service::Request request;
    request.operations.push_back(
        {.line = 0,
         .forgive = false,
         .what = service::ListOperation{.rules = {}, .in_set = std::nullopt}});
    request.operations.push_back(
        {.line = 0, .forgive = false, .what = service::ShowSetsOperation{}});
    service::PatternOperation patterns;
    patterns.command.object = "all";
    request.operations.push_back({.line = 0, .forgive = false, .what = std::move(patterns)});
    Result<service::Response> answer = exchange(control_socket_path(), request);
    if (!answer)
        return answer;
    if (answer->status != ExitStatus::ok)
        return Error{answer->status, answer->message};
    if (answer->results.size() != request.operations.size() || answer->results[0].rules.empty())
        return Error{ExitStatus::software,
                     "sluice-controlplane answers something else than it was asked"};
    return answer;
}

Result<Done> add_objects(const service::OperationResult& listed, ruleset::Ruleset& rules) {
    if (listed.status != ExitStatus::ok)
        return Error{listed.status,
                     listed.complaints.empty() ? "no pattern objects" : listed.complaints.front()};
    for (const service::ListedPatternObject& object : listed.pattern_objects) {
        const std::string create = "pattern " + object.name + " create " + object.settings;
        const auto invocation =
            language::parse_command_line(std::span(&create, 1), language::refusing_resolver());
        const auto* command =
            invocation ? std::get_if<language::PatternCommand>(&invocation->command) : nullptr;
        if (command == nullptr)
            return Error{ExitStatus::software,
                         "pattern object " + object.name + " of the control plane cannot be read"};
        ruleset::PatternCatalogue& patterns = rules.patterns();
        if (auto made =
                patterns.create(object.name, ruleset::PatternCatalogue::settings_of(*command));
            !made)
            return made.error();
        for (const service::ListedPattern& pattern : object.patterns)
            patterns.add(object.name, pattern.text, pattern.value, true);
    }
    return Done{};
}

Result<ruleset::Ruleset> rebuilt(const service::Response& answer) {
    const std::vector<ruleset::ListedRule>& listed = answer.results[0].rules;
    ruleset::Ruleset rules(listed.back().text.starts_with("allow"));
    if (const Result<Done> added = add_objects(answer.results[2], rules); !added)
        return added.error();
    for (const ruleset::ListedRule& each : listed) {
        if (each.number == language::kDefaultRuleNumber)
            continue;
        auto rule = ruleset::parse_canonical(each.text);
        if (!rule)
            return Error{ExitStatus::software,
                         "rule " + std::to_string(each.number) +
                             " of the control plane cannot be read: " + rule.error().text()};
        rule->number = each.number;
        rule->set = each.set;
        if (auto added = rules.add(std::move(*rule)); !added)
            return added.error();
    }
    rules.switch_sets(0, answer.results[1].disabled_sets.value_or(0));
    return rules;
}

}  // namespace

std::optional<ruleset::Ruleset> running_rules(Output& output) {
    const Result<service::Response> answer = ask();
    if (answer && !answer->data_plane)
        output.complain("sluice-dataplane is not connected: these rules are not in force");
    Result<ruleset::Ruleset> rules =
        answer ? rebuilt(*answer) : Result<ruleset::Ruleset>(answer.error());
    if (rules)
        return std::move(*rules);
    output.complain(rules.error().message);
    output.status = rules.error().status;
    return std::nullopt;
}

}  // namespace sluice::cli
