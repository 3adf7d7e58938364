#include "controlplane/ruleset/listing.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <vector>

namespace sluice::ruleset {
namespace {

const std::vector<ListedRule> kRules = {
    {.number = 10,
     .set = 0,
     .text = "reset udp from any to any",
     .packets = 3,
     .bytes = 94,
     .last_match_s = 1068412338},
    {.number = 110,
     .set = 5,
     .text = "allow ip from any to any",
     .packets = 105,
     .bytes = 18446744073709551615u,
     .last_match_s = 0},
    {.number = 65535, .set = 31, .text = "deny ip from any to any"},
};

TEST(Listing, Plain) {
    EXPECT_EQ(format_listing(kRules, {}),
              "00010 reset udp from any to any\n"
              "00110 allow ip from any to any\n"
              "65535 deny ip from any to any\n");
}

TEST(Listing, CountersAreAsWideAsTheWidest) {
    EXPECT_EQ(format_listing(kRules, {.counters = true}),
              "00010   3                   94 reset udp from any to any\n"
              "00110 105 18446744073709551615 allow ip from any to any\n"
              "65535   0                    0 deny ip from any to any\n");
}

TEST(Listing, Timestamps) {
    setenv("TZ", "UTC", 1);
    tzset();
    EXPECT_EQ(format_listing(kRules, {.timestamps = true}),
              "00010 Sun Nov  9 21:12:18 2003 reset udp from any to any\n"
              "00110                          allow ip from any to any\n"
              "65535                          deny ip from any to any\n");
    EXPECT_EQ(format_listing(kRules, {.raw_timestamps = true}),
              "00010 1068412338 reset udp from any to any\n"
              "00110          0 allow ip from any to any\n"
              "65535          0 deny ip from any to any\n");
}

TEST(Listing, EverythingAtOnce) {
    setenv("TZ", "UTC", 1);
    tzset();
    const std::vector<ListedRule> one = {kRules[0]};
    EXPECT_EQ(format_listing(one, {.counters = true, .timestamps = true, .sets = true}),
              "00010 3 94 Sun Nov  9 21:12:18 2003 set 0 reset udp from any to any\n");
}

TEST(Listing, NoRules) {
    EXPECT_EQ(format_listing({}, {.counters = true}), "");
}

ListedState state(contract::StateKind kind, const char* source, const char* destination) {
    ListedState result;
    result.number = 735;
    result.kind = kind;
    result.protocol = 6;
    result.packets = 1;
    result.bytes = 40;
    result.expires_s = 1;
    const auto address = [](const char* text) -> std::variant<Ipv4, Ipv6> {
        if (const auto v4 = parse_ipv4(text))
            return *v4;
        return *parse_ipv6(text);
    };
    result.source = address(source);
    result.destination = address(destination);
    result.source_port = 110;
    result.destination_port = 21;
    result.name = "default";
    return result;
}

TEST(Listing, StatesStandBehindTheRules) {
    const std::vector<ListedRule> rules = {{.number = 735,
                                            .set = 0,
                                            .text = "count ip from any to any",
                                            .packets = 107,
                                            .bytes = 4832}};
    ListedState parent = state(contract::StateKind::parent, "10.0.0.1", "10.0.0.2");
    parent.children = 3;
    parent.protocol = 17;
    parent.packets = parent.bytes = 0;
    parent.expires_s = 19;
    ListedState limited = state(contract::StateKind::limited, "2001:db8::1", "2001:db8::2");
    limited.protocol = 58;
    limited.name = "web";
    ListedState unknown = state(contract::StateKind::state, "10.0.0.1", "10.0.0.2");
    unknown.protocol = 254;
    const std::vector<ListedState> states = {
        state(contract::StateKind::state, "255.255.255.254", "255.255.255.255"), parent, limited,
        unknown};
    EXPECT_EQ(format_listing(rules, {.counters = true}, states),
              "00735 107 4832 count ip from any to any\n"
              "## Dynamic rules (4 528):\n"
              "00735   1   40 (1s) STATE tcp 255.255.255.254 110 <-> 255.255.255.255 21 :default\n"
              "00735   0    0 (19s) PARENT 3 udp 10.0.0.1 110 <-> 10.0.0.2 21 :default\n"
              "00735   1   40 (1s) LIMIT ipv6-icmp 2001:db8::1 110 <-> 2001:db8::2 21 :web\n"
              "00735   1   40 (1s) STATE proto 254 10.0.0.1 110 <-> 10.0.0.2 21 :default\n");
    // Widths are those of rules and states together; times and sets are for rules.
    ListedState heavy = states[0];
    heavy.packets = 12345;
    EXPECT_EQ(format_listing(rules, {.counters = true, .sets = true}, {{heavy}}),
              "00735   107 4832 set 0 count ip from any to any\n"
              "## Dynamic rules (1 144):\n"
              "00735 12345   40 (1s) STATE tcp 255.255.255.254 110 <-> 255.255.255.255 21 "
              ":default\n");
    EXPECT_EQ(format_listing({}, {}, {{heavy}}),
              "## Dynamic rules (1 144):\n"
              "00735 (1s) STATE tcp 255.255.255.254 110 <-> 255.255.255.255 21 :default\n");
}

TEST(Listing, RulesOfDisabledSetsAreHiddenOrMarked) {
    std::vector<ListedRule> rules = kRules;
    rules[1].disabled = true;
    EXPECT_EQ(format_listing(rules, {}),
              "00010 reset udp from any to any\n"
              "65535 deny ip from any to any\n");
    EXPECT_EQ(format_listing(rules, {.sets = true}),
              "00010 set 0 reset udp from any to any\n"
              "# DISABLED 00110 set 5 allow ip from any to any\n"
              "65535 set 31 deny ip from any to any\n");
}

}  // namespace
}  // namespace sluice::ruleset
