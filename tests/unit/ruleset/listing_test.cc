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

}  // namespace
}  // namespace sluice::ruleset
