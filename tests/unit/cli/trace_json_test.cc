#include "controlplane/cli/trace_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {

TEST(TraceJson, HasTheStepsAndTheVerdict) {
    const auto json = nlohmann::json::parse(
        trace_json("00100 allow tcp from any to any\n      no match: tcp\n"
                   "00200 count ip from any to any // \"odd\"\n      match; logs\n"
                   "verdict: deny, by rule 65535\n"
                   "note: a worker's engine was not asked\n"));
    EXPECT_EQ(json["schema"], "sluice/trace/1");
    ASSERT_EQ(json["traces"].size(), 1u);
    const auto& trace = json["traces"][0];
    EXPECT_TRUE(trace["if"].is_null());
    ASSERT_EQ(trace["steps"].size(), 2u);
    EXPECT_EQ(trace["steps"][0]["number"], 100);
    EXPECT_EQ(trace["steps"][0]["outcome"], "no match: tcp");
    EXPECT_EQ(trace["steps"][1]["rule"], "count ip from any to any // \"odd\"");
    EXPECT_EQ(trace["verdict"], "deny, by rule 65535");
    EXPECT_EQ(trace["notes"][0], "note: a worker's engine was not asked");
}

TEST(TraceJson, HasOneTraceForEachAnswerOfChance) {
    const auto json = nlohmann::json::parse(
        trace_json("-- if `prob` matches --\n00100 prob 0.5 allow ip from any to any\n      match\n"
                   "verdict: accept, by rule 100\n"
                   "-- if it does not --\nverdict: deny, by rule 65535\n"));
    ASSERT_EQ(json["traces"].size(), 2u);
    EXPECT_EQ(json["traces"][0]["if"], "match");
    EXPECT_EQ(json["traces"][1]["if"], "skip");
    EXPECT_TRUE(json["traces"][1]["steps"].empty());
    EXPECT_EQ(json["traces"][1]["verdict"], "deny, by rule 65535");
}

}  // namespace
}  // namespace sluice::cli
