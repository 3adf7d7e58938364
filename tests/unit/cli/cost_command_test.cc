#include "controlplane/cli/cost_command.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;

TEST(CostCommand, IsShowWithItsOption) {
    EXPECT_TRUE(is_cost_command(Words{"show", "--cost"}));
    EXPECT_TRUE(is_cost_command(Words{"show", "--json", "--cost"}));
    EXPECT_TRUE(is_cost_command(Words{"-n", "show", "--cost"}));
    EXPECT_FALSE(is_cost_command(Words{"show"}));
    EXPECT_FALSE(is_cost_command(Words{"list", "--cost"}));
    EXPECT_FALSE(is_cost_command(Words{"add", "show", "--cost"}));
    EXPECT_FALSE(is_cost_command(Words{}));
}

TEST(CostCommand, TakesNothingButJson) {
    ASSERT_TRUE(parse_cost_command(Words{"show", "--cost"}));
    EXPECT_FALSE(parse_cost_command(Words{"show", "--cost"})->json);
    EXPECT_TRUE(parse_cost_command(Words{"show", "--cost", "--json"})->json);
    for (const Words& words : {Words{"show", "--cost", "100"}, Words{"-n", "show", "--cost"},
                               Words{"show", "show", "--cost"}}) {
        const auto command = parse_cost_command(words);
        ASSERT_FALSE(command);
        EXPECT_EQ(command.error().status, ExitStatus::usage);
    }
    EXPECT_NE(parse_cost_command(Words{"show", "--cost", "100"}).error().text().find("\"100\""),
              std::string::npos);
}

contract::RulesetCost example() {
    contract::RulesetCost cost;
    cost.rules = 12;
    cost.bytes = 3072;
    cost.build_us = 1500;
    std::strcpy(cost.instructions, "avx2");
    cost.v4 = {.bytes = 2048,
               .boxes = 34,
               .trees = 2,
               .worst_nodes = 5,
               .worst_blocks = 6,
               .cut_short = 0};
    return cost;
}

TEST(CostCommand, PrintsATable) {
    Output output;
    show_cost({}, example(), output);
    EXPECT_EQ(output.out,
              "packets     boxes  trees  nodes  blocks  memory, kB\n"
              "IPv4           34      2      5       6         2.0\n"
              "IPv6            0      0      0       0         0.0\n"
              "not IP          0      0      0       0         0.0\n"
              "12 rules, 3.0 kB, built in 1.5 ms, searched with avx2\n");
    EXPECT_EQ(output.status, ExitStatus::ok);
}

TEST(CostCommand, SaysWhereTheMemoryBoundWasReached) {
    contract::RulesetCost cost = example();
    cost.v4.cut_short = 1;
    Output output;
    show_cost({}, cost, output);
    EXPECT_NE(output.out.find("2.0  memory bound reached\n"), std::string::npos);
    EXPECT_NE(output.out.find("\nThe rules overlap so much"), std::string::npos);
}

TEST(CostCommand, PrintsJson) {
    Output output;
    show_cost({.json = true}, example(), output);
    EXPECT_NE(output.out.find("\"build_microseconds\": 1500"), std::string::npos);
    EXPECT_NE(output.out.find("\"worst_blocks\": 6"), std::string::npos);
    EXPECT_NE(output.out.find("\"instructions\": \"avx2\""), std::string::npos);
}

}  // namespace
}  // namespace sluice::cli
