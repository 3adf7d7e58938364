// Findings of lint against the reference engine: random rulesets and random packets at the corners
// of the rules. A rule that never matches and one that is shadowed count nothing; without a rule
// that is shadowed or redundant every packet ends as before, and so it does without all of them.
//
// SLUICE_DIFFERENTIAL_SECONDS makes it longer, SLUICE_DIFFERENTIAL_SEED starts elsewhere.
#include "analysis/lint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "tests/reference/random_rules.h"
#include "tests/reference/scenario.h"
#include "tests/reference/slow_engine.h"

namespace sluice::reference {
namespace {

using analysis::Finding;
using analysis::FindingKind;

constexpr unsigned kPackets = 200;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Passed {
    std::vector<std::string> verdicts;
    std::vector<SlowCounters> counters;
};

// Draws are those that the rules would have had with none left out.
Passed run_without(const Scenario& scenario, const std::vector<language::Rule>& rules,
                   const std::set<std::size_t>& left_out) {
    std::vector<language::Rule> left;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (left_out.contains(i))
            continue;
        left.push_back(rules[i]);
        places.push_back(i);
    }
    places.push_back(rules.size());
    SlowEngine engine(
        std::move(left), scenario.default_accept, world(scenario.world), scenario.sysctls,
        [&](std::uint64_t sequence, std::size_t rule) {
            return shared_draw(scenario.draw_seed, sequence, places[rule]);
        },
        scenario.disabled_sets);
    for (const language::TableCommand& command : parse_tables(scenario.tables))
        engine.change_table(command);
    Passed run;
    for (std::size_t i = 0; i < scenario.packets.size(); ++i) {
        const RandomPacket& packet = scenario.packets[i];
        run.verdicts.push_back(
            engine.pass(packet.frame, packet.passage, i, packet.time_ms).verdict);
    }
    run.counters = engine.counters();
    return run;
}

// As random_scenario, but often with few kinds of rules: then rules cover each other.
Scenario scenario_for_lint(std::uint64_t seed) {
    Random random(seed);
    Scenario scenario;
    const auto count = random.between(2, 25);
    static const std::vector<std::string> kActions = {"allow", "deny",  "allow",       "deny",
                                                      "count", "reset", "unreach port"};
    static const std::vector<std::string> kProtocols = {"ip",   "ip",  "tcp", "udp",
                                                        "icmp", "ip6", "ip4"};
    static const std::vector<std::string> kAddresses = {
        "any",          "any",         "any", "10.0.0.0/8",    "10.0.0.0/9",
        "10.128.0.0/9", "10.1.0.0/16", "me",  "not 10.0.0.0/8"};
    static const std::vector<std::string> kPorts = {"", "", "80", "1-100", "50-150", "not 80"};
    static const std::vector<std::string> kOptions = {"",
                                                      "",
                                                      "",
                                                      "in",
                                                      "out",
                                                      "established",
                                                      "setup",
                                                      "frag",
                                                      "in recv em0",
                                                      "via em0",
                                                      "via em*",
                                                      "xmit em1",
                                                      "layer2",
                                                      "not layer2",
                                                      "iplen 0-100",
                                                      "keep-state",
                                                      "tcpflags syn,!ack",
                                                      "icmptypes 8",
                                                      "prob 0.5"};
    if (random.one_in(3)) {
        scenario.rules = random_ruleset(random, count);
    } else {
        for (unsigned i = 0; i < count; ++i) {
            if (random.one_in(3)) {
                scenario.rules.push_back(std::to_string(10 * (i + 1)) + " " +
                                         random_rule_text(random));
                continue;
            }
            const std::string protocol = random.pick(kProtocols);
            const bool ports = protocol == "tcp" || protocol == "udp";
            std::string option = random.pick(kOptions), action = random.pick(kActions);
            if (option == "prob 0.5")
                action = std::exchange(option, "") + " " + action;
            if (random.one_in(12))
                action = "skipto " + std::to_string(10 * (i + 1 + random.between(1, 5)));
            std::string rule = std::to_string(10 * (i + 1)) + " " + action + " " + protocol +
                               " from " + random.pick(kAddresses) + " ";
            if (ports)
                rule += random.pick(kPorts);
            rule += " to " + random.pick(kAddresses) + " ";
            if (ports)
                rule += random.pick(kPorts);
            scenario.rules.push_back(rule + " " + option);
        }
    }
    scenario.tables = random_tables(random, random.between(0, 30));
    scenario.world = random.below(3);
    scenario.default_accept = random.one_in(2);
    if (random.one_in(4))
        scenario.disabled_sets = static_cast<std::uint32_t>(random.next()) & 0x7fffffff;
    scenario.draw_seed = random.next();
    const Corners corners = corners_of(parse_rules(scenario.rules), random);
    const auto interfaces = static_cast<unsigned>(world(scenario.world).interfaces.size());
    Conversations conversations(random, corners, interfaces);
    for (unsigned i = 0; i < kPackets; ++i)
        scenario.packets.push_back(random.one_in(2) ? conversations.next()
                                                    : random_packet(random, corners, interfaces));
    std::stable_sort(
        scenario.packets.begin(), scenario.packets.end(),
        [](const RandomPacket& a, const RandomPacket& b) { return a.time_ms < b.time_ms; });
    return scenario;
}

std::optional<ruleset::Ruleset> ruleset_of(const Scenario& scenario,
                                           const std::vector<language::Rule>& rules) {
    ruleset::Ruleset ruleset(scenario.default_accept);
    ruleset.sysctls() = scenario.sysctls;
    for (const language::Rule& rule : rules)
        if (!ruleset.add(rule))
            return std::nullopt;
    ruleset.switch_sets(0, scenario.disabled_sets);
    return ruleset;
}

std::string told(const Scenario& scenario, const Finding& finding, std::uint64_t seed) {
    std::string text = "seed " + std::to_string(seed) + ": " + analysis::name_of(finding.kind) +
                       ": " + scenario.rules[finding.rule] + "\n  by";
    for (const std::size_t other : finding.others)
        text += "\n    " + (other < scenario.rules.size() ? scenario.rules[other] : "65535");
    return text + "\n" + describe(scenario);
}

TEST(Lint, FindingsAreTrue) {
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(setting("SLUICE_DIFFERENTIAL_SECONDS", 10));
    const std::uint64_t first = setting("SLUICE_DIFFERENTIAL_SEED", 1);
    std::map<FindingKind, std::size_t> found;
    std::size_t met = 0;  // findings whose rules, or those that hide them, some packet met
    for (std::uint64_t seed = first; seed == first || std::chrono::steady_clock::now() < end;
         ++seed) {
        const Scenario scenario = scenario_for_lint(seed);
        const std::vector<language::Rule> rules = parse_rules(scenario.rules);
        const auto ruleset = ruleset_of(scenario, rules);
        if (!ruleset)
            continue;
        const auto report =
            analysis::lint(*ruleset, analysis::DefaultRule::known, analysis::Crossing::told);
        if (!report)
            continue;  // a label is missing, or a table is of another type
        const Passed whole = run_without(scenario, rules, {});
        std::set<std::size_t> all;
        for (const Finding& finding : report->findings) {
            ++found[finding.kind];
            const bool matches_nothing = finding.kind == FindingKind::never_matching ||
                                         finding.kind == FindingKind::shadowed;
            if (matches_nothing) {
                ASSERT_EQ(whole.counters[finding.rule].packets, 0u)
                    << told(scenario, finding, seed);
            }
            for (const std::size_t other : finding.others)
                met += whole.counters[other].packets != 0 ? 1 : 0;
            if (finding.kind != FindingKind::shadowed && finding.kind != FindingKind::redundant)
                continue;
            all.insert(finding.rule);
            const Passed without = run_without(scenario, rules, {finding.rule});
            for (std::size_t i = 0; i < whole.verdicts.size(); ++i)
                ASSERT_EQ(whole.verdicts[i], without.verdicts[i]) << "packet " << i << "\n"
                                                                  << told(scenario, finding, seed);
        }
        const Passed without = run_without(scenario, rules, all);
        ASSERT_EQ(whole.verdicts, without.verdicts) << "without all of them, seed " << seed << "\n"
                                                    << describe(scenario);
    }
    for (const auto& [kind, count] : found)
        std::cout << count << " " << analysis::name_of(kind) << "\n";
    std::cout << met << " rules named by findings were met\n";
    EXPECT_GT(found[FindingKind::never_matching], 0u);
    EXPECT_GT(found[FindingKind::shadowed], 0u);
    EXPECT_GT(found[FindingKind::redundant], 0u);
    EXPECT_GT(found[FindingKind::contradicting], 0u);
    EXPECT_GT(met, 0u);
}

}  // namespace
}  // namespace sluice::reference
