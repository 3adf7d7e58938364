// One policy, written in four styles: rule by rule, with or-blocks, with tables, and sorted another
// way, once with states (sf) and once without (sl). They must judge every packet alike.
//
// The rulesets are other people's text and not in the repository: they are read from
// $SLUICE_SHARED/rulesets when that is there. A style that is not carried out yet is left out, and
// the test says which.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "replay/rules_file.h"
#include "replay/simulation.h"
#include "tests/reference/random_packets.h"

namespace sluice::reference {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kPackets = 30000;

fs::path rulesets() {
    const char* variable = std::getenv("SLUICE_SHARED");
    return (variable != nullptr ? fs::path(variable) : fs::path(SLUICE_DEFAULT_SHARED)) /
           "rulesets";
}

packet::Environment three_interfaces() {
    return {.interfaces = {{"em0", {}}, {"em1", {}}, {"em2", {}}}, .routes = {}};
}

struct Style {
    std::string name;
    ruleset::Ruleset rules;
    std::unique_ptr<replay::Simulation> simulation;
};

std::vector<Style> styles_of(const std::string& policy) {
    std::vector<Style> styles;
    for (const char* name : {"for", "or", "table", "monstrinho"}) {
        const fs::path path = rulesets() / ("class-" + std::string(name) + "-" + policy + ".rules");
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        const auto rules = replay::parse_rules(text.str(), path.filename(), {});
        if (!rules && rules.error().status == ExitStatus::unavailable) {
            std::cout << "left out: " << rules.error().message << "\n";
            continue;
        }
        EXPECT_TRUE(rules) << rules.error().message;
        if (!rules)
            continue;
        auto simulation =
            replay::Simulation::create(rules->ruleset, three_interfaces(), 1, 1, rules->tables);
        EXPECT_TRUE(simulation) << simulation.error().message;
        if (simulation)
            styles.push_back({name, rules->ruleset, std::move(*simulation)});
    }
    return styles;
}

void compare(const std::string& policy) {
    if (!fs::exists(rulesets()))
        GTEST_SKIP() << rulesets() << " is not there";
    const std::vector<Style> styles = styles_of(policy);
    ASSERT_GE(styles.size(), 3u);
    std::vector<language::Rule> rules;
    for (const ruleset::RulePointer& rule : styles.front().rules.rules())
        rules.push_back(rule->rule);
    Random random(policy == "sf" ? 11 : 12);
    const Corners corners = corners_of(rules, random);
    Conversations conversations(random, corners, 3);
    std::size_t accepted = 0;
    for (unsigned i = 0; i < kPackets; ++i) {
        const RandomPacket input = conversations.next();
        std::vector<std::string> log;
        std::string first;
        for (const Style& style : styles) {
            const replay::Outcome outcome =
                style.simulation->pass(input.frame, input.passage, i, input.time_ms, log);
            const std::string verdict = to_text(outcome, style.simulation->runtime());
            if (first.empty())
                first = verdict;
            ASSERT_EQ(verdict, first) << "packet " << i << ", " << styles.front().name << " and "
                                      << style.name << ": " << to_hex(input.frame);
        }
        accepted += first == "accept" ? 1 : 0;
    }
    EXPECT_GT(accepted, kPackets / 300);
    EXPECT_LT(accepted, kPackets);
    std::cout << styles.size() << " styles, " << kPackets << " packets, " << accepted
              << " of them accepted\n";
}

TEST(SamePolicy, WithoutStates) {
    compare("sl");
}

TEST(SamePolicy, WithStates) {
    compare("sf");
}

}  // namespace
}  // namespace sluice::reference
