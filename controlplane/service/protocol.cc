#include "controlplane/service/protocol.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "controlplane/service/apply_json.h"
#include "controlplane/service/follow_json.h"
#include "controlplane/service/history_json.h"
#include "controlplane/service/json_reader.h"
#include "controlplane/service/object_json.h"

namespace sluice::service {
namespace {

constexpr std::size_t kMaximumDepth = 12;

// ---- Writing -----------------------------------------------------------------------------------

json ranges_json(const std::vector<language::RuleRange>& ranges) {
    json list = json::array();
    for (const language::RuleRange& range : ranges)
        list.push_back({range.first, range.last});
    return list;
}

void put_set(json& object, const std::optional<std::uint8_t>& set) {
    if (set)
        object["in_set"] = *set;
}

constexpr std::string_view kStateVerbs[] = {"list states", "count states", "kill states"};

std::string address_text(const language::HostAddress& address) {
    return std::visit([](const auto& value) { return to_string(value); }, address);
}

struct OperationWriter {
    json& object;
    std::string& rules;  // of all operations

    void operator()(const AddOperation& add) const {
        object["do"] = "add";
        object["bytes"] = add.rules.size();
        rules += add.rules;
    }
    void operator()(const language::DeleteCommand& remove) const {
        object["do"] = "delete";
        object["rules"] = ranges_json(remove.rules);
        object["sets"] = remove.sets;
        put_set(object, remove.in_set);
    }
    void operator()(const language::FlushCommand& flush) const {
        object["do"] = "flush";
        put_set(object, flush.in_set);
    }
    void operator()(const language::ZeroCommand& zero) const {
        object["do"] = zero.log_only ? "resetlog" : "zero";
        object["numbers"] = zero.rules;
        put_set(object, zero.in_set);
    }
    void operator()(const ListOperation& list) const {
        object["do"] = "list";
        object["rules"] = ranges_json(list.rules);
        object["states"] = static_cast<unsigned>(list.states);
        object["without_rules"] = list.without_rules;
        object["with_since"] = list.with_since;
        put_set(object, list.in_set);
    }
    void operator()(const ShowSetsOperation&) const { object["do"] = "show sets"; }
    void operator()(const ShowCostOperation&) const { object["do"] = "show cost"; }
    void operator()(const TraceOperation& trace) const {
        object["do"] = "trace";
        object["packet"] = trace.packet;
        object["chance"] = static_cast<unsigned>(trace.chance);
    }
    void operator()(const language::SetEnableCommand& sets) const {
        object["do"] = "switch sets";
        object["enable"] = sets.enable;
        object["disable"] = sets.disable;
    }
    void operator()(const language::SetMoveCommand& move) const {
        object["do"] = move.by_rule ? "move rule" : "move set";
        object["what"] = move.what;
        object["to"] = move.to;
    }
    void operator()(const language::SetSwapCommand& swap) const {
        object["do"] = "swap sets";
        object["first"] = swap.first;
        object["second"] = swap.second;
    }
    void operator()(const StateOperation& states) const {
        const StateFilter& filter = states.filter;
        object["do"] = kStateVerbs[static_cast<std::size_t>(states.kind)];
        if (filter.address) {
            object["address"] = address_text(*filter.address);
            object["prefix_length"] = filter.prefix_length;
        }
        if (filter.protocol)
            object["protocol"] = *filter.protocol;
        if (filter.rules)
            object["rules"] = ranges_json({*filter.rules});
        object["port"] = filter.port;
        object["name"] = filter.name;
        object["age"] = filter.minimum_age_s;
    }
    void operator()(const FollowOperation& follow) const {
        object["do"] = "follow";
        put_follow(follow, object);
    }
    void operator()(const StatusOperation&) const { object["do"] = "status"; }
    void operator()(const SafetyOperation& safety) const {
        object["do"] = "safety";
        object["order"] = static_cast<unsigned>(safety.order);
    }
    void operator()(const HistoryOperation& history) const {
        object["do"] = "history";
        object["kind"] = static_cast<unsigned>(history.kind);
        object["number"] = history.number;
    }
    void operator()(const RollbackOperation& rollback) const {
        object["do"] = "rollback";
        object["number"] = rollback.number;
    }
    void operator()(const ReadSysctlOperation& read) const {
        object["do"] = "read";
        object["names"] = read.names;
    }
    void operator()(const WriteSysctlOperation& write) const {
        object["do"] = "write";
        object["name"] = write.name;
        object["value"] = write.value;
    }
    void operator()(const TableOperation& operation) const { put_table(operation, object); }
    void operator()(const PatternOperation& operation) const { put_pattern(operation, object); }
};

json condition_json(const Condition& condition) {
    return {{"panic", static_cast<unsigned>(condition.panic)},
            {"locked", condition.locked},
            {"confirm_ms", condition.confirm_ms}};
}

// Bytes that are no UTF-8 are replaced, never thrown at.
std::string dumped(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// ---- Reading -----------------------------------------------------------------------------------

// Brackets inside strings do not count. Runs before the JSON library, whose own recursion and
// destructors are none of our business then.
bool too_deep(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > kMaximumDepth)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return false;
}

std::optional<language::HostAddress> parse_address(const std::string& text) {
    if (const auto v4 = parse_ipv4(text))
        return language::HostAddress(*v4);
    if (const auto v6 = parse_ipv6(text))
        return language::HostAddress(*v6);
    return std::nullopt;
}

StateFilter read_filter(Reader& in) {
    StateFilter filter;
    if (in.field("address") != nullptr) {
        filter.address = parse_address(in.string("address"));
        if (!filter.address)
            in.fail("address");
        const bool v6 = filter.address && std::holds_alternative<Ipv6>(*filter.address);
        filter.prefix_length = static_cast<std::uint8_t>(in.number("prefix_length", v6 ? 128 : 32));
    }
    if (in.field("protocol") != nullptr)
        filter.protocol = static_cast<std::uint8_t>(in.number("protocol", 255));
    const auto ranges = in.ranges("rules");
    if (ranges.size() > 1)
        in.fail("rules");
    else if (!ranges.empty())
        filter.rules = ranges.front();
    filter.port = static_cast<std::uint16_t>(in.number("port", 65535));
    filter.name = in.string("name");
    filter.minimum_age_s = static_cast<std::uint32_t>(in.number("age", kMaximum32));
    return filter;
}

StateOperation read_state_operation(std::size_t kind, Reader& in) {
    return {static_cast<StateOperation::Kind>(kind), read_filter(in)};
}

// Takes the next bytes of the rules, which stand behind the JSON.
AddOperation read_add(Reader& in, std::string_view& rules) {
    const auto size = static_cast<std::size_t>(in.number("bytes", rules.size()));
    AddOperation add{std::string(rules.substr(0, size))};
    rules.remove_prefix(size);
    return add;
}

Operation read_operation(const json& value, std::string_view& rules, std::string& problem) {
    Reader in(value, problem);
    Operation operation;
    operation.line = static_cast<std::uint32_t>(in.number("line", kMaximum32));
    operation.forgive = in.boolean("forgive");
    const std::string verb = in.string("do");
    if (verb == "add") {
        operation.what = read_add(in, rules);
    } else if (verb == "delete") {
        operation.what = language::DeleteCommand{
            .rules = in.ranges("rules"),
            .sets = in.numbers<std::uint8_t>("sets", language::kSetCount - 1),
            .in_set = in.set()};
    } else if (verb == "flush") {
        operation.what = language::FlushCommand{.in_set = in.set()};
    } else if (verb == "zero" || verb == "resetlog") {
        operation.what = language::ZeroCommand{
            .rules = in.numbers<std::uint16_t>("numbers", language::kDefaultRuleNumber),
            .in_set = in.set(),
            .log_only = verb == "resetlog"};
    } else if (verb == "list") {
        constexpr auto kLast = static_cast<std::uint64_t>(ListedStates::expired_too);
        operation.what =
            ListOperation{.rules = in.ranges("rules"),
                          .in_set = in.set(),
                          .states = static_cast<ListedStates>(in.number("states", kLast)),
                          .without_rules = in.boolean("without_rules"),
                          .with_since = in.boolean("with_since")};
    } else if (verb == "show sets") {
        operation.what = ShowSetsOperation{};
    } else if (verb == "show cost") {
        operation.what = ShowCostOperation{};
    } else if (verb == "trace") {
        operation.what =
            TraceOperation{.packet = in.string("packet"),
                           .chance = static_cast<contract::ChanceIs>(in.number("chance", 1))};
    } else if (verb == "switch sets") {
        const language::SetEnableCommand sets{
            .enable = static_cast<std::uint32_t>(in.number("enable", kMaximum32)),
            .disable = static_cast<std::uint32_t>(in.number("disable", kMaximum32))};
        if ((sets.enable & sets.disable) != 0)
            in.fail("a set that is enabled and disabled at once");
        operation.what = sets;
    } else if (verb == "move rule" || verb == "move set") {
        constexpr std::uint64_t kLastSet = language::kSetCount - 1;
        const bool by_rule = verb == "move rule";
        operation.what = language::SetMoveCommand{
            .by_rule = by_rule,
            .what = static_cast<std::uint16_t>(
                in.number("what", by_rule ? language::kDefaultRuleNumber : kLastSet)),
            .to = static_cast<std::uint8_t>(in.number("to", kLastSet))};
    } else if (verb == "swap sets") {
        constexpr std::uint64_t kLastSet = language::kSetCount - 1;
        operation.what = language::SetSwapCommand{
            .first = static_cast<std::uint8_t>(in.number("first", kLastSet)),
            .second = static_cast<std::uint8_t>(in.number("second", kLastSet))};
    } else if (const auto* state = std::find(std::begin(kStateVerbs), std::end(kStateVerbs), verb);
               state != std::end(kStateVerbs)) {
        operation.what =
            read_state_operation(static_cast<std::size_t>(state - std::begin(kStateVerbs)), in);
    } else if (verb == "table") {
        operation.what = read_table_operation(in);
    } else if (verb == "pattern") {
        operation.what = read_pattern_operation(in);
    } else if (verb == "safety") {
        operation.what = SafetyOperation{static_cast<SafetyOperation::Order>(
            in.number("order", static_cast<std::uint64_t>(SafetyOperation::Order::panic_off)))};
    } else if (verb == "follow") {
        operation.what = read_follow(in);
    } else if (verb == "status") {
        operation.what = StatusOperation{};
    } else if (verb == "history") {
        using Kind = HistoryOperation::Kind;
        const auto kLast = static_cast<std::uint64_t>(Kind::save);
        operation.what = HistoryOperation{.kind = static_cast<Kind>(in.number("kind", kLast)),
                                          .number = in.number("number", kMaximum64)};
    } else if (verb == "rollback") {
        operation.what = RollbackOperation{.number = in.number("number", kMaximum64)};
    } else if (verb == "read") {
        operation.what = ReadSysctlOperation{in.strings("names")};
    } else if (verb == "write") {
        operation.what = WriteSysctlOperation{in.string("name"), in.string("value")};
    } else {
        in.fail("an operation that this control plane does not know");
    }
    return operation;
}

// [number, set, text, packets, bytes, last match, disabled], and since when if that was asked
ruleset::ListedRule read_rule(const json& value, Reader& in) {
    if (!value.is_array() || (value.size() != 7 && value.size() != 8)) {
        in.fail("rules");
        return {};
    }
    return {
        .number = static_cast<std::uint16_t>(
            in.as_number(value[0], language::kDefaultRuleNumber, "rules")),
        .set = static_cast<std::uint8_t>(in.as_number(value[1], language::kSetCount - 1, "rules")),
        .text = in.as_string(value[2], "rules"),
        .packets = in.as_number(value[3], kMaximum64, "rules"),
        .bytes = in.as_number(value[4], kMaximum64, "rules"),
        .last_match_s = in.as_number(value[5], kMaximum64, "rules"),
        .disabled = in.as_number(value[6], 1, "rules") != 0,
        .since_s = value.size() == 8 ? in.as_number(value[7], kMaximum64, "rules") : 0};
}

// [number, kind, protocol, packets, bytes, expires, age, children, source, its port, destination,
// its port, name, answered]
ruleset::ListedState read_state(const json& value, Reader& in) {
    constexpr const char* kName = "states";
    if (!value.is_array() || value.size() != 14) {
        in.fail(kName);
        return {};
    }
    const auto number = [&](std::size_t at, std::uint64_t maximum) {
        return in.as_number(value[at], maximum, kName);
    };
    const auto small = [&](std::size_t at) {
        return static_cast<std::uint16_t>(number(at, 65535));
    };
    const auto word = [&](std::size_t at) {
        return static_cast<std::uint32_t>(number(at, kMaximum32));
    };
    const auto address = [&](std::size_t at) {
        const auto parsed = parse_address(in.as_string(value[at], kName));
        if (!parsed)
            in.fail(kName);
        return parsed.value_or(language::HostAddress());
    };
    constexpr auto kLastKind = static_cast<std::uint64_t>(contract::StateKind::parent);
    return {.number = small(0),
            .kind = static_cast<contract::StateKind>(number(1, kLastKind)),
            .protocol = static_cast<std::uint8_t>(number(2, 255)),
            .packets = number(3, kMaximum64),
            .bytes = number(4, kMaximum64),
            .expires_s = word(5),
            .age_s = word(6),
            .children = word(7),
            .source = address(8),
            .destination = address(10),
            .source_port = small(9),
            .destination_port = small(11),
            .name = in.as_string(value[12], kName),
            .answered = number(13, 1) != 0};
}

json state_json(const ruleset::ListedState& state) {
    return {state.number,
            static_cast<unsigned>(state.kind),
            state.protocol,
            state.packets,
            state.bytes,
            state.expires_s,
            state.age_s,
            state.children,
            address_text(state.source),
            state.source_port,
            address_text(state.destination),
            state.destination_port,
            state.name,
            state.answered ? 1 : 0};
}

// [bytes, boxes, trees, worst nodes, worst blocks, cut short]
contract::FamilyCost read_family_cost(const json* value, Reader& in) {
    if (value == nullptr || !value->is_array() || value->size() != 6) {
        in.fail("cost");
        return {};
    }
    const auto number = [&](std::size_t i) {
        return static_cast<std::uint32_t>(in.as_number((*value)[i], kMaximum32, "cost"));
    };
    return {.bytes = in.as_number((*value)[0], kMaximum64, "cost"),
            .boxes = number(1),
            .trees = number(2),
            .worst_nodes = number(3),
            .worst_blocks = number(4),
            .cut_short = number(5)};
}

json family_cost_json(const contract::FamilyCost& cost) {
    return {cost.bytes,       cost.boxes,        cost.trees,
            cost.worst_nodes, cost.worst_blocks, cost.cut_short};
}

contract::RulesetCost read_cost(const json& value, std::string& problem) {
    Reader in(value, problem);
    contract::RulesetCost cost;
    cost.bytes = in.number("bytes", kMaximum64);
    cost.build_us = in.number("build_us", kMaximum64);
    cost.rules = static_cast<std::uint32_t>(in.number("rules", kMaximum32));
    const std::string instructions = in.string("instructions");
    instructions.copy(cost.instructions, sizeof cost.instructions - 1);
    cost.v4 = read_family_cost(in.field("v4"), in);
    cost.v6 = read_family_cost(in.field("v6"), in);
    cost.other = read_family_cost(in.field("other"), in);
    return cost;
}

json cost_json(const contract::RulesetCost& cost) {
    const std::size_t length = strnlen(cost.instructions, sizeof cost.instructions);
    return {{"bytes", cost.bytes},
            {"build_us", cost.build_us},
            {"rules", cost.rules},
            {"instructions", std::string(cost.instructions, length)},
            {"v4", family_cost_json(cost.v4)},
            {"v6", family_cost_json(cost.v6)},
            {"other", family_cost_json(cost.other)}};
}

SysctlReport read_sysctl_report(const json& value, std::string& problem) {
    Reader in(value, problem);
    SysctlReport report;
    report.name = in.string("name");
    report.value = static_cast<std::uint32_t>(in.number("value", kMaximum32));
    if (in.field("previous") != nullptr)
        report.previous = static_cast<std::uint32_t>(in.number("previous", kMaximum32));
    return report;
}

OperationResult read_result(const json& value, std::string& problem) {
    Reader in(value, problem);
    OperationResult result;
    result.status = static_cast<ExitStatus>(in.number("status", 255));
    result.lines = in.strings("lines");
    result.complaints = in.strings("complaints");
    in.each("rules", [&](const json& e) { result.rules.push_back(read_rule(e, in)); });
    in.each("sysctls",
            [&](const json& e) { result.sysctls.push_back(read_sysctl_report(e, problem)); });
    in.each("states", [&](const json& e) { result.states.push_back(read_state(e, in)); });
    if (in.field("state_count") != nullptr)
        result.state_count = in.number("state_count", kMaximum64);
    if (in.field("disabled_sets") != nullptr)
        result.disabled_sets = static_cast<std::uint32_t>(in.number("disabled_sets", kMaximum32));
    in.each("history",
            [&](const json& e) { result.history.push_back(read_history_entry(e, problem)); });
    in.each("patterns", [&](const json& e) {
        result.pattern_objects.push_back(read_pattern_object(e, problem));
    });
    if (const json* cost = in.field("cost"); cost != nullptr)
        result.cost = read_cost(*cost, problem);
    return result;
}

Condition read_condition(const json& value, std::string& problem) {
    Reader in(value, problem);
    return {.panic = static_cast<contract::Panic>(
                in.number("panic", static_cast<std::uint64_t>(contract::Panic::pass))),
            .locked = in.boolean("locked"),
            .confirm_ms = static_cast<std::uint32_t>(in.number("confirm_ms", kMaximum32))};
}

json result_json(const OperationResult& result) {
    json object = json::object();
    object["status"] = static_cast<unsigned>(result.status);
    if (!result.lines.empty())
        object["lines"] = result.lines;
    if (!result.complaints.empty())
        object["complaints"] = result.complaints;
    if (!result.rules.empty()) {
        json& rules = object["rules"] = json::array();
        for (const ruleset::ListedRule& rule : result.rules) {
            rules.push_back({rule.number, rule.set, rule.text, rule.packets, rule.bytes,
                             rule.last_match_s, rule.disabled ? 1 : 0});
            if (rule.since_s != 0)
                rules.back().push_back(rule.since_s);
        }
    }
    if (!result.states.empty()) {
        json& states = object["states"] = json::array();
        for (const ruleset::ListedState& state : result.states)
            states.push_back(state_json(state));
    }
    if (result.state_count)
        object["state_count"] = *result.state_count;
    if (result.disabled_sets)
        object["disabled_sets"] = *result.disabled_sets;
    if (!result.history.empty())
        object["history"] = history_json(result.history);
    if (!result.pattern_objects.empty()) {
        json& objects = object["patterns"] = json::array();
        for (const ListedPatternObject& each : result.pattern_objects)
            objects.push_back(pattern_object_json(each));
    }
    if (result.cost)
        object["cost"] = cost_json(*result.cost);
    if (!result.sysctls.empty()) {
        json& sysctls = object["sysctls"] = json::array();
        for (const SysctlReport& report : result.sysctls) {
            json entry = {{"name", report.name}, {"value", report.value}};
            if (report.previous)
                entry["previous"] = *report.previous;
            sysctls.push_back(std::move(entry));
        }
    }
    return object;
}

}  // namespace

Error malformed_message(std::string_view what) {
    return {ExitStatus::software, "malformed message on the control socket: " + std::string(what)};
}

Result<json> parse_message(std::string_view text) {
    if (text.size() > kMaximumMessageSize)
        return malformed_message("too long");
    if (too_deep(text))
        return malformed_message("nested too deeply");
    json value = json::parse(text, nullptr, false);
    if (!value.is_object())
        return malformed_message("no JSON object");
    const auto version = value.find("version");
    if (version == value.end() || !version->is_number_unsigned())
        return malformed_message("no version");
    if (version->get<std::uint64_t>() != kProtocolVersion)
        return Error{ExitStatus::unavailable,
                     "ipfw and sluice-controlplane speak different versions of the control "
                     "protocol (" +
                         dumped(*version) + " and " + std::to_string(kProtocolVersion) +
                         "); install both from the same release and restart sluice-controlplane"};
    return value;
}

bool changes_something(const Operation& operation) {
    if (const auto* states = std::get_if<StateOperation>(&operation.what))
        return states->kind == StateOperation::Kind::kill;
    // Workers begin to copy packets, with all that is in them.
    if (const auto* follow = std::get_if<FollowOperation>(&operation.what))
        return follow->kind != FollowOperation::Kind::log;
    if (const auto* table = std::get_if<TableOperation>(&operation.what)) {
        using Verb = language::TableCommand::Verb;
        const Verb verb = table->command.verb;
        return verb != Verb::list && verb != Verb::info && verb != Verb::detail &&
               verb != Verb::lookup;
    }
    if (const auto* pattern = std::get_if<PatternOperation>(&operation.what)) {
        using Verb = language::PatternCommand::Verb;
        const Verb verb = pattern->command.verb;
        return verb != Verb::list && verb != Verb::info && verb != Verb::show && verb != Verb::lint;
    }
    return !std::holds_alternative<ListOperation>(operation.what) &&
           !std::holds_alternative<ShowSetsOperation>(operation.what) &&
           !std::holds_alternative<ShowCostOperation>(operation.what) &&
           !std::holds_alternative<TraceOperation>(operation.what) &&
           !std::holds_alternative<StatusOperation>(operation.what) &&
           !std::holds_alternative<HistoryOperation>(operation.what) &&
           !std::holds_alternative<ReadSysctlOperation>(operation.what);
}

bool asks_for_states(const Operation& operation) {
    if (const auto* list = std::get_if<ListOperation>(&operation.what))
        return list->states != ListedStates::none;
    const auto* states = std::get_if<StateOperation>(&operation.what);
    return states != nullptr && states->kind != StateOperation::Kind::kill;
}

Response refusal(const Error& error) {
    Response response;
    response.status = error.status;
    response.message = error.message;
    return response;
}

std::string encode(const Request& request) {
    json operations = json::array();
    std::string rules;
    for (const Operation& operation : request.operations) {
        json object = json::object();
        if (operation.line != 0)
            object["line"] = operation.line;
        if (operation.forgive)
            object["forgive"] = true;
        std::visit(OperationWriter{object, rules}, operation.what);
        operations.push_back(std::move(object));
    }
    json object = {{"version", kProtocolVersion},
                   {"whole", request.whole},
                   {"brief", request.brief},
                   {"operations", std::move(operations)}};
    if (request.apply)
        object["apply"] = apply_json(*request.apply);
    if (!request.source.empty())
        object["source"] = request.source;
    std::string message = dumped(object);
    return rules.empty() ? message : std::move(message) + kBehindJson + rules;
}

std::string encode(const Response& response) {
    json results = json::array();
    for (const OperationResult& result : response.results)
        results.push_back(result_json(result));
    json object = {
        {"version", kProtocolVersion},       {"status", static_cast<unsigned>(response.status)},
        {"message", response.message},       {"line", response.line},
        {"generation", response.generation}, {"data_plane", response.data_plane},
        {"results", std::move(results)}};
    if (response.applied)
        object["applied"] = applied_json(*response.applied);
    if (response.condition != Condition())
        object["condition"] = condition_json(response.condition);
    return dumped(object);
}

Result<Request> decode_request(std::string_view text) {
    const std::size_t end = std::min(text.find(kBehindJson), text.size());
    std::string_view rules = text.substr(std::min(end + 1, text.size()));
    const Result<json> value = parse_message(text.substr(0, end));
    if (!value)
        return value.error();
    std::string problem;
    Reader in(*value, problem);
    Request request;
    request.whole = in.boolean("whole");
    request.brief = in.boolean("brief");
    request.source = in.string("source");
    if (request.source.size() > kLongestSourceTaken)
        in.fail("source");
    if (const json* apply = in.field("apply"); apply != nullptr)
        request.apply = read_apply(*apply, problem);
    in.each("operations", [&](const json& e) {
        request.operations.push_back(read_operation(e, rules, problem));
    });
    // An empty file is a ruleset, too.
    if ((request.operations.empty() && !request.apply) || !rules.empty())
        in.fail("no operations, or rules that none of them adds");
    if (request.apply && !request.whole)
        in.fail("a ruleset that is not to take effect as a whole");
    const bool picks = std::any_of(
        request.operations.begin(), request.operations.end(), [](const Operation& operation) {
            const auto* states = std::get_if<StateOperation>(&operation.what);
            return (states != nullptr && states->kind != StateOperation::Kind::kill) ||
                   std::holds_alternative<ShowCostOperation>(operation.what) ||
                   std::holds_alternative<SafetyOperation>(operation.what) ||
                   std::holds_alternative<HistoryOperation>(operation.what) ||
                   std::holds_alternative<RollbackOperation>(operation.what) ||
                   std::holds_alternative<TraceOperation>(operation.what) ||
                   std::holds_alternative<FollowOperation>(operation.what) ||
                   std::holds_alternative<StatusOperation>(operation.what);
        });
    if (picks && request.operations.size() > 1)
        in.fail("an operation that must stand alone and does not");
    const bool rolls_back =
        !request.operations.empty() &&
        std::holds_alternative<RollbackOperation>(request.operations.front().what);
    if (rolls_back && !request.apply)
        in.fail("a rollback that is no apply");
    if (!problem.empty())
        return malformed_message(problem);
    return request;
}

Result<Response> decode_response(std::string_view text) {
    const Result<json> value = parse_message(text);
    if (!value)
        return value.error();
    std::string problem;
    Reader in(*value, problem);
    Response response;
    response.status = static_cast<ExitStatus>(in.number("status", 255));
    response.message = in.string("message");
    response.line = static_cast<std::uint32_t>(in.number("line", kMaximum32));
    response.generation = in.number("generation", kMaximum64);
    response.data_plane = in.boolean("data_plane");
    if (const json* applied = in.field("applied"); applied != nullptr)
        response.applied = read_applied(*applied, problem);
    if (const json* condition = in.field("condition"); condition != nullptr)
        response.condition = read_condition(*condition, problem);
    in.each("results", [&](const json& e) { response.results.push_back(read_result(e, problem)); });
    if (!problem.empty())
        return malformed_message(problem);
    return response;
}

}  // namespace sluice::service
