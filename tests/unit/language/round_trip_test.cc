// Whatever is printed is read back as the same rule, and printing it again gives the same text.
#include <gtest/gtest.h>

#include "controlplane/language/values.h"
#include "tests/unit/language/random_rules.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

void expect_round_trip(const Rule& rule) {
    std::string text = print_rule_number(rule.number) + " set " + std::to_string(rule.set) + " " +
                       print_rule(rule);
    auto again = parse(text);
    ASSERT_TRUE(again) << text << "\n" << again.error().text();
    EXPECT_EQ(*again, rule) << text << "\n" << print_rule(*again);
    EXPECT_EQ(print_rule(*again), print_rule(rule));
}

TEST(RoundTrip, RandomRules) {
    std::mt19937_64 random(20261122);
    for (int i = 0; i < 30000 && !testing::Test::HasFailure(); ++i)
        expect_round_trip(random_rule(random));
}

TEST(RoundTrip, RandomRulesets) {
    std::mt19937_64 random(7);
    std::vector<Rule> rules = random_ruleset(random, 1000);
    std::uint16_t last = 0;
    for (const Rule& rule : rules) {
        EXPECT_GE(rule.number, last);
        last = rule.number;
        expect_round_trip(rule);
    }
}

TEST(RoundTrip, CompactAndCommentOnlyRead) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 3000; ++i) {
        std::string text = print_rule(random_rule(random), {.compact = true});
        EXPECT_TRUE(parse(text)) << text;
    }
}

// Sets of values print as more entries than were typed.
TEST(RoundTrip, LargestSets) {
    std::string set = "allow ip from 192.0.2.0/24{0-1";
    for (int member = 3; member < 255; member += 3)
        set += "," + std::to_string(member) + "-" + std::to_string(member + 1);
    for (const std::string& line :
         {std::string("allow ip from any to any dscp 0-63"),
          std::string("allow icmp from any to any icmptypes 0-31"),
          std::string("allow ipv6-icmp from any to any icmp6types 0-201"), set + "} to any"}) {
        auto rule = parse(line);
        ASSERT_TRUE(rule) << line << ": " << rule.error().text();
        expect_round_trip(*rule);
    }
    // Lists that print as they were typed have the limit of ipfw.
    std::string ports = "1";
    for (std::size_t port = 2; port <= kMaximumListEntries; ++port)
        ports += "," + std::to_string(port);
    EXPECT_TRUE(parse("allow tcp from any to any " + ports));
    EXPECT_FALSE(parse("allow tcp from any to any " + ports + ",99"));
    EXPECT_TRUE(parse("allow ip from any to any iplen " + ports));
    EXPECT_FALSE(parse("allow ip from any to any iplen " + ports + ",99"));
}

// A truncated or shuffled rule is an error with a place in it, or another rule; never a crash.
TEST(RoundTrip, MutilatedText) {
    std::mt19937_64 random(11);
    for (int i = 0; i < 20000; ++i) {
        std::string text = print_rule(random_rule(random));
        std::size_t at = random() % text.size();
        switch (random() % 4) {
            case 0:
                text.resize(at);
                break;
            case 1:
                text.erase(at, 1 + random() % 4);
                break;
            case 2:
                text[at] = static_cast<char>(32 + random() % 95);
                break;
            default:
                text.insert(at, std::string(1, " ,{}-/:!("[random() % 9]));
                break;
        }
        auto rule = parse(text);
        if (rule) {
            auto again = parse(print_rule(*rule));
            ASSERT_TRUE(again) << text << "\n" << print_rule(*rule);
            rule->number = again->number = 0;
            rule->set = again->set = 0;
            EXPECT_EQ(*again, *rule) << text;
        } else {
            EXPECT_FALSE(rule.error().message.empty()) << text;
            EXPECT_GE(rule.error().column, 1u);
            EXPECT_LE(rule.error().column, text.size() + 2) << text << rule.error().text();
        }
    }
}

TEST(RandomRules, AcceptFilters) {
    std::mt19937_64 random(5);
    GeneratorOptions options;
    options.accept = [](Construct construct) {
        return construct == Construct::action_allow || construct == Construct::protocol_any ||
               construct == Construct::protocol_number || construct == Construct::address_any ||
               construct == Construct::option_in;
    };
    bool has_direction = false;
    for (int i = 0; i < 2000; ++i) {
        Rule rule = random_rule(random, options);
        EXPECT_EQ(rule.action.kind, ActionKind::allow);
        EXPECT_TRUE(rule.body.has_value());
        has_direction |= !rule.options.empty();
    }
    EXPECT_TRUE(has_direction);
}

}  // namespace
}  // namespace sluice::language
