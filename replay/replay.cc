#include "replay/replay.h"

#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset.h"
#include "replay/capture.h"
#include "replay/environment_file.h"
#include "replay/meta_file.h"
#include "replay/simulation.h"

namespace sluice::replay {

namespace {

constexpr char kUsage[] =
    "usage: ipfw replay --rules RULES [--env ENV] --packets FILE.pcap [--meta META.csv]\n"
    "                   [--workers N] [--verdicts OUT.csv] [--log OUT.txt] [--show OUT.txt]\n"
    "                   [--dynamic OUT.txt]\n";

constexpr unsigned kMaximumWorkers = 64;

struct Options {
    std::string rules, environment, packets, meta;
    std::string verdicts, log, show, dynamic;
    unsigned workers = 1;
};

Result<Options> parse_options(int count, char** arguments) {
    Options options;
    const struct {
        const char* name;
        std::string& value;
    } texts[] = {{"--rules", options.rules},       {"--env", options.environment},
                 {"--packets", options.packets},   {"--meta", options.meta},
                 {"--verdicts", options.verdicts}, {"--log", options.log},
                 {"--show", options.show},         {"--dynamic", options.dynamic}};
    auto refuse = [](const std::string& why) {
        return Error{ExitStatus::usage, why + "\n" + kUsage};
    };
    for (int i = 0; i < count; i += 2) {
        const std::string name = arguments[i];
        if (i + 1 == count)
            return refuse("replay: " + name + " needs a value");
        const std::string value = arguments[i + 1];
        if (name == "--workers") {
            const auto [end, error] =
                std::from_chars(value.data(), value.data() + value.size(), options.workers);
            if (error != std::errc{} || end != value.data() + value.size() ||
                options.workers == 0 || options.workers > kMaximumWorkers)
                return refuse("replay: --workers takes a number from 1 to 64, found " + value);
            continue;
        }
        bool known = false;
        for (const auto& text : texts) {
            if (name == text.name) {
                text.value = value;
                known = true;
            }
        }
        if (!known)
            return refuse("replay: unknown option " + name);
    }
    if (options.rules.empty() || options.packets.empty())
        return refuse("replay: --rules and --packets are needed");
    return options;
}

Result<std::string> read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream)
        return Error{ExitStatus::usage, "cannot open " + path};
    return std::string{std::istreambuf_iterator<char>(stream), {}};
}

Result<Done> write_file(const std::string& path, const std::string& text) {
    if (path.empty())
        return Done{};
    std::ofstream stream(path, std::ios::binary);
    stream << text;
    stream.flush();
    if (!stream)
        return Error{ExitStatus::os, "cannot write " + path};
    return Done{};
}

// What a line of the rule file does to the ruleset. Commands that only print are skipped: a replay
// prints at its end.
Result<Done> apply(const language::Command& command, ruleset::Ruleset& rules) {
    if (const auto* add = std::get_if<language::AddCommand>(&command)) {
        Result<ruleset::RulePointer> added = rules.add(add->rule);
        if (!added)
            return added.error();
        return Done{};
    }
    if (const auto* flush = std::get_if<language::FlushCommand>(&command)) {
        if (flush->in_set)
            rules.remove_set(*flush->in_set);
        else
            rules.flush();
        return Done{};
    }
    if (const auto* remove = std::get_if<language::DeleteCommand>(&command)) {
        for (const language::RuleRange& range : remove->rules)
            rules.remove(range, remove->in_set);
        for (const std::uint8_t set : remove->sets)
            rules.remove_set(set);
        return Done{};
    }
    if (const auto* change = std::get_if<language::SwitchCommand>(&command))
        return change->sysctl.empty()
                   ? Result<Done>(Done{})
                   : ruleset::write_sysctl(rules.sysctls(), change->sysctl, change->on ? "1" : "0");
    if (const auto* sysctl = std::get_if<language::SysctlCommand>(&command)) {
        for (const auto& item : sysctl->items)
            if (item.value)
                if (auto done = ruleset::write_sysctl(rules.sysctls(), item.name, *item.value);
                    !done)
                    return done.error();
        return Done{};
    }
    if (const auto* missing = std::get_if<language::NotSupportedCommand>(&command))
        return missing->error();
    if (std::holds_alternative<language::ListCommand>(command) ||
        std::holds_alternative<language::ZeroCommand>(command))
        return Done{};
    return Error{ExitStatus::unavailable, "not supported yet in a replay: this command"};
}

Result<ruleset::Ruleset> load_rules(const Options& options, const EnvironmentFile& environment) {
    ruleset::Ruleset rules(environment.default_accept);
    rules.sysctls().verbose = 1;
    for (const SysctlSetting& setting : environment.sysctls)
        if (auto done = ruleset::write_sysctl(rules.sysctls(), setting.name, setting.value); !done)
            return done.error();
    const Result<std::string> text = read_file(options.rules);
    if (!text)
        return text.error();
    const language::RuleFile file = language::parse_file(*text, language::system_resolver());
    if (!file.errors.empty()) {
        std::string message;
        for (const language::FileError& error : file.errors)
            message += (message.empty() ? "" : "\n") + options.rules + ": " + error.text();
        return Error{file.errors.front().error.status, message};
    }
    for (const language::FileLine& line : file.lines)
        if (auto done = apply(line.invocation.command, rules); !done)
            return Error{done.error().status, options.rules + ": Line " +
                                                  std::to_string(line.line) + ": " +
                                                  done.error().message};
    return rules;
}

struct Outputs {
    std::string verdicts = "index,verdict,rule\n";
    std::string log;
};

Outputs pass_packets(Simulation& simulation, const std::vector<CapturedFrame>& frames,
                     const std::vector<PacketMeta>& metas) {
    Outputs outputs;
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const PacketMeta meta = metas.empty() ? PacketMeta{} : metas[i];
        lines.clear();
        const Outcome outcome =
            simulation.pass(frames[i].bytes, meta.passage, i, meta.time_ms, lines);
        outputs.verdicts += std::to_string(i) + "," + to_text(outcome, simulation.runtime()) + "," +
                            std::to_string(outcome.verdict.rule_number) + "\n";
        for (const std::string& line : lines)
            outputs.log += std::to_string(i) + " " + line + "\n";
    }
    return outputs;
}

Result<Done> replay(const Options& options) {
    EnvironmentFile environment;
    if (!options.environment.empty()) {
        const Result<std::string> text = read_file(options.environment);
        if (!text)
            return text.error();
        Result<EnvironmentFile> parsed = parse_environment(*text, options.environment);
        if (!parsed)
            return parsed.error();
        environment = std::move(*parsed);
    }
    const Result<ruleset::Ruleset> rules = load_rules(options, environment);
    if (!rules)
        return rules.error();
    const Result<std::vector<CapturedFrame>> frames = read_capture(options.packets);
    if (!frames)
        return frames.error();
    std::vector<PacketMeta> metas;
    if (!options.meta.empty()) {
        const Result<std::string> text = read_file(options.meta);
        if (!text)
            return text.error();
        Result<std::vector<PacketMeta>> parsed =
            parse_meta(*text, options.meta, environment.environment);
        if (!parsed)
            return parsed.error();
        metas = std::move(*parsed);
        if (metas.size() != frames->size())
            return Error{ExitStatus::data, options.meta + " describes " +
                                               std::to_string(metas.size()) + " packets, " +
                                               options.packets + " has " +
                                               std::to_string(frames->size())};
    }
    auto simulation =
        Simulation::create(*rules, environment.environment, options.workers, environment.seed);
    if (!simulation)
        return simulation.error();
    const Outputs outputs = pass_packets(**simulation, *frames, metas);

    const std::string show = ruleset::format_listing((*simulation)->listing(), {.counters = true});
    if (auto done = write_file(options.verdicts, outputs.verdicts); !done)
        return done;
    if (auto done = write_file(options.log, outputs.log); !done)
        return done;
    if (auto done = write_file(options.show, show); !done)
        return done;
    if (auto done = write_file(options.dynamic, show); !done)
        return done;
    if (options.verdicts.empty())
        std::fputs(outputs.verdicts.c_str(), stdout);
    return Done{};
}

}  // namespace

int run(int argument_count, char** arguments) {
    const Result<Options> options = parse_options(argument_count, arguments);
    const Result<Done> done = options ? replay(*options) : Result<Done>(options.error());
    if (!done) {
        std::fprintf(stderr, "ipfw: %s\n", done.error().message.c_str());
        return static_cast<int>(done.error().status);
    }
    return 0;
}

}  // namespace sluice::replay
