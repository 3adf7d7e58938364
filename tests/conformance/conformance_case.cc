#include "tests/conformance/conformance_case.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <sstream>

#include "controlplane/compiler/support.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset.h"
#include "replay/capture.h"
#include "replay/environment_file.h"
#include "replay/meta_file.h"
#include "replay/replay.h"
#include "replay/rules_file.h"
#include "replay/simulation.h"
#include "tests/conformance/normalise.h"
#include "tests/reference/slow_engine.h"

namespace sluice::conformance {

namespace {

namespace fs = std::filesystem;

constexpr int kNotSupported = static_cast<int>(ExitStatus::unavailable);

[[noreturn]] void give_up(const Case& test, const std::string& why) {
    std::cerr << test.name << ": " << why << "\n";
    std::abort();
}

std::string read_text(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (fs::temp_directory_path() / "conformance-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            std::abort();
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    std::string operator/(const char* name) const { return (path_ / name).string(); }

  private:
    fs::path path_;
};

Answers not_yet(const std::string& why) {
    Answers answers;
    answers.not_yet = why;
    return answers;
}

template <typename T, typename E>
T value_of(const Case& test, Result<T, E> result) {
    if (!result)
        give_up(test, result.error().message);
    return std::move(*result);
}

constexpr std::size_t kShownDifferences = 3;

std::string first_differences(const std::string& what, const std::vector<std::string>& expected,
                              const std::vector<std::string>& found) {
    std::size_t different = 0;
    std::string text;
    for (std::size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
        const std::string want = i < expected.size() ? expected[i] : "(nothing)";
        const std::string have = i < found.size() ? found[i] : "(nothing)";
        if (want == have)
            continue;
        if (different++ < kShownDifferences)
            text += "\n    expected " + want + "\n    found    " + have;
    }
    if (different == 0)
        return {};
    return what + ": " + std::to_string(different) + " of " + std::to_string(expected.size()) +
           " lines differ, first" + text;
}

// `00100 12 3456 allow …` without the counters.
std::string without_counters(const std::string& line) {
    std::istringstream words(line);
    std::string number, packets, bytes;
    words >> number >> packets >> bytes;
    std::string rest;
    std::getline(words, rest);
    return number + rest;
}

template <typename Transform>
std::vector<std::string> mapped(std::vector<std::string> lines, Transform transform) {
    std::transform(lines.begin(), lines.end(), lines.begin(), transform);
    return lines;
}

// The original compares a flow label together with the version and the class in front of it, so
// that `flow-id` never matches; today it does. The packets of such a case get a label that no rule
// names, and both agree.
fs::path packets_of(const Case& test, const TemporaryFolder& folder) {
    const fs::path original = test.folder / "packets.pcap";
    if (!test.names_flow_labels)
        return original;
    constexpr std::size_t kFileHeader = 24, kRecordHeader = 16, kTypeAt = 12;
    std::string bytes = read_text(original);
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes.at(at)); };
    const auto pair = [&](std::size_t at) { return byte(at) << 8 | byte(at + 1); };
    for (std::size_t at = kFileHeader; at + kRecordHeader <= bytes.size();) {
        const std::size_t frame = at + kRecordHeader;
        const std::size_t length = byte(at + 8) | byte(at + 9) << 8 | byte(at + 10) << 16;
        std::size_t type = frame + kTypeAt;
        while (type + 6 <= frame + length && pair(type) == 0x8100)
            type += 4;
        if (type + 6 <= frame + length && pair(type) == 0x86dd) {
            bytes[type + 3] = static_cast<char>((byte(type + 3) & 0xf0) | 0x9);
            bytes[type + 4] = bytes[type + 5] = '\x99';
        }
        at = frame + length;
    }
    const fs::path changed = folder / "packets.pcap";
    std::ofstream(changed, std::ios::binary) << bytes;
    return changed;
}

}  // namespace

std::vector<std::string> read_lines(const fs::path& path) {
    std::ifstream stream(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);)
        if (!line.empty())
            lines.push_back(line);
    return lines;
}

std::vector<Case> find_cases(const fs::path& root, const std::string& prefix) {
    std::vector<Case> cases;
    std::error_code missing;
    for (const fs::directory_entry& entry : fs::directory_iterator(root, missing)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(prefix) || !fs::exists(entry.path() / "rules.ipfw"))
            continue;
        std::istringstream features(read_text(entry.path() / "features.txt"));
        Case test{.folder = entry.path(), .name = name};
        for (std::string feature; features >> feature;) {
            test.draws_chances = test.draws_chances || feature == "prob";
            test.names_flow_labels = test.names_flow_labels || feature == "flow-id";
            test.disables_sets = test.disables_sets || feature == "disable";
        }
        // Not every case that does it says so.
        test.disables_sets =
            test.disables_sets ||
            read_text(entry.path() / "rules.ipfw").find("\nset disable ") != std::string::npos;
        cases.push_back(test);
    }
    std::sort(cases.begin(), cases.end(),
              [](const Case& a, const Case& b) { return a.name < b.name; });
    return cases;
}

// What the original drew, packet by packet.
std::map<std::uint64_t, std::deque<std::uint32_t>> draws_of(const Case& test) {
    std::map<std::uint64_t, std::deque<std::uint32_t>> draws;
    for (const std::string& line : read_lines(test.folder / "events.csv")) {
        std::istringstream fields(line);
        std::string index, kind, value;
        std::getline(fields, index, ',');
        std::getline(fields, kind, ',');
        std::getline(fields, value, ',');
        if (kind == "random")
            draws[std::stoull(index)].push_back(static_cast<std::uint32_t>(std::stoul(value)));
    }
    return draws;
}

// The original draws at every rule with `prob` that it comes to, our engine only where the rest of
// the headers matches. So the reference engine, which comes to the same rules, says which draw
// belongs to which rule.
class ReplayedDraws final : public program::RandomSource {
  public:
    DrawsByRule draws;
    std::uint32_t draw(const packet::Packet& packet, std::uint32_t rule_index) override {
        const auto found = draws.find({packet.sequence, rule_index});
        if (found == draws.end() || found->second.empty())
            return 0;
        const std::uint32_t draw = found->second.front();
        found->second.pop_front();
        return draw;
    }
};

Answers answers_of_simulation(const Case& test, unsigned workers) {
    ReplayedDraws draws;
    if (const Answers reference = answers_of_reference(test, &draws.draws); reference.not_yet)
        return reference;
    const auto environment =
        value_of(test, replay::parse_environment(read_text(test.folder / "env.conf"), "env.conf"));
    const auto frames = value_of(test, replay::read_capture(test.folder / "packets.pcap"));
    const auto metas = value_of(test, replay::parse_meta(read_text(test.folder / "meta.csv"),
                                                         "meta.csv", environment.environment));
    const auto rules = value_of(test, replay::parse_rules(read_text(test.folder / "rules.ipfw"),
                                                          "rules.ipfw", environment, workers));
    const auto simulation =
        value_of(test, replay::Simulation::create(rules.ruleset, environment.environment, workers,
                                                  0, rules.tables, &draws));
    Answers answers;
    answers.verdicts.push_back("index,verdict,rule");
    for (std::size_t i = 0; i < frames.size(); ++i) {
        std::vector<std::string> log;
        const auto outcome =
            simulation->pass(frames[i].bytes, metas.at(i).passage, i, metas.at(i).time_ms, log);
        answers.verdicts.push_back(std::to_string(i) + "," +
                                   replay::to_text(outcome, simulation->runtime()) + "," +
                                   std::to_string(outcome.verdict.rule_number));
        for (const std::string& line : log)
            answers.log.push_back(std::to_string(i) + " " + line);
    }
    const auto states = value_of(test, simulation->states());
    const auto lines_of = [](const std::string& text) {
        std::vector<std::string> lines;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);)
            lines.push_back(line);
        return lines;
    };
    answers.show = lines_of(ruleset::format_listing(simulation->listing(), {.counters = true}));
    answers.dynamic =
        lines_of(ruleset::format_listing(simulation->listing(), {.counters = true}, states));
    for (const state::Keepalive& keepalive : simulation->keepalives())
        answers.events.push_back("-1," + replay::to_text(keepalive));
    return answers;
}

Answers answers_of_replay(const Case& test, unsigned workers) {
    if (test.draws_chances)
        return answers_of_simulation(test, workers);
    const TemporaryFolder out;
    std::vector<std::string> words = {"--rules",    test.folder / "rules.ipfw",
                                      "--env",      test.folder / "env.conf",
                                      "--packets",  packets_of(test, out),
                                      "--meta",     test.folder / "meta.csv",
                                      "--workers",  std::to_string(workers),
                                      "--verdicts", out / "verdicts.csv",
                                      "--log",      out / "log.txt",
                                      "--show",     out / "show.txt",
                                      "--dynamic",  out / "dyn.txt",
                                      "--events",   out / "events.csv"};
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    testing::internal::CaptureStderr();
    const int status = replay::run(static_cast<int>(arguments.size()), arguments.data());
    const std::string complaint = testing::internal::GetCapturedStderr();
    if (status == kNotSupported)
        return not_yet(complaint);
    if (status != 0)
        give_up(test, "exit " + std::to_string(status) + ": " + complaint);
    Answers answers;
    answers.verdicts = read_lines(out / "verdicts.csv");
    answers.show = read_lines(out / "show.txt");
    answers.log = read_lines(out / "log.txt");
    answers.dynamic = read_lines(out / "dyn.txt");
    answers.events = read_lines(out / "events.csv");
    return answers;
}

Answers answers_of_reference(const Case& test, DrawsByRule* draws) {
    const auto environment =
        value_of(test, replay::parse_environment(read_text(test.folder / "env.conf"), "env.conf"));
    const TemporaryFolder folder;
    const auto frames = value_of(test, replay::read_capture(packets_of(test, folder)));
    const auto metas = value_of(test, replay::parse_meta(read_text(test.folder / "meta.csv"),
                                                         "meta.csv", environment.environment));
    ruleset::Ruleset ruleset(environment.default_accept);
    ruleset.sysctls().verbose = 1;
    // The original has neither.
    ruleset.sysctls().dyn_established_share = 0;
    ruleset.sysctls().dyn_adaptive_start = 0;
    for (const replay::SysctlSetting& sysctl : environment.sysctls)
        if (const auto set = ruleset::write_sysctl(ruleset.sysctls(), sysctl.name, sysctl.value);
            !set)
            return not_yet(set.error().message);
    const language::RuleFile file =
        language::parse_file(read_text(test.folder / "rules.ipfw"), language::system_resolver());
    for (const language::FileError& error : file.errors)
        give_up(test, error.text());
    std::uint32_t disabled_sets = 0;
    std::vector<language::TableCommand> tables;
    for (const language::FileLine& line : file.lines) {
        if (const auto* table = std::get_if<language::TableCommand>(&line.invocation.command)) {
            tables.push_back(*table);
            continue;
        }
        if (const auto* sets = std::get_if<language::SetEnableCommand>(&line.invocation.command)) {
            disabled_sets = (disabled_sets | sets->disable) & ~sets->enable;
            continue;
        }
        const auto* add = std::get_if<language::AddCommand>(&line.invocation.command);
        if (add == nullptr)
            return not_yet("the reference engine takes rules, sets and tables only");
        if (auto why = compiler::unsupported(add->rule))
            return not_yet(*why);
        value_of(test, ruleset.add(add->rule));
    }

    std::vector<language::Rule> rules;
    std::vector<std::size_t> live_index;
    std::size_t live = 0;
    for (const ruleset::RulePointer& stored : ruleset.rules()) {
        rules.push_back(stored->rule);
        live_index.push_back((disabled_sets >> stored->rule.set & 1) != 0 ? live : live++);
    }
    auto drawn = draws_of(test);
    reference::SlowEngine engine(
        rules, environment.default_accept, environment.environment, ruleset.sysctls(),
        [&](std::uint64_t packet, std::size_t rule) {
            std::deque<std::uint32_t>& left = drawn[packet];
            if (left.empty())
                return 0u;
            const std::uint32_t draw = left.front();
            left.pop_front();
            if (draws != nullptr)
                (*draws)[{packet, live_index[rule]}].push_back(draw);
            return draw;
        },
        disabled_sets);
    for (const language::TableCommand& table : tables)
        engine.change_table(table);
    Answers answers;
    answers.verdicts.push_back("index,verdict,rule");
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const auto outcome =
            engine.pass(frames[i].bytes, metas.at(i).passage, i, metas.at(i).time_ms);
        answers.verdicts.push_back(std::to_string(i) + "," + outcome.verdict + "," +
                                   std::to_string(outcome.rule_number));
        for (const std::string& line : outcome.log)
            answers.log.push_back(std::to_string(i) + " " + line);
    }
    std::vector<ruleset::ListedRule> listed;
    for (std::size_t i = 0; i < rules.size(); ++i)
        if ((disabled_sets >> rules[i].set & 1) == 0)
            listed.push_back({.number = rules[i].number,
                              .text = ruleset.rules()[i]->text,
                              .packets = engine.counters()[i].packets,
                              .bytes = engine.counters()[i].bytes});
    listed.push_back({.number = language::kDefaultRuleNumber,
                      .text = ruleset.default_rule()->text,
                      .packets = engine.counters().back().packets,
                      .bytes = engine.counters().back().bytes});
    std::istringstream show(ruleset::format_listing(listed, {.counters = true}));
    for (std::string line; std::getline(show, line);)
        answers.show.push_back(line);
    const std::vector<std::string> states = engine.state_lines();
    if (!states.empty())
        answers.dynamic.push_back("## Dynamic rules (" + std::to_string(states.size()) + " 0):");
    answers.dynamic.insert(answers.dynamic.end(), states.begin(), states.end());
    for (const std::string& keepalive : engine.states().keepalives())
        answers.events.push_back("-1,keepalive," + keepalive);
    return answers;
}

std::vector<std::string> disagreements(const Case& test, const Answers& answers) {
    std::vector<std::string> all;
    auto compare = [&](const std::string& what, const std::vector<std::string>& expected,
                       const std::vector<std::string>& found) {
        if (std::string text = first_differences(what, expected, found); !text.empty())
            all.push_back(test.name + ": " + text);
    };
    compare("verdict", mapped(read_lines(test.folder / "expected.csv"), normalised_verdict),
            mapped(answers.verdicts, normalised_verdict));
    const auto listed = [&](std::vector<std::string> lines) {
        lines = mapped(std::move(lines), normalised_rule);
        return test.disables_sets ? without_repeats(lines) : lines;
    };
    compare("list", listed(read_lines(test.folder / "list.txt")),
            listed(mapped(answers.show, without_counters)));
    compare("show", listed(read_lines(test.folder / "show.txt")), listed(answers.show));
    compare("log", normalised_log(read_lines(test.folder / "log.txt")),
            normalised_log(answers.log));
    compare("states", normalised_states(read_lines(test.folder / "dyn.txt")),
            normalised_states(answers.dynamic));
    compare("keepalives", keepalives_of(read_lines(test.folder / "events.csv")),
            keepalives_of(answers.events));
    return all;
}

}  // namespace sluice::conformance
