#include "controlplane/cli/unused_command.h"

#include <charconv>
#include <ctime>

#include "controlplane/cli/check_command.h"
#include "controlplane/cli/client.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/language/printer.h"

namespace sluice::cli {
namespace {

using ruleset::ListedRule;
using Json = nlohmann::ordered_json;

constexpr char kUsage[] = "; usage: ipfw unused [--since TIME] [--json]";
constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 24 * kHour, kWeek = 7 * kDay;

Result<std::uint64_t> parse_time(const std::string& text) {
    const Error bad{ExitStatus::data, "unused: bad time " + language::quote(text) +
                                          " after --since; expected a number and s, m, h, d or w, "
                                          "as in 90d"};
    std::uint64_t value = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    constexpr std::uint64_t kMost = 1'000'000;  // weeks, too
    if (error != std::errc() || end + 1 != last || value == 0 || value > kMost)
        return bad;
    switch (*end) {
        case 's':
            return value;
        case 'm':
            return value * kMinute;
        case 'h':
            return value * kHour;
        case 'd':
            return value * kDay;
        case 'w':
            return value * kWeek;
        default:
            return bad;
    }
}

// `3 days`, `1 hour`: the largest unit of which there are two, or one of the smallest.
std::string span_text(std::uint64_t seconds) {
    if (seconds >= 2 * kDay)
        return counted(seconds / kDay, "day");
    if (seconds >= 2 * kHour)
        return counted(seconds / kHour, "hour");
    if (seconds >= 2 * kMinute)
        return counted(seconds / kMinute, "minute");
    return counted(seconds, "second");
}

std::string moment_text(std::uint64_t moment_s, std::uint64_t now_s) {
    const auto moment = static_cast<std::time_t>(moment_s);
    std::tm local{};
    localtime_r(&moment, &local);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    return std::string(text) + ", " + span_text(now_s > moment_s ? now_s - moment_s : 0) + " ago";
}

enum class Use { used, unused, unknown };

Use use_of(const ListedRule& rule, std::uint64_t limit_s) {
    if (rule.last_match_s != 0)
        return rule.last_match_s >= limit_s ? Use::used : Use::unused;
    return rule.since_s != 0 && rule.since_s <= limit_s ? Use::unused : Use::unknown;
}

std::string line_of(const ListedRule& rule, std::uint64_t now_s, Use use) {
    std::string text = language::print_rule_number(rule.number) + " " +
                       (rule.set != 0 ? "set " + std::to_string(rule.set) + " " : "") + rule.text +
                       "\n    ";
    if (rule.last_match_s != 0)
        text += "last matched " + moment_text(rule.last_match_s, now_s);
    else if (rule.since_s == 0)
        text += "has not matched; since when it counts is not known";
    else if (use == Use::unused)
        text += "has not matched since it counts, " + moment_text(rule.since_s, now_s);
    else
        text += "has not matched, but counts only since " + moment_text(rule.since_s, now_s);
    if (rule.disabled)
        text += "; its set is disabled";
    return text + "\n";
}

Json json_of(const ListedRule& rule) {
    Json entry = {{"number", rule.number}, {"set", rule.set}, {"rule", rule.text}};
    entry["last_match_s"] = rule.last_match_s != 0 ? Json(rule.last_match_s) : Json();
    entry["counted_since_s"] = rule.since_s != 0 ? Json(rule.since_s) : Json();
    entry["disabled"] = rule.disabled;
    return entry;
}

}  // namespace

Result<UnusedCommand> parse_unused_command(std::span<const std::string> arguments) {
    UnusedCommand command;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--json") {
            command.json = true;
        } else if (arguments[i] == "--since") {
            if (++i == arguments.size())
                return Error{ExitStatus::usage,
                             std::string("unused: --since needs a time") + kUsage};
            const Result<std::uint64_t> time = parse_time(arguments[i]);
            if (!time)
                return time.error();
            command.since_s = *time;
        } else {
            return Error{ExitStatus::usage,
                         "unused: found " + language::quote(arguments[i]) + kUsage};
        }
    }
    return command;
}

void show_unused(const UnusedCommand& command, std::span<const ListedRule> rules,
                 std::uint64_t now_s, Output& output) {
    const std::uint64_t limit_s = now_s > command.since_s ? now_s - command.since_s : 0;
    std::vector<const ListedRule*> unused, unknown;
    std::size_t looked_at = 0;
    for (const ListedRule& rule : rules) {
        if (rule.number == language::kDefaultRuleNumber || rule.text.starts_with("check-state"))
            continue;
        ++looked_at;
        const Use use = use_of(rule, limit_s);
        if (use != Use::used)
            (use == Use::unused ? unused : unknown).push_back(&rule);
    }
    if (command.json) {
        Json object = {{"now_s", now_s},
                       {"since_s", limit_s},
                       {"rules", looked_at},
                       {"unused", Json::array()},
                       {"undecided", Json::array()}};
        for (const ListedRule* rule : unused)
            object["unused"].push_back(json_of(*rule));
        for (const ListedRule* rule : unknown)
            object["undecided"].push_back(json_of(*rule));
        output.out += json_text("sluice/unused/1", object);
        return;
    }
    for (const ListedRule* rule : unused)
        output.out += line_of(*rule, now_s, Use::unused);
    for (const ListedRule* rule : unknown)
        output.out += line_of(*rule, now_s, Use::unknown);
    output.out += std::to_string(unused.size()) + " of " + counted(looked_at, "rule") +
                  " unused for " + span_text(command.since_s);
    if (!unknown.empty())
        output.out += "; of " + std::to_string(unknown.size()) + " more too little is known";
    output.out += "\n";
}

void run_unused(std::span<const std::string> arguments, Output& output) {
    const auto fail = [&](const Error& error) {
        output.complain(error.message);
        output.status = error.status;
    };
    const Result<UnusedCommand> command = parse_unused_command(arguments);
    if (!command)
        return fail(command.error());
    service::Request request;
    service::ListOperation list;
    list.with_since = true;
    request.operations.push_back({.line = 0, .forgive = false, .what = list});
    const Result<service::Response> answer = exchange(control_socket_path(), request);
    if (!answer)
        return fail(answer.error());
    if (answer->status != ExitStatus::ok)
        return fail({answer->status, answer->message});
    if (!answer->data_plane)
        return fail({ExitStatus::unavailable,
                     "sluice-dataplane is not connected: nobody knows which rules have matched"});
    if (answer->results.size() != 1)
        return fail(
            {ExitStatus::software, "sluice-controlplane answers something else than it was asked"});
    show_unused(*command, answer->results.front().rules,
                static_cast<std::uint64_t>(std::time(nullptr)), output);
}

}  // namespace sluice::cli
