#include "controlplane/ruleset/canonical_text.h"

#include <gtest/gtest.h>

#include "controlplane/language/construct.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::ruleset {
namespace {

// Whatever can be said in a rule arrives at the control plane as it was meant.
TEST(CanonicalText, EveryConstructComesBackEqual) {
    for (const auto& construct : language::all_constructs()) {
        const auto rule = language::parse_rule(construct.example, language::refusing_resolver());
        ASSERT_TRUE(rule) << construct.example;
        const std::string text = language::print_rule(*rule);
        auto again = parse_canonical(text);
        ASSERT_TRUE(again) << text << ": " << again.error().text();
        again->number = rule->number;
        again->set = rule->set;
        EXPECT_EQ(*again, *rule) << text;
    }
}

TEST(CanonicalText, WhatWouldEndALineIsRefused) {
    const auto rule = parse_canonical("allow ip from any to any // see 5, or not // at all");
    ASSERT_TRUE(rule);
    EXPECT_EQ(rule->comment, "see 5, or not // at all");
    EXPECT_FALSE(parse_canonical("allow ip from any to any // see #5"));
    EXPECT_FALSE(parse_canonical("allow ip from any to any via em#0"));
}

// A short line may print as a long text.
TEST(CanonicalText, MayBeLongerThanAnyLine) {
    std::string line = "allow ip from any to any { icmp6types 0-201";
    while (line.size() < 4000)
        line += " or icmp6types 0-201";
    const auto rule = language::parse_rule(line + " }", language::refusing_resolver());
    ASSERT_TRUE(rule) << rule.error().text();
    const std::string text = language::print_rule(*rule);
    EXPECT_GT(text.size(), 65536u);
    const auto again = parse_canonical(text);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, *rule);
}

TEST(CanonicalText, NumberAndSetMayStandInFront) {
    const auto rule = parse_canonical("  100 set 7  deny ip from any to any");
    ASSERT_TRUE(rule);
    EXPECT_EQ(rule->number, 100);
    EXPECT_EQ(rule->set, 7);
}

TEST(CanonicalText, IsSplitWhereItIsAsPrinted) {
    const auto split = [](std::string_view text) {
        const auto parts = split_canonical(text);
        return parts ? std::to_string(parts->number) + "|" + std::to_string(parts->set) + "|" +
                           std::string(parts->text)
                     : "none";
    };
    EXPECT_EQ(split("allow ip from any to any"), "0|0|allow ip from any to any");
    EXPECT_EQ(split("65535 set 31 :a deny"), "65535|31|:a deny");
    EXPECT_EQ(split("set 7 deny"), "0|7|deny");
    for (const char* other :
         {"set 32 deny", "set 07 deny", "set 0 deny", "set deny", "set 7", "set "})
        EXPECT_EQ(split(other), "none") << other;
    // No rule's text begins like this: it is found nowhere, and read as ever.
    for (const char* other :
         {"0100 deny", "65536 deny", "99999999999 deny", "100", "", " 100 deny"})
        EXPECT_EQ(split(other), "0|0|" + std::string(other));
}

TEST(CanonicalText, NothingIsAnError) {
    EXPECT_FALSE(parse_canonical(""));
    EXPECT_FALSE(parse_canonical("   "));
    EXPECT_FALSE(parse_canonical("allow ip from www.example.org to any"));
}

}  // namespace
}  // namespace sluice::ruleset
