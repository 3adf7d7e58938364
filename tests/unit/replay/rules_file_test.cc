#include "replay/rules_file.h"

#include <gtest/gtest.h>

namespace sluice::replay {
namespace {

constexpr char kRule[] = "add 100 allow ip from any to any\n";

Result<RulesFile> parse(const std::string& lines) {
    return parse_rules(kRule + lines, "rules", {});
}

TEST(RulesFile, WhatIsNotThereFailsTheFile) {
    for (const char* line : {"delete 777", "zero 777", "list 777"}) {
        const auto rules = parse(line);
        ASSERT_FALSE(rules) << line;
        EXPECT_EQ(rules.error().status, ExitStatus::unavailable);
        EXPECT_EQ(rules.error().message.rfind("rules: Line 2: ", 0), 0u) << rules.error().message;
    }
}

TEST(RulesFile, ForceAndQuietForgive) {
    EXPECT_TRUE(parse("-q delete 777"));
    EXPECT_TRUE(parse("-f delete 777"));
}

TEST(RulesFile, ATestedLineChangesNothing) {
    const auto rules = parse("-n delete 100\n-n flush\n-n add 200 deny ip from any to any");
    ASSERT_TRUE(rules) << rules.error().message;
    EXPECT_EQ(rules->ruleset.size(), 1u);
}

TEST(RulesFile, ReadingIsAccepted) {
    EXPECT_TRUE(parse("set show\nlist 100\nshow"));
}

}  // namespace
}  // namespace sluice::replay
