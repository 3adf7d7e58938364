#include "replay/trace_command.h"

#include <optional>
#include <string>
#include <string_view>

#include "common/read_file.h"
#include "controlplane/compiler/compile.h"
#include "controlplane/compiler/support.h"
#include "controlplane/compiler/trace_text.h"
#include "controlplane/language/packet_text.h"
#include "dataplane/program/trace_check.h"
#include "dataplane/state/state_table.h"
#include "replay/environment_file.h"
#include "replay/rules_file.h"

namespace sluice::replay {
namespace {

constexpr char kUsage[] =
    "usage: ipfw trace --rules RULES [--env ENV] [--prob-as match|skip] PACKET\n"
    "  as in: ipfw trace --rules rules.ipfw 'in em0 tcp 1.2.3.4:5 > 6.7.8.9:80 S'\n"
    "Without --rules and --env the running rules are asked.";

constexpr std::size_t kMaximumTextSize = std::size_t{1} << 30;
constexpr state::CellIndex kFewCells = 64;  // there are no states

struct Options {
    std::string rules, environment, packet;
    std::optional<contract::ChanceIs> chance;  // none: both
};

Error refuse(const std::string& why, ExitStatus status = ExitStatus::usage) {
    return {status, "trace: " + why + "\n" + kUsage};
}

Result<Options> parse_options(std::span<const std::string> arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        if (!word.starts_with("--")) {
            options.packet += (options.packet.empty() ? "" : " ") + std::string(word);
            continue;
        }
        if (++i == arguments.size())
            return refuse(std::string(word) + " needs a value");
        const std::string_view value = arguments[i];
        if (word == "--rules")
            options.rules = value;
        else if (word == "--env")
            options.environment = value;
        else if (word == "--prob-as" && (value == "match" || value == "skip"))
            options.chance =
                value == "match" ? contract::ChanceIs::match : contract::ChanceIs::skip;
        else
            return refuse("found " + std::string(word) + " " + std::string(value) +
                          "; expected --rules, --env or --prob-as match|skip");
    }
    if (options.packet.empty())
        return refuse("a packet is missing");
    if (options.rules.empty())
        return refuse("--rules is missing", ExitStatus::unavailable);
    return options;
}

Result<packet::InterfaceIndex> interface_named(const packet::Environment& environment,
                                               const std::string& name) {
    if (name.empty())
        return packet::kNoInterface;
    const packet::InterfaceIndex index = find_interface(environment, name);
    if (index == packet::kNoInterface)
        return Error{ExitStatus::data, "there is no interface " + name +
                                           "; name it in the file of --env: `if " + name +
                                           " ADDRESS/LENGTH`"};
    return index;
}

Result<packet::Passage> passage_of(const language::PacketText& text,
                                   const packet::Environment& environment) {
    const auto interface = interface_named(environment, text.interface);
    const auto received = interface_named(environment, text.receive_interface);
    if (!interface)
        return interface.error();
    if (!received)
        return received.error();
    packet::Passage passage;
    passage.direction = text.out ? packet::Direction::out : packet::Direction::in;
    passage.entry = text.bridged ? packet::Entry::bridge : packet::Entry::ip;
    passage.receive_interface = text.out ? *received : *interface;
    passage.transmit_interface = text.out ? *interface : packet::kNoInterface;
    return passage;
}

// Time is that of a replay: it begins at 0.
std::string traced(const program::TraceWorld& world, const packet::Packet& packet,
                   const ruleset::Ruleset& rules, contract::ChanceIs chance, bool& by_chance) {
    const program::Trace trace = program::trace(world, packet, chance);
    for (const contract::TraceStep& step : trace.steps)
        by_chance |= (step.flags & contract::trace_flag::by_chance) != 0;
    const contract::TraceCheck check = program::check_trace(world, packet, chance, trace);
    return compiler::trace_text(rules, trace.steps,
                                program::to_contract(trace.verdict, world.runtime, check));
}

Result<std::string> trace(const Options& options) {
    const auto text = language::parse_packet(options.packet);
    if (!text)
        return Error{text.error().status, "the packet: " + text.error().text()};
    EnvironmentFile environment;
    if (!options.environment.empty()) {
        const Result<std::string> file = read_file(options.environment, kMaximumTextSize);
        if (!file)
            return file.error();
        auto parsed = parse_environment(*file, options.environment);
        if (!parsed)
            return parsed.error();
        environment = std::move(*parsed);
    } else {
        // Nothing is known of the machine but what the packet says.
        for (const std::string& name : {text->interface, text->receive_interface})
            if (!name.empty() &&
                find_interface(environment.environment, name) == packet::kNoInterface)
                environment.environment.interfaces.emplace_back().name = name;
    }
    const auto passage = passage_of(*text, environment.environment);
    if (!passage)
        return passage.error();
    const Result<std::string> file = read_file(options.rules, kMaximumTextSize);
    if (!file)
        return file.error();
    const Result<RulesFile> rules = parse_rules(*file, options.rules, environment, 1);
    if (!rules)
        return rules.error();
    std::uint32_t slots = rules->ruleset.default_rule()->slot + 1;
    for (const ruleset::RulePointer& rule : rules->ruleset.rules()) {
        if (auto why = compiler::unsupported(rule->rule))
            return Error{ExitStatus::unavailable, *why};
        slots = std::max(slots, rule->slot + 1);
    }
    const auto image = compiler::compile(rules->ruleset, 1);
    if (!image)
        return image.error();
    const auto runtime = program::Runtime::create(*image, environment.environment, slots);
    if (!runtime)
        return runtime.error();
    contract::WorkerCounters counters;
    std::vector<contract::RuleCounters> rule_counters(slots);
    const auto states = state::StateTable::create({.cells = kFewCells,
                                                   .secret = {1, 2, 3, 4},
                                                   .counters = &counters,
                                                   .rules = rule_counters});
    if (!states)
        return states.error();
    const state::StateTable* const shard = states->get();
    const program::TraceWorld world{
        .runtime = **runtime, .states = {&shard, 1}, .tables = rules->tables.get()};
    packet::Packet packet;
    packet.malformed =
        packet::parse_frame(text->frame, (*runtime)->parser_settings(), packet.headers);
    packet.passage = *passage;
    bool by_chance = false;
    using contract::ChanceIs;
    std::string told =
        traced(world, packet, rules->ruleset, options.chance.value_or(ChanceIs::match), by_chance);
    if (!by_chance || options.chance)
        return told;
    return "-- if `prob` matches --\n" + told + "-- if it does not --\n" +
           traced(world, packet, rules->ruleset, ChanceIs::skip, by_chance);
}

}  // namespace

Result<std::string> trace_through_file(std::span<const std::string> arguments) {
    const Result<Options> options = parse_options(arguments);
    return options ? trace(*options) : Result<std::string>(options.error());
}

}  // namespace sluice::replay
