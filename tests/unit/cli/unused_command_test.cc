#include "controlplane/cli/unused_command.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {

using ruleset::ListedRule;
using Words = std::vector<std::string>;

constexpr std::uint64_t kDay = 24 * 3600, kNow = 1000 * kDay;

ListedRule rule(std::uint16_t number, std::uint64_t last_match_s, std::uint64_t since_s) {
    return {.number = number,
            .text = "allow ip from any to any",
            .last_match_s = last_match_s,
            .since_s = since_s};
}

// The numbers that are unused, and those of which too little is known.
std::pair<std::vector<int>, std::vector<int>> shown(const std::vector<ListedRule>& rules,
                                                    std::uint64_t days) {
    Output output;
    show_unused({.since_s = days * kDay, .json = true}, rules, kNow, output);
    const auto object = nlohmann::json::parse(output.out);
    EXPECT_EQ(object["schema"], "sluice/unused/1");
    std::pair<std::vector<int>, std::vector<int>> numbers;
    for (const auto& each : object["unused"])
        numbers.first.push_back(each["number"]);
    for (const auto& each : object["undecided"])
        numbers.second.push_back(each["number"]);
    return numbers;
}

TEST(UnusedCommand, ReadsTimes) {
    EXPECT_EQ(parse_unused_command(Words{})->since_s, 90 * kDay);
    EXPECT_EQ(parse_unused_command(Words{"--since", "2w", "--json"})->since_s, 14 * kDay);
    EXPECT_EQ(parse_unused_command(Words{"--since", "30m"})->since_s, 1800u);
    for (const char* bad : {"", "d", "90", "0d", "-1d", "90days", "99999999w"}) {
        const auto command = parse_unused_command(Words{"--since", bad});
        ASSERT_FALSE(command) << bad;
        EXPECT_EQ(command.error().status, ExitStatus::data);
    }
    for (const Words& words : {Words{"--since"}, Words{"100"}, Words{"--all"}})
        EXPECT_EQ(parse_unused_command(words).error().status, ExitStatus::usage);
}

TEST(UnusedCommand, ClaimsNothingAboutTimesInWhichNobodyCounted) {
    const std::vector<ListedRule> rules = {
        rule(100, kNow - 10 * kDay, kNow - 500 * kDay),   // used
        rule(200, kNow - 100 * kDay, kNow - 500 * kDay),  // not for long
        rule(300, 0, kNow - 91 * kDay),                   // never, and it is old enough
        rule(400, 0, kNow - 89 * kDay),                   // never, but it is not
        rule(500, 0, 0),                                  // nobody knows how old it is
        rule(600, kNow - 100 * kDay, 0),                  // nor of this, but it has matched then
        rule(65535, 0, kNow - 500 * kDay)};
    EXPECT_EQ(shown(rules, 90).first, (std::vector<int>{200, 300, 600}));
    EXPECT_EQ(shown(rules, 90).second, (std::vector<int>{400, 500}));
    EXPECT_EQ(shown(rules, 5).first, (std::vector<int>{100, 200, 300, 400, 600}));
}

TEST(UnusedCommand, LeavesOutWhatCountsNothing) {
    ListedRule check = rule(100, 0, 1);
    check.text = "check-state :any";
    EXPECT_TRUE(shown({check}, 1).first.empty());
}

TEST(UnusedCommand, SaysWhatIsKnown) {
    Output output;
    std::vector<ListedRule> rules = {rule(200, 0, kNow - 100 * kDay), rule(400, 0, kNow - 3600),
                                     rule(500, 0, 0)};
    rules[0].disabled = true;
    rules[0].set = 5;
    show_unused({}, rules, kNow, output);
    const auto has = [&](const char* text) { return output.out.find(text) != std::string::npos; };
    EXPECT_TRUE(has("00200 set 5 allow ip from any to any\n    has not matched since it counts, "));
    EXPECT_TRUE(has(", 100 days ago; its set is disabled\n"));
    EXPECT_TRUE(has("    has not matched, but counts only since "));
    EXPECT_TRUE(has(", 60 minutes ago\n"));
    EXPECT_TRUE(has("    has not matched; since when it counts is not known\n"));
    EXPECT_TRUE(has("1 of 3 rules unused for 90 days; of 2 more too little is known\n"));
}

}  // namespace
}  // namespace sluice::cli
