#include "dataplane/classify/rule_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/unit/classify/classifier_bench.h"

namespace sluice::classify {
namespace {

using packet::Burst;
using reference::build_frame;
using reference::Frame;
using reference::FramePlan;

constexpr std::uint8_t kUdp = 17, kIcmp = 1;
constexpr std::uint64_t kEverything =
    RuleCache::kDetail | RuleCache::kTrafficClass | RuleCache::kTtl | RuleCache::kIpFlags;

FramePlan plan() {
    FramePlan plan;
    plan.source4 = *parse_ipv4("10.0.0.1");
    plan.destination4 = *parse_ipv4("10.0.0.2");
    plan.source_port = 1000;
    plan.destination_port = 80;
    plan.tcp_flags = 0x10;
    return plan;
}

class RuleCacheTest : public testing::Test {
  protected:
    // Whether the cache knows the packet; if not it is told the answer.
    bool knows(const FramePlan& plan, std::uint64_t fields = 0, std::uint64_t ruleset = 1,
               const packet::Passage& passage = {.receive_interface = 0}) {
        const Frame frame = build_frame(plan);
        burst_->begin({});
        burst_->add(frame.data(), static_cast<std::uint32_t>(frame.size()), passage);
        RuleCache::Answers answers;
        const bool known = cache_.find(*burst_, ruleset, fields, answers) != 0;
        RuleCache::Answer answer;
        answer.rule = 4711;
        answer.outcome = 2;
        answer.slot = 99;
        if (known) {
            EXPECT_EQ(answers[0].rule, answer.rule);
            EXPECT_EQ(answers[0].outcome, answer.outcome);
            EXPECT_EQ(answers[0].slot, answer.slot);
        } else if (cache_.has_looked_for(0)) {
            cache_.keep(0, answer);
        }
        return known;
    }

    RuleCache cache_{1};
    std::unique_ptr<Burst> burst_ = std::make_unique<Burst>();
};

TEST_F(RuleCacheTest, KnowsWhatItHasBeenTold) {
    EXPECT_FALSE(knows(plan()));
    EXPECT_TRUE(knows(plan()));
    EXPECT_TRUE(knows(plan()));
}

TEST_F(RuleCacheTest, TellsPacketsApartByEveryFieldOfTheirAddress) {
    FramePlan source = plan(), destination = plan(), source_port = plan(), port = plan(),
              protocol = plan(), swapped = plan();
    source.source4 = *parse_ipv4("10.0.0.3");
    destination.destination4 = *parse_ipv4("10.0.1.2");
    source_port.source_port = 1001;
    port.destination_port = 81;
    protocol.protocol = kUdp;
    std::swap(swapped.source4, swapped.destination4);
    EXPECT_FALSE(knows(plan()));
    for (const FramePlan& other : {source, destination, source_port, port, protocol, swapped}) {
        EXPECT_FALSE(knows(other));
        EXPECT_TRUE(knows(other));
    }
    EXPECT_TRUE(knows(plan()));
}

TEST_F(RuleCacheTest, TellsPacketsApartByTheirWay) {
    using packet::Direction;
    using packet::Entry;
    const std::vector<packet::Passage> ways = {
        {.receive_interface = 0},
        {.receive_interface = 256},
        {.entry = Entry::bridge, .receive_interface = 0},
        {.direction = Direction::out, .receive_interface = 0, .transmit_interface = 1},
        {.direction = Direction::out, .receive_interface = 0, .transmit_interface = 256},
        {.direction = Direction::out,
         .entry = Entry::layer2,
         .receive_interface = 0,
         .transmit_interface = 1}};
    for (const packet::Passage& way : ways)
        EXPECT_FALSE(knows(plan(), kEverything, 1, way));
    for (const packet::Passage& way : ways)
        EXPECT_TRUE(knows(plan(), kEverything, 1, way));
}

TEST_F(RuleCacheTest, LooksAtOtherFieldsOnlyIfARuleDoes) {
    FramePlan flags = plan(), traffic_class = plan(), ttl = plan(), fragment = plan();
    flags.tcp_flags = 0x02;
    traffic_class.traffic_class = 4;
    ttl.ttl = 1;
    fragment.flags = packet::ip_flag::dont_fragment;
    const std::vector<std::pair<FramePlan, std::uint64_t>> others = {
        {flags, RuleCache::kDetail},
        {traffic_class, RuleCache::kTrafficClass},
        {ttl, RuleCache::kTtl},
        {fragment, RuleCache::kIpFlags}};
    std::uint64_t ruleset = 0;
    for (const auto& [other, field] : others) {
        ++ruleset;
        EXPECT_FALSE(knows(plan(), kEverything & ~field, ruleset));
        EXPECT_TRUE(knows(other, kEverything & ~field, ruleset)) << field;
    }
}

TEST_F(RuleCacheTest, TellsApartWhatARuleLooksAt) {
    FramePlan flags = plan(), traffic_class = plan(), ttl = plan(), fragment = plan(),
              ping = plan();
    flags.tcp_flags = 0x02;
    traffic_class.traffic_class = 4;
    ttl.ttl = 1;
    fragment.flags = packet::ip_flag::dont_fragment;
    ping.protocol = kIcmp;
    ping.icmp_type = 8;
    FramePlan pong = ping;
    pong.icmp_type = 0;
    for (const FramePlan& each : {plan(), flags, traffic_class, ttl, fragment, ping, pong})
        EXPECT_FALSE(knows(each, kEverything));
    for (const FramePlan& each : {plan(), flags, traffic_class, ttl, fragment, ping, pong})
        EXPECT_TRUE(knows(each, kEverything));
}

TEST_F(RuleCacheTest, KnowsNothingOfAnotherRuleset) {
    EXPECT_FALSE(knows(plan(), 0, 1));
    EXPECT_FALSE(knows(plan(), 0, 2));
    EXPECT_TRUE(knows(plan(), 0, 2));
    EXPECT_FALSE(knows(plan(), 0, 1)) << "a ruleset that comes again is a new one";
}

TEST_F(RuleCacheTest, LeavesOutWhatIsNotCommon) {
    FramePlan fragment = plan(), version6 = plan();
    fragment.flags = packet::ip_flag::more_fragments;
    version6.version = 6;
    version6.ether_type = 0x86dd;
    for (const FramePlan& each : {fragment, version6}) {
        EXPECT_FALSE(knows(each));
        EXPECT_FALSE(cache_.has_looked_for(0));
    }
}

TEST_F(RuleCacheTest, GivesUpForAWhileWhenNothingComesBack) {
    unsigned looked = 0;
    FramePlan each = plan();
    constexpr unsigned kPackets = 140'000;
    for (unsigned i = 0; i < kPackets; ++i) {
        each.source4 = Ipv4::from_host(0x0a000000 + i);
        EXPECT_FALSE(knows(each));
        looked += cache_.has_looked_for(0) ? 1 : 0;
    }
    EXPECT_LT(looked, kPackets / 8);
    EXPECT_GT(looked, kPackets / 32) << "it tries again";
    // And is there again when it is of use.
    unsigned hits = 0;
    for (unsigned i = 0; i < kPackets; ++i)
        hits += knows(plan()) ? 1 : 0;
    EXPECT_GT(hits, kPackets / 3);
}

// Where they agree, the classifier says the same; else one of the fields that it asks about is
// another.
TEST(FieldsAsked, AreThoseOfTheRules) {
    const auto fields = [](const std::string& rule) {
        const Bench bench(std::vector<std::string>{"100 " + rule});
        return bench.classifier()->fields_asked();
    };
    EXPECT_EQ(fields("allow tcp from 10.0.0.0/8 to any 80 in recv em0"), 0u);
    EXPECT_EQ(fields("allow tcp from any to any established"), RuleCache::kDetail);
    EXPECT_EQ(fields("allow icmp from any to any icmptypes 8"), RuleCache::kDetail);
    EXPECT_EQ(fields("allow ip from any to any iptos lowdelay"), RuleCache::kTrafficClass);
    EXPECT_EQ(fields("allow ip from any to any ipttl 1"), RuleCache::kTtl);
    EXPECT_EQ(fields("allow ip from any to any frag"), RuleCache::kIpFlags);
}

}  // namespace
}  // namespace sluice::classify
