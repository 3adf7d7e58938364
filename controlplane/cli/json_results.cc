#include "controlplane/cli/json_results.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <sstream>

#include "controlplane/cli/json_text.h"
#include "controlplane/cli/pattern_results.h"
#include "controlplane/cli/state_command.h"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;
using language::TableCommand;
using service::OperationResult;

Json rule_json(const ruleset::ListedRule& rule) {
    return {{"number", rule.number},
            {"set", rule.set},
            {"enabled", !rule.disabled},
            {"text", rule.text},
            {"packets", rule.packets},
            {"bytes", rule.bytes},
            {"last_match_s", rule.last_match_s}};
}

std::string rules_json(const language::Flags& flags, const service::Response& response) {
    Json rules = Json::array(), states = Json::array();
    for (const OperationResult& result : response.results) {
        for (const ruleset::ListedRule& rule : result.rules)
            rules.push_back(rule_json(as_shown(rule, flags)));
        for (const ruleset::ListedState& state : result.states)
            states.push_back(state_json(state));
    }
    Json fields = {{"generation", response.generation},
                   {"in_force", response.data_plane},
                   {"rules", std::move(rules)}};
    if (flags.dynamic)
        fields["states"] = std::move(states);
    return json_text("sluice/rules/1", fields);
}

std::string sets_json(std::span<const OperationResult> results) {
    const std::uint32_t disabled = results.front().disabled_sets.value_or(0);
    Json sets = Json::array();
    for (unsigned set = 0; set < language::kSetCount; ++set)
        sets.push_back({{"set", set}, {"enabled", (disabled >> set & 1) == 0}});
    return json_text("sluice/sets/1", {{"sets", std::move(sets)}});
}

std::string sysctls_json(std::span<const OperationResult> results) {
    Json values = Json::object();
    for (const OperationResult& result : results)
        for (const service::SysctlReport& report : result.sysctls)
            values[report.name] = report.value;
    return json_text("sluice/sysctls/1", {{"sysctls", std::move(values)}});
}

// ---- Tables
// --------------------------------------------------------------------------------------
//
// The control plane prints them; its lines have one form each, without a blank in any value.

constexpr std::string_view kHeading = "--- table(";

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream stream(line);
    return {std::istream_iterator<std::string>(stream), {}};
}

Json number_or_text(const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end ? Json(number) : Json(text);
}

// `--- table(NAME), set(0) ---`
std::string name_in(const std::string& heading) {
    const std::size_t begin = kHeading.size();
    return heading.substr(begin, heading.find(')', begin) - begin);
}

// `KEY VALUE [hits N] [ttl N]`
Json entry_json(const std::string& line) {
    const std::vector<std::string> words = words_of(line);
    Json entry = {{"key", words.at(0)}, {"value", words.size() > 1 ? words[1] : ""}};
    for (std::size_t i = 2; i + 1 < words.size(); i += 2)
        entry[words[i] == "ttl" ? "ttl_s" : words[i]] = number_or_text(words[i + 1]);
    return entry;
}

// ` NAME: VALUE, NAME: VALUE, WORD`
void add_facts(std::string_view line, Json& table) {
    constexpr std::string_view kComma = ", ";
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    while (!line.empty()) {
        const std::size_t end = std::min(line.size(), line.find(kComma));
        const std::string fact(line.substr(0, end));
        line.remove_prefix(std::min(line.size(), end + kComma.size()));
        const std::size_t colon = fact.find(": ");
        std::string name = fact.substr(0, colon);
        std::replace(name.begin(), name.end(), ' ', '_');
        table[name] =
            colon == std::string::npos ? Json(true) : number_or_text(fact.substr(colon + 2));
    }
}

std::string tables_json(const TableCommand& command, std::span<const OperationResult> results) {
    using Verb = TableCommand::Verb;
    const bool of_entries = command.verb == Verb::list || command.verb == Verb::lookup;
    Json tables = Json::array();
    for (const OperationResult& result : results)
        for (const std::string& line : result.lines) {
            const bool heading = line.starts_with(kHeading);
            if (heading || tables.empty())
                tables.push_back({{"name", heading ? name_in(line) : command.table}});
            Json& table = tables.back();
            if (of_entries && !table.contains("entries"))
                table["entries"] = Json::array();
            if (heading)
                continue;
            if (of_entries)
                table["entries"].push_back(entry_json(line));
            else
                add_facts(line, table);
        }
    if (of_entries && tables.empty() && command.table != "all")
        tables.push_back({{"name", command.table}, {"entries", Json::array()}});
    return json_text(of_entries ? "sluice/table-entries/1" : "sluice/tables/1",
                     {{"tables", std::move(tables)}});
}

bool is_reading_sysctl(const language::Command& command) {
    const auto* sysctl = std::get_if<language::SysctlCommand>(&command);
    return sysctl != nullptr &&
           std::none_of(sysctl->items.begin(), sysctl->items.end(),
                        [](const auto& item) { return item.value.has_value(); });
}

const TableCommand* reading_table_command(const language::Command& command) {
    using Verb = TableCommand::Verb;
    const auto* table = std::get_if<TableCommand>(&command);
    return table != nullptr && (table->verb == Verb::list || table->verb == Verb::info ||
                                table->verb == Verb::detail || table->verb == Verb::lookup)
               ? table
               : nullptr;
}

const language::PatternCommand* reading_pattern_command(const language::Command& command) {
    const auto* pattern = std::get_if<language::PatternCommand>(&command);
    return pattern != nullptr && asks_about_patterns(*pattern) ? pattern : nullptr;
}

}  // namespace

bool has_json_form(const language::Command& command) {
    return std::holds_alternative<language::ListCommand>(command) ||
           std::holds_alternative<language::SetShowCommand>(command) ||
           is_reading_sysctl(command) || reading_table_command(command) != nullptr ||
           reading_pattern_command(command) != nullptr;
}

void show_json_results(const language::Command& command, const language::Flags& flags,
                       const service::Response& response, Output& output) {
    Output text;
    show_results(command, flags, response.results, 0, text);
    output.err += text.err;
    output.status = text.status;
    if (std::holds_alternative<language::ListCommand>(command))
        output.out += rules_json(flags, response);
    else if (std::holds_alternative<language::SetShowCommand>(command))
        output.out += sets_json(response.results);
    else if (const TableCommand* table = reading_table_command(command))
        output.out += tables_json(*table, response.results);
    else if (const auto* pattern = reading_pattern_command(command))
        output.out += patterns_json(*pattern, response.results);
    else
        output.out += sysctls_json(response.results);
}

}  // namespace sluice::cli
