#include "controlplane/language/printer.h"

#include <gtest/gtest.h>

#include "controlplane/language/canonical.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

std::string print(std::string_view text, const PrintOptions& options) {
    auto rule = parse(text);
    EXPECT_TRUE(rule) << text;
    return rule ? print_rule(*rule, options) : "";
}

TEST(Printer, Compact) {
    PrintOptions compact{.compact = true};
    EXPECT_EQ(print("allow ip from any to any in", compact), "allow in");
    EXPECT_EQ(print("allow ip from any to any keep-state", compact), "allow keep-state :default");
    EXPECT_EQ(print("allow ip from any to any", compact), "allow ip from any to any");
    EXPECT_EQ(print("allow tcp from any to any in", compact), "allow tcp from any to any in");
    EXPECT_EQ(print("allow ip from me to any in", compact), "allow ip from me to any in");
}

TEST(Printer, ActionAndCommentOnly) {
    PrintOptions brief{.action_and_comment_only = true};
    EXPECT_EQ(print("prob 0.5 skipto 7 log tcp from me to any in // web", brief),
              "skipto 7 // web");
    EXPECT_EQ(print("allow ip from any to any", brief), "allow // ...");
}

TEST(Printer, Names) {
    PrintOptions names{.resolve_names = true, .resolver = &fake_resolver()};
    EXPECT_EQ(print("allow tcp from 192.0.2.80 to 192.0.2.81 80,20-21", names),
              "allow tcp from www.example.org to 192.0.2.81 http,ftp\\-data-ftp");
    EXPECT_EQ(print("fwd 192.0.2.80,80 tcp from any to any uid 80 gid 20 uid 81", names),
              "fwd www.example.org,80 tcp from any to any uid www gid staff uid 81");
    EXPECT_EQ(print("allow ip from any to any mac-type 0x0806", names),
              "allow ip from any to any mac-type arp");
    EXPECT_EQ(print("allow ip from any to any uid 80", {.resolver = &fake_resolver()}),
              "allow ip from any to any uid www");
}

TEST(Printer, Pieces) {
    EXPECT_EQ(print_rule_number(7), "00007");
    EXPECT_EQ(print_rule_number(65535), "65535");
    auto rule = parse("skipto 7 ip from any to any { in or not via em0 }");
    ASSERT_TRUE(rule);
    EXPECT_EQ(print_action(rule->action), "skipto 7");
    EXPECT_EQ(print_group(rule->options.front()), "{ in or not via em0 }");
    EXPECT_EQ(print_term(rule->options.front().any_of[1]), "not via em0");
}

TEST(Canonical, IsIdempotent) {
    auto rule = parse("allow udp from any to any src-port 67 dst-port 68 in");
    ASSERT_TRUE(rule);
    Rule again = *rule;
    canonicalise(again);
    EXPECT_EQ(again, *rule);
}

}  // namespace
}  // namespace sluice::language
