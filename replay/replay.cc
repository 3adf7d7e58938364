#include "replay/replay.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "common/read_file.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset.h"
#include "replay/capture.h"
#include "replay/environment_file.h"
#include "replay/meta_file.h"
#include "replay/rules_file.h"
#include "replay/simulation.h"

namespace sluice::replay {

namespace {

constexpr char kUsage[] =
    "usage: ipfw replay --rules RULES [--env ENV] --packets FILE.pcap [--meta META.csv]\n"
    "                   [--workers N] [--verdicts OUT.csv] [--log OUT.txt] [--show OUT.txt]\n"
    "                   [--dynamic OUT.txt] [--events OUT.csv]\n";

constexpr unsigned kMaximumWorkers = 64;
constexpr std::size_t kMaximumTextSize = std::size_t{1} << 30;

struct Options {
    std::string rules, environment, packets, meta;
    std::string verdicts, log, show, dynamic, events;
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
                 {"--show", options.show},         {"--dynamic", options.dynamic},
                 {"--events", options.events}};
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

Result<Done> print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        return Error{ExitStatus::os, std::string("standard output: ") + std::strerror(errno)};
    return Done{};
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
        const Result<std::string> text = read_file(options.environment, kMaximumTextSize);
        if (!text)
            return text.error();
        Result<EnvironmentFile> parsed = parse_environment(*text, options.environment);
        if (!parsed)
            return parsed.error();
        environment = std::move(*parsed);
    }
    const Result<std::string> rules_text = read_file(options.rules, kMaximumTextSize);
    if (!rules_text)
        return rules_text.error();
    const Result<RulesFile> rules =
        parse_rules(*rules_text, options.rules, environment, options.workers);
    if (!rules)
        return rules.error();
    const Result<std::vector<CapturedFrame>> frames = read_capture(options.packets);
    if (!frames)
        return frames.error();
    std::vector<PacketMeta> metas;
    if (!options.meta.empty()) {
        const Result<std::string> text = read_file(options.meta, kMaximumTextSize);
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
    auto simulation = Simulation::create(rules->ruleset, environment.environment, options.workers,
                                         environment.seed, rules->tables);
    if (!simulation)
        return simulation.error();
    const Outputs outputs = pass_packets(**simulation, *frames, metas);
    if (const std::uint64_t lost = (*simulation)->lost_log_lines(); lost != 0)
        return Error{ExitStatus::software, std::to_string(lost) + " log lines were lost"};

    const auto listing = (*simulation)->listing();
    const auto states = (*simulation)->states();
    if (!states)
        return states.error();
    const std::string show = ruleset::format_listing(listing, {.counters = true});
    const std::string dynamic = ruleset::format_listing(listing, {.counters = true}, *states);
    std::string events;
    for (const state::Keepalive& keepalive : (*simulation)->keepalives())
        events += "-1," + to_text(keepalive) + "\n";
    if (auto done = write_file(options.verdicts, outputs.verdicts); !done)
        return done;
    if (auto done = write_file(options.log, outputs.log); !done)
        return done;
    if (auto done = write_file(options.show, show); !done)
        return done;
    if (auto done = write_file(options.dynamic, dynamic); !done)
        return done;
    if (auto done = write_file(options.events, events); !done)
        return done;
    return options.verdicts.empty() ? print(outputs.verdicts) : Done{};
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
