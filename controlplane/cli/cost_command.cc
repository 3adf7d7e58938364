#include "controlplane/cli/cost_command.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "controlplane/cli/json_text.h"
#include "controlplane/language/names.h"

namespace sluice::cli {
namespace {

using contract::FamilyCost;
using contract::RulesetCost;
using language::ParseError;

constexpr std::string_view kCost = "--cost", kJson = "--json";

auto verb_in(std::span<const std::string> arguments) {
    return std::find_if_not(arguments.begin(), arguments.end(), [](const std::string& word) {
        return word.size() > 1 && word.front() == '-' && word[1] != '-';
    });
}

std::string instructions_of(const RulesetCost& cost) {
    return {cost.instructions, strnlen(cost.instructions, sizeof cost.instructions)};
}

bool is_cut_short(const RulesetCost& cost) {
    return (cost.v4.cut_short | cost.v6.cut_short | cost.other.cut_short) != 0;
}

template <typename... Values>
std::string format(const char* pattern, Values... values) {
    char text[160];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

std::string line_of(const char* name, const FamilyCost& cost) {
    return format("%-8s %8u %6u %6u %7u %11.1f%s\n", name, cost.boxes, cost.trees, cost.worst_nodes,
                  cost.worst_blocks, static_cast<double>(cost.bytes) / 1024,
                  cost.cut_short != 0 ? "  memory bound reached" : "");
}

std::string table_of(const RulesetCost& cost) {
    std::string text = format("%-8s %8s %6s %6s %7s %11s\n", "packets", "boxes", "trees", "nodes",
                              "blocks", "memory, kB");
    text += line_of("IPv4", cost.v4);
    text += line_of("IPv6", cost.v6);
    text += line_of("not IP", cost.other);
    text += format("%u rules, %.1f kB, built in %.1f ms, searched with %s\n", cost.rules,
                   static_cast<double>(cost.bytes) / 1024,
                   static_cast<double>(cost.build_us) / 1000, instructions_of(cost).c_str());
    return text;
}

nlohmann::ordered_json family_json(const FamilyCost& cost) {
    return {{"boxes", cost.boxes},
            {"trees", cost.trees},
            {"worst_nodes", cost.worst_nodes},
            {"worst_blocks", cost.worst_blocks},
            {"bytes", cost.bytes},
            {"memory_bound_reached", cost.cut_short != 0}};
}

std::string json_of(const RulesetCost& cost) {
    const nlohmann::ordered_json object = {{"rules", cost.rules},
                                           {"bytes", cost.bytes},
                                           {"build_microseconds", cost.build_us},
                                           {"instructions", instructions_of(cost)},
                                           {"ipv4", family_json(cost.v4)},
                                           {"ipv6", family_json(cost.v6)},
                                           {"other", family_json(cost.other)}};
    return json_text("sluice/cost/1", object);
}

}  // namespace

bool is_cost_command(std::span<const std::string> arguments) {
    const auto verb = verb_in(arguments);
    return verb != arguments.end() && *verb == "show" &&
           std::find(verb, arguments.end(), kCost) != arguments.end();
}

Result<CostCommand, ParseError> parse_cost_command(std::span<const std::string> arguments) {
    const auto verb = verb_in(arguments);
    CostCommand command;
    std::size_t column = 1;
    for (auto word = arguments.begin(); word != arguments.end(); ++word) {
        command.json |= *word == kJson;
        if (word != verb && *word != kCost && *word != kJson)
            return ParseError{ExitStatus::usage,
                              column,
                              static_cast<std::size_t>(word - arguments.begin()),
                              "found " + language::quote(*word) +
                                  " in `show --cost`; expected --json or nothing more",
                              {}};
        column += word->size() + 1;
    }
    return command;
}

void show_cost(const CostCommand& command, const RulesetCost& cost, Output& output) {
    output.out += command.json ? json_of(cost) : table_of(cost);
    if (is_cut_short(cost) && !command.json)
        output.out +=
            "The rules overlap so much that the bound on memory made the way of a packet longer.\n";
}

}  // namespace sluice::cli
