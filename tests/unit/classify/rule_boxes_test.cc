// Rules as boxes, conditions as bits, and where segments begin.
#include "dataplane/classify/rule_boxes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/classify/segments.h"
#include "tests/unit/classify/classifier_bench.h"

namespace sluice::classify {
namespace {

using Lines = std::vector<std::string>;

// The boxes of the first rule.
std::vector<Box> boxes_of(const std::string& rule, Family family = Family::v4) {
    const Bench bench(Lines{"1 " + rule});
    Conditions conditions;
    BoxMaker maker(bench.view(), bench.environment(), bench.tests(), family, conditions);
    std::vector<Box> boxes;
    maker.append_boxes(0, boxes);
    return boxes;
}

std::vector<Interval> intervals_of(const std::string& rule, unsigned lane,
                                   Family family = Family::v4) {
    std::vector<Interval> intervals;
    for (const Box& box : boxes_of(rule, family))
        intervals.push_back(box.lanes[lane]);
    return intervals;
}

using Intervals = std::vector<Interval>;

TEST(RuleBoxes, NetworksOfAListAreUnited) {
    EXPECT_EQ(intervals_of("count ip from 10.0.0.0/25,10.0.0.128/25,10.0.0.7,10.0.1.0 to any",
                           lane::source),
              (Intervals{{0x0a000000, 0x0a000100}}));
    EXPECT_EQ(
        intervals_of("count ip from 255.255.255.255,0.0.0.0,255.255.255.254 to any", lane::source),
        (Intervals{{0, 0}, {0xfffffffe, 0xffffffff}}));
    EXPECT_EQ(intervals_of("count ip from any to 10.0.0.0/24{1,2,3,9}", lane::destination),
              (Intervals{{0x0a000001, 0x0a000003}, {0x0a000009, 0x0a000009}}));
}

TEST(RuleBoxes, ComplementsReachTheEnds) {
    EXPECT_EQ(intervals_of("count ip from not 10.0.0.0/8 to any", lane::source),
              (Intervals{{0, 0x09ffffff}, {0x0b000000, 0xffffffff}}));
    EXPECT_EQ(intervals_of("count ip from not 0.0.0.0/1 to any", lane::source),
              (Intervals{{0x80000000, 0xffffffff}}));
    EXPECT_EQ(intervals_of("count ip from not 128.0.0.0/1 to any", lane::source),
              (Intervals{{0, 0x7fffffff}}));
    // No packet is outside both halves.
    EXPECT_TRUE(boxes_of("count ip from not 0.0.0.0/1,128.0.0.0/1 to any").empty());
    EXPECT_EQ(intervals_of("count tcp from any to any not dst-port 0-79,81-65535",
                           lane::destination_port),
              (Intervals{{0, kFullLane}, {80, 80}}));
}

TEST(RuleBoxes, WhatABoxCannotSayIsVerified) {
    for (const char* rule :
         {"deny ip from 10.0.0.1:255.0.0.255 to any", "deny tcp from any to any 5:255",
          "deny ip from any to any iplen 100", "deny tcp from any to any tcpoptions mss",
          "deny ip from not 10.0.0.1:255.0.0.255 to any"}) {
        const std::vector<Box> boxes = boxes_of(rule);
        ASSERT_EQ(boxes.size(), 1u) << rule;
        EXPECT_TRUE(boxes[0].unverified) << rule;
        EXPECT_FALSE(boxes[0].terminal) << rule;
    }
    for (const char* rule :
         {"deny ip from 10.0.0.1/8 to any", "deny tcp from any to any 5-7 setup",
          "deny icmp from any to any icmptypes 1,5", "deny ip from any to any via em0 frag",
          "deny ip from me to any dscp 3"}) {
        const std::vector<Box> boxes = boxes_of(rule);
        ASSERT_EQ(boxes.size(), 1u) << rule;
        EXPECT_FALSE(boxes[0].unverified) << rule;
        EXPECT_TRUE(boxes[0].terminal) << rule;
    }
}

TEST(RuleBoxes, OnlyWhatEndsEveryWalkIsTerminal) {
    for (const char* rule :
         {"count ip from any to any", "skipto 5 ip from any to any", "divert 1 ip from any to any",
          "tee 1 ip from any to any", "fwd 10.0.0.9 ip from any to any",
          "prob 0.5 deny ip from any to any", "deny ip from any to any verrevpath",
          "allow ip from any to any keep-state defer-action"})
        EXPECT_FALSE(boxes_of(rule).at(0).terminal) << rule;
    EXPECT_TRUE(boxes_of("allow ip from any to any").at(0).terminal);
    EXPECT_TRUE(boxes_of("allow ip from any to any keep-state").at(0).terminal);
    // A bridge passes what is not IP.
    EXPECT_FALSE(boxes_of("allow ip from any to any", Family::other).at(0).terminal);
    EXPECT_TRUE(boxes_of("allow ip from any to any layer2", Family::other).at(0).terminal);
}

TEST(RuleBoxes, OtherFamiliesHaveNone) {
    EXPECT_TRUE(boxes_of("count ip from 10.0.0.0/8 to any", Family::v6).empty());
    EXPECT_TRUE(boxes_of("count ip from 2001:db8::/32 to any", Family::v4).empty());
    EXPECT_TRUE(boxes_of("count tcp from any to any", Family::other).empty());
    EXPECT_EQ(boxes_of("count ip from not 10.0.0.0/8 to any", Family::v6).size(), 1u);
    EXPECT_EQ(boxes_of("count ip from { 10.0.0.0/8 or 2001:db8::/32 } to any", Family::v6).size(),
              1u);
}

TEST(RuleBoxes, AProductThatIsTooLargeIsVerified) {
    std::string odd;
    for (unsigned i = 0; i < 17; ++i)
        odd += (i == 0 ? "" : ",") + ("10.0.0." + std::to_string(2 * i + 1));
    const std::vector<Box> boxes = boxes_of("count ip from " + odd + " to " + odd);
    ASSERT_EQ(boxes.size(), 17u);
    for (const Box& box : boxes)
        EXPECT_TRUE(box.unverified);
}

TEST(RuleBoxes, AListThatIsTooLongIsNarrowedDown) {
    std::string networks;
    for (unsigned i = 0; i < 300; ++i)
        networks += (i == 0 ? "" : ",") +
                    ("10.0." + std::to_string(i % 250) + "." + std::to_string(2 * (i / 250) + 1));
    networks += ",200.0.0.1,200.0.0.3";
    const std::vector<Box> boxes = boxes_of("count ip from " + networks + " to any");
    ASSERT_LE(boxes.size(), 16u);
    const auto is_in_some = [&](std::uint32_t address) {
        return std::any_of(boxes.begin(), boxes.end(), [&](const Box& box) {
            return box.lanes[lane::source].first <= address &&
                   address <= box.lanes[lane::source].last;
        });
    };
    for (const Box& box : boxes)
        EXPECT_TRUE(box.unverified);
    EXPECT_TRUE(is_in_some(0x0a000001));
    EXPECT_TRUE(is_in_some(0x0a003103));
    EXPECT_TRUE(is_in_some(0x0a00f901));
    EXPECT_TRUE(is_in_some(0xc8000003));
    EXPECT_FALSE(is_in_some(0x09ffffff));
    EXPECT_FALSE(is_in_some(0x20000000));
    EXPECT_FALSE(is_in_some(0xd0000000));
}

TEST(Attributes, TheConditionsUsedMostHaveTheBits) {
    Conditions conditions;
    std::vector<Condition> all;
    for (unsigned value = 0; value < kAttributeBits + 20; ++value) {
        ValueSet values;
        values[value] = true;
        all.push_back(*conditions.add(Domain::ttl, values));
        EXPECT_EQ(conditions.add(Domain::ttl, values), all.back());
        for (unsigned use = 0; use < value; ++use)
            conditions.count_use(all.back());
    }
    const AttributeTable table(conditions);
    std::uint32_t bits = 0;
    for (unsigned value = 0; value < all.size(); ++value) {
        EXPECT_EQ(table.bit(all[value]) != 0, value >= 20) << value;
        EXPECT_EQ(bits & table.bit(all[value]), 0u);
        bits |= table.bit(all[value]);
    }
    EXPECT_EQ(bits, (1u << kAttributeBits) - 1);
    packet::Packet packet;
    packet.headers.ip_version = 4;
    const LocalAddresses local{packet::Environment{}};
    packet.headers.ttl = 30;
    EXPECT_EQ(table.of(packet, local), table.bit(all[30]));
    packet.headers.ttl = 3;
    EXPECT_EQ(table.of(packet, local), 0u);
}

TEST(Attributes, AConditionThatNobodyUsesHasNoBit) {
    Conditions conditions;
    const Condition condition = *conditions.add(Domain::protocol, ValueSet{1u << 6});
    EXPECT_EQ(AttributeTable(conditions).bit(condition), 0u);
}

TEST(Segments, BeginWhereAWalkMayEnter) {
    EXPECT_EQ(segments_of(Bench(Lines{"1 count ip from any to any", "2 allow ip from any to any",
                                      "3 allow ip from any to any keep-state"})
                              .view()),
              (RuleIndices{0, 0, 0, 0}));
    EXPECT_EQ(segments_of(Bench(Lines{"1 skipto 4 ip from any to any", "2 deny ip from any to any",
                                      "4 deny ip from any to any"})
                              .view()),
              (RuleIndices{0, 0, 1, 1}));
    EXPECT_EQ(segments_of(
                  Bench(Lines{"1 count ip from any to any keep-state", "2 deny ip from any to any"})
                      .view()),
              (RuleIndices{0, 1, 1}));
    EXPECT_EQ(segments_of(Bench(Lines{"1 tee 1 ip from any to any", "1 deny ip from any to any",
                                      "2 deny ip from any to any"})
                              .view())[1],
              1u);
}

TEST(Segments, ADetachedDivertComesBackBehindItsNumber) {
    const Bench bench(Lines{"1 set 2 divert 1 ip from any to any record-state",
                            "1 deny ip from any to any", "2 count ip from any to any"},
                      1u << 2);
    EXPECT_EQ(segments_of(bench.view()), (RuleIndices{1, 2, 2}));
}

}  // namespace
}  // namespace sluice::classify
