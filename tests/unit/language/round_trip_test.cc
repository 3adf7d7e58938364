// Whatever is printed is read back as the same rule, and printing it again gives the same text.
#include <gtest/gtest.h>

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
