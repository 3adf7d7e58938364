// Tags, marks, calls, and what rules change in a packet: seen through rules and one engine.
#include <gtest/gtest.h>

#include "dataplane/program/packet_marks.h"
#include "tests/unit/program/bench.h"

namespace sluice::program {
namespace {

using packet::Entry;
using reference::FramePlan;
using Lines = std::vector<std::string>;

constexpr packet::Passage kIn = in_by(0);
constexpr packet::Passage kBridge = in_by(0, Entry::bridge);

FramePlan udp(std::uint16_t port = 53) {
    FramePlan plan;
    plan.source4 = *parse_ipv4("1.1.1.1");
    plan.destination4 = *parse_ipv4("2.2.2.2");
    plan.protocol = 17;
    plan.source_port = 5;
    plan.destination_port = port;
    plan.payload = 12;
    return plan;
}

FramePlan syn(std::uint16_t mss) {
    FramePlan plan = udp(80);
    plan.protocol = 6;
    plan.tcp_flags = 2;
    plan.tcp_options = {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
    return plan;
}

FramePlan ip6(std::uint32_t label) {
    FramePlan plan;
    plan.version = 6;
    plan.ether_type = 0x86dd;
    plan.source6 = *parse_ipv6("2001:db8::1");
    plan.destination6 = *parse_ipv6("2001:db8::2");
    plan.protocol = 17;
    plan.flow_label = label;
    return plan;
}

TEST(Marks, ATagStaysUntilItIsTakenOff) {
    Bench bench({"100 count tag 7 ip from any to any", "200 count tag 9 ip from any to any",
                 "300 count ip from any to any tagged 7,9", "400 count untag 7 ip from any to any",
                 "500 deny ip from any to any tagged 1-8",
                 "600 allow ip from any to any tagged 9"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 600");
    EXPECT_EQ(bench.counters(2), "1 40");
}

TEST(Marks, TheNextPacketHasNoTags) {
    Bench bench(
        {"100 count tag 7 udp from any to any 53", "200 allow ip from any to any tagged 7"});
    EXPECT_EQ(bench.pass(udp(53), kIn), "accept 200");
    EXPECT_EQ(bench.pass(udp(54), kIn), "deny 65535");
}

TEST(Marks, TagsPassATee) {
    Bench bench({"100 tee 5 tag 7 ip from any to any", "200 allow ip from any to any tagged 7"});
    EXPECT_EQ(bench.pass(udp(), kIn), "tee:5@100>accept 200");
}

TEST(Marks, MoreTagsThanFitDropThePacket) {
    std::vector<std::string> rules;
    for (unsigned tag = 1; tag <= kMaximumTags; ++tag)
        rules.push_back(std::to_string(tag) + " count tag " + std::to_string(tag) +
                        " ip from any to any");
    rules.push_back("1000 count tag 1 ip from any to any");  // has it already
    rules.push_back("2000 allow ip from any to any");
    Bench fits(rules);
    EXPECT_EQ(fits.pass(udp(), kIn), "accept 2000");
    rules.insert(rules.end() - 1, "1100 count tag 999 ip from any to any");
    Bench full(rules);
    EXPECT_EQ(full.pass(udp(), kIn), "deny 1100");
}

// The original's answer: the look-up takes the negation of `untag` for its own.
TEST(Marks, AStateOfAnUntagRuleLeadsBehindIt) {
    Bench bench(
        {"100 allow untag 3 udp from any to any keep-state", "200 deny ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(bench.pass(udp(), kIn), "deny 200");
    Bench logged(
        {"100 allow log untag 3 udp from any to any keep-state", "200 deny ip from any to any"});
    EXPECT_EQ(logged.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(logged.pass(udp(), kIn), "accept 100");
}

TEST(Marks, AMarkIsComparedUnderItsMask) {
    Bench bench(
        {"100 count ip from any to any mark 0", "200 setmark 0x1234 ip from any to any",
         "300 count ip from any to any mark 0x1234", "400 count ip from any to any mark 0x34:0xff",
         "500 count ip from any to any mark 0x35:0xff", "600 allow ip from any to any not mark 1"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 600");
    EXPECT_EQ(bench.counters(0), "1 40");
    EXPECT_EQ(bench.counters(2), "1 40");
    EXPECT_EQ(bench.counters(3), "1 40");
    EXPECT_EQ(bench.counters(4), "0 0");
}

TEST(Marks, AFibIsMatched) {
    Bench bench({"100 deny ip from any to any fib 3", "200 setfib 3 ip from any to any",
                 "300 deny ip from any to any fib 0", "400 allow ip from any to any fib 3"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 400");
}

TEST(Marks, ACallReturnsBehindTheNumberOfItsRule) {
    Bench bench({"100 count ip from any to any", "150 skipto 1000 ip from any to any",
                 "200 count ip from any to any", "300 return ip from any to any",
                 "1000 call 200 udp from any to any", "1000 deny ip from any to any",
                 "1100 allow ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 1100");
    EXPECT_EQ(bench.counters(2), "1 40");
    EXPECT_EQ(bench.counters(3), "1 40");
    EXPECT_EQ(bench.counters(4), "1 40");
    EXPECT_EQ(bench.counters(5), "0 0");
}

TEST(Marks, AReturnWithoutACallIsPassedOverUncounted) {
    Bench bench({"100 return log ip from any to any", "200 allow ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 200");
    EXPECT_EQ(bench.counters(0), "0 0");
    EXPECT_EQ(bench.log, (Lines{"ipfw: 100 Return UDP 1.1.1.1:5 2.2.2.2:53 in via em0"}));
}

TEST(Marks, TheSeventeenthCallIsPassedOverAndSaysSo) {
    Bench bench({"100 call 100 log ip from any to any", "200 allow ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 200");
    EXPECT_EQ(bench.counters(0), "16 640");
    ASSERT_EQ(bench.log.size(), 18u);
    EXPECT_EQ(bench.log[16], "ipfw: 100 Call 100 UDP 1.1.1.1:5 2.2.2.2:53 in via em0");
    EXPECT_EQ(bench.log[17], "ipfw: call stack error, go to next rule");
}

// Without a bound this would take 3^16 calls.
TEST(Marks, CallsInACircleEnd) {
    Bench bench({"100 call 100 ip from any to any", "200 call 100 ip from any to any",
                 "300 call 100 ip from any to any", "400 return ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn).substr(0, 5), "deny ");
}

TEST(Marks, LaterRulesSeeTheNewCodePoint) {
    FramePlan plan = udp();
    plan.traffic_class = 3;  // ECN
    Bench bench(
        {"100 deny ip from any to any dscp ef", "200 setdscp ef ip from any to any",
         "300 deny ip from any to any dscp be", "400 deny ip from any to any not iptos congestion",
         "500 count ip from any to any ipprecedence 5", "600 allow ip from any to any dscp 46"});
    EXPECT_EQ(bench.pass(plan, kIn), "accept 600");
    EXPECT_EQ(bench.counters(4), "1 40");
    EXPECT_EQ(bench.pass(ip6(0), kIn), "deny 400");  // iptos knows IPv4 only
}

// In IPv6 the real engine takes the length of the IP header from the traffic class: 11 words of it
// are left behind `setdscp ef`.
TEST(Marks, TheLengthOfTcpDataSeesTheNewTrafficClass) {
    FramePlan plan = ip6(0);
    plan.protocol = 6;
    plan.payload = 100;
    Bench bench(
        {"100 setdscp ef ip from any to any",
         "200 allow tcp from any to any tcpdatalen " + std::to_string(40 + 20 + 100 - 44 - 20),
         "300 deny ip from any to any"});
    EXPECT_EQ(bench.pass(plan, kIn), "accept 200");
}

TEST(Marks, ACodePointNeedsIp) {
    FramePlan arp;
    arp.version = 0;
    arp.ether_type = 0x0806;
    arp.payload = 28;
    Bench bench({"100 setdscp ef layer2", "200 allow layer2"});
    EXPECT_EQ(bench.pass(arp, kBridge), "accept 200");
    EXPECT_EQ(bench.counters(0), "0 0");
}

TEST(Marks, LaterRulesSeeTheLoweredSegmentSize) {
    Bench bench(
        {"100 tcp-setmss 1400 tcp from any to any", "200 count tcp from any to any tcpmss 1400",
         "300 tcp-setmss 1460 tcp from any to any", "400 tcp-setmss 1300 tcp from any to any",
         "500 allow tcp from any to any tcpmss 1300", "600 allow tcp from any to any tcpmss 1000"});
    EXPECT_EQ(bench.pass(syn(1460), kIn), "accept 500");
    EXPECT_EQ(bench.counters(1), "1 56");
    EXPECT_EQ(bench.pass(syn(1000), kIn), "accept 600");
    // Counted whether there was something to lower or not.
    EXPECT_EQ(bench.counters(0), "2 112");
}

// The bench passes one packet a second, the first one at second 1.
TEST(Expiry, ARuleEndsByItself) {
    Bench bench({"100 allow ip from any to any expires 1970-01-01T00:00:03Z",
                 "200 reject ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(bench.pass(udp(), kIn), "unreach:1 200");
}

TEST(Expiry, ItsStatesEndWithIt) {
    Bench bench({"50 check-state :any",
                 "100 allow udp from any to any keep-state expires 1970-01-01T00:00:03Z",
                 "200 reject ip from any to any"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    EXPECT_EQ(bench.pass(udp(), kIn), "unreach:1 200");
}

TEST(Expiry, ACheckStateEndsToo) {
    Bench bench({"50 check-state expires 1970-01-01T00:00:03Z",
                 "60 reject udp from any to any 53 dscp ef",
                 "100 allow udp from any to any keep-state"});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 100");
    FramePlan marked = udp();
    marked.traffic_class = 46 << 2;
    EXPECT_EQ(bench.pass(marked, kIn), "accept 100");
    EXPECT_EQ(bench.pass(marked, kIn), "unreach:1 60");
}

TEST(Reassembly, TheDatagramGoesOnAtTheNextRule) {
    FramePlan first = udp(), second = udp();
    first.flags = 1;
    first.payload = 8;
    second.protocol = 17;
    second.fragment_bytes = 16;
    second.payload = 20;
    Bench bench({"100 reass log ip from any to any", "200 deny ip from any to any frag",
                 "300 allow udp from any to any 53"});
    EXPECT_EQ(bench.pass(first, kIn), "reass 100");
    EXPECT_EQ(bench.pass(second, kIn).substr(0, 10), "reass@100>");
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 300");
    EXPECT_EQ(bench.counters(0).substr(0, 2), "5 ");
    EXPECT_EQ(bench.counters(1), "0 0");
    EXPECT_EQ(bench.counters(2).substr(0, 2), "2 ");
    EXPECT_EQ(bench.log.front().substr(0, 22), "ipfw: 100 Reass UDP 1.");
}

// "IPv6 is not supported yet" in ipfw; at layer 2 there is no IP to put together.
TEST(Reassembly, IsForIpv4) {
    FramePlan plan = ip6(0);
    plan.extensions.push_back({.header = 44, .fragment_bytes = 0, .more = true, .id = 7});
    Bench bench({"100 reass ip from any to any", "200 allow ip from any to any"});
    EXPECT_EQ(bench.pass(plan, kIn), "accept 200");
    EXPECT_EQ(bench.counters(0), "0 0");
}

TEST(Marks, AFlowLabelIsMatchedInIpv6) {
    Bench bench({"100 allow ip from any to any flow-id 0xbaad,7"});
    EXPECT_EQ(bench.pass(ip6(0xbaad), kIn), "accept 100");
    EXPECT_EQ(bench.pass(ip6(7), kIn), "accept 100");
    EXPECT_EQ(bench.pass(ip6(0xf001), kIn), "deny 65535");
    EXPECT_EQ(bench.pass(udp(), kIn), "deny 65535");
}

TEST(Marks, EveryActionHasItsLogWord) {
    Bench bench({"100 call 200 log ip from any to any", "200 setfib 2 log ip from any to any",
                 "300 setdscp af11 log ip from any to any",
                 "400 setmark 0xab log ip from any to any",
                 "500 tcp-setmss 500 log ip from any to any"});
    bench.pass(udp(), kIn);
    const std::string rest = " UDP 1.1.1.1:5 2.2.2.2:53 in via em0";
    EXPECT_EQ(bench.log, (Lines{"ipfw: 100 Call 200" + rest, "ipfw: 200 SetFib 2" + rest,
                                "ipfw: 300 SetDscp 10" + rest, "ipfw: 400 SetMark 0xab" + rest,
                                "ipfw: 500 Eaction tcp-setmss" + rest}));
}

}  // namespace
}  // namespace sluice::program
