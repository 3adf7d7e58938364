#include "dataplane/program/engine.h"

#include <gtest/gtest.h>

#include "controlplane/compiler/compile.h"
#include "tests/unit/program/bench.h"

namespace sluice::program {
namespace {

using packet::Entry;
using reference::FramePlan;
using Lines = std::vector<std::string>;

constexpr packet::InterfaceIndex kEm0 = 0, kEm1 = 1;
constexpr packet::Passage kIn = in_by(kEm0);
constexpr packet::Passage kBridge = in_by(kEm0, Entry::bridge);
constexpr packet::Passage kLayer2 = in_by(kEm0, Entry::layer2);

FramePlan udp() {
    FramePlan plan;
    plan.source4 = *parse_ipv4("1.1.1.1");
    plan.destination4 = *parse_ipv4("2.2.2.2");
    plan.protocol = 17;
    plan.source_port = 5;
    plan.destination_port = 53;
    plan.payload = 12;
    return plan;
}

FramePlan arp() {
    FramePlan plan;
    plan.version = 0;
    plan.ether_type = 0x0806;
    plan.payload = 28;
    return plan;
}

TEST(Engine, EveryActionHasItsVerdict) {
    const std::pair<const char*, const char*> rows[] = {{"allow", "accept 100"},
                                                        {"deny", "deny 100"},
                                                        {"reject", "unreach:1 100"},
                                                        {"unreach filter-prohib", "unreach:13 100"},
                                                        {"unreach needfrag 1400", "unreach:4 100"},
                                                        {"unreach6 port", "unreach6:4 100"},
                                                        {"reset", "reset 100"},
                                                        {"reset6", "reset6 100"},
                                                        {"divert 8668", "divert:8668 100"},
                                                        {"tee 8668", "tee:8668@100>deny 65535"},
                                                        {"fwd 10.0.0.9,80", "fwd:10.0.0.9:80 100"},
                                                        {"fwd 10.0.0.9", "fwd:10.0.0.9 100"},
                                                        {"count", "deny 65535"},
                                                        {"skipto 200", "deny 65535"}};
    for (const auto& [action, verdict] : rows) {
        Bench bench({"100 " + std::string(action) + " ip from any to any"});
        EXPECT_EQ(bench.pass(udp(), kIn), verdict) << action;
        EXPECT_EQ(bench.counters(0), "1 40") << action;
    }
}

TEST(Engine, SkiptoGoesForwardOnly) {
    Bench forward({"100 skipto 300 ip from any to any", "200 deny ip from any to any",
                   "300 count ip from any to any", "400 allow ip from any to any"});
    EXPECT_EQ(forward.pass(udp(), kIn), "accept 400");
    EXPECT_EQ(forward.counters(1), "0 0");
    EXPECT_EQ(forward.counters(2), "1 40");

    Bench beyond({"100 skipto 60000 ip from any to any", "200 allow ip from any to any"});
    EXPECT_EQ(beyond.pass(udp(), kIn), "deny 65535");

    Bench between({"100 skipto 250 ip from any to any", "200 deny ip from any to any",
                   "300 allow ip from any to any"});
    EXPECT_EQ(between.pass(udp(), kIn), "accept 300");
}

// Back or to itself means "the next number", as in the real engine.
TEST(Engine, SkiptoBackGoesOnBehindItsNumber) {
    for (const char* target : {"50", "100"}) {
        Bench bench({"50 count ip from any to any",
                     "100 skipto " + std::string(target) + " ip from any to any",
                     "100 count ip from any to any", "200 allow ip from any to any"});
        EXPECT_EQ(bench.pass(udp(), kIn), "accept 200");
        EXPECT_EQ(bench.counters(0), "1 40");
        EXPECT_EQ(bench.counters(2), "0 0");
    }
}

TEST(Engine, CountersAreIpLengthsOfEveryRuleOnTheWalk) {
    Bench bench({"100 count ip from any to any", "200 count tcp from any to any",
                 "300 allow ip from any to any"});
    FramePlan padded = udp();
    padded.padding = 30;
    for (int i = 0; i < 3; ++i)
        bench.pass(padded, kIn);
    EXPECT_EQ(bench.counters(0), "3 120");
    EXPECT_EQ(bench.counters(1), "0 0");
    EXPECT_EQ(bench.counters(2), "3 120");
    EXPECT_EQ(bench.counters(3), "0 0");
}

TEST(Engine, LogLineAndLimit) {
    Bench bench({"100 deny log logamount 2 ip from any to any"});
    for (int i = 0; i < 4; ++i)
        bench.pass(udp(), kIn);
    EXPECT_EQ(bench.log, (Lines{"ipfw: 100 Deny UDP 1.1.1.1:5 2.2.2.2:53 in via em0",
                                "ipfw: 100 Deny UDP 1.1.1.1:5 2.2.2.2:53 in via em0",
                                "ipfw: limit 2 reached on entry 100"}));
    EXPECT_EQ(bench.counters(0), "4 160");
}

TEST(Engine, VerboseLimitCountsWhereNoLogamountIsGiven) {
    Bench bench({"100 count log ip from any to any", "200 deny log logamount 0 ip from any to any"},
                {.sysctls = {.verbose = 1, .verbose_limit = 1}});
    for (int i = 0; i < 3; ++i)
        bench.pass(udp(), kIn);
    EXPECT_EQ(bench.log.size(), 2u + 3u);  // one line and its notice; no limit at all
}

TEST(Engine, NoLineWithoutVerbose) {
    Bench bench({"100 deny log ip from any to any"}, {.sysctls = {.verbose = 0}});
    EXPECT_EQ(bench.pass(udp(), kIn), "deny 100");
    EXPECT_TRUE(bench.log.empty());
}

TEST(Engine, MalformedPacketsMeetNoRule) {
    Bench bench({"100 allow log ip from any to any"});
    FramePlan fragment = udp();
    fragment.protocol = 6;
    fragment.fragment_bytes = 8;
    EXPECT_EQ(bench.pass(fragment, kIn), "deny -1");
    FramePlan cut = udp();
    cut.claimed_length = 24;
    EXPECT_EQ(bench.pass(cut, kIn), "deny -1");
    EXPECT_EQ(bench.counters(0), "0 0");
    EXPECT_EQ(bench.log, (Lines{"ipfw: -1 Refuse TCP 1.1.1.1 2.2.2.2 in via em0 (frag 0:32@8)",
                                "ipfw: pullup failed"}));
}

TEST(Engine, HeaderThatLiesIsLoggedWithoutAFragment) {
    Bench bench({});
    FramePlan plan = udp();
    plan.flags = 1;
    plan.claimed_length = 5;
    bench.pass(plan, kIn);
    EXPECT_EQ(bench.log, (Lines{"ipfw: -1 Refuse UDP 1.1.1.1 2.2.2.2 in via em0"}));
}

// Packets cut short say no entry, and do not use up the limit of entry -1.
TEST(Engine, PullupFailedHasNoPartInTheLimitOfBogusPackets) {
    Bench bench({}, {.sysctls = {.verbose = 1, .verbose_limit = 2}});
    FramePlan cut = udp();
    cut.claimed_length = 24;
    FramePlan bogus = udp();
    bogus.claimed_length = 5;
    for (int i = 0; i < 3; ++i)
        bench.pass(cut, kIn);
    for (int i = 0; i < 3; ++i)
        bench.pass(bogus, kIn);
    ASSERT_EQ(bench.log.size(), 3u + 3u);
    EXPECT_EQ(bench.log[2], "ipfw: pullup failed");
    EXPECT_EQ(bench.log[5], "ipfw: limit 2 reached on entry -1");
}

TEST(Engine, DisabledPassesEverythingUnseen) {
    Bench bench({"100 deny log ip from any to any"}, {.sysctls = {.enable = 0, .verbose = 1}});
    EXPECT_EQ(bench.pass(udp(), kIn), "accept 0");
    FramePlan cut = udp();
    cut.claimed_length = 24;
    EXPECT_EQ(bench.pass(cut, kIn), "accept 0");
    EXPECT_TRUE(bench.log.empty());
    FramePlan six = udp();
    six.version = 6;
    EXPECT_EQ(bench.pass(six, kIn), "deny 100");  // has a switch of its own
}

TEST(Engine, BridgePassesOtherFramesUnlessARuleSpeaksOfThem) {
    Bench ip_only({"100 deny log ip from any to any"});
    EXPECT_EQ(ip_only.pass(arp(), kBridge), "accept 0");
    EXPECT_EQ(ip_only.pass(udp(), kBridge), "deny 100");
    EXPECT_EQ(ip_only.counters(0), "1 40");

    Bench speaking({"100 count ip from any to any", "200 count ip from any to any layer2",
                    "300 deny log ip from any to any mac-type 0x0806"});
    EXPECT_EQ(speaking.pass(arp(), kBridge), "deny 300");
    EXPECT_EQ(speaking.counters(0), "0 0");
    EXPECT_EQ(speaking.counters(1), "1 28");
    EXPECT_EQ(speaking.log, (Lines{"ipfw: 300 Deny MAC in via em0"}));

    Bench negated({"100 deny ip from any to any not mac-type 0x0800,0x86dd"});
    EXPECT_EQ(negated.pass(arp(), kBridge), "deny 100");
    EXPECT_EQ(negated.pass(udp(), kBridge), "deny 65535");
}

TEST(Engine, MacMatchesFramesOnly) {
    for (const char* option : {"layer2", "MAC 02:00:00:00:00:02 any", "mac-type 0x0800"}) {
        Bench bench({"100 allow ip from any to any " + std::string(option)});
        EXPECT_EQ(bench.pass(udp(), kBridge), "accept 100") << option;
        EXPECT_EQ(bench.pass(udp(), kLayer2), "accept 100") << option;
        EXPECT_EQ(bench.pass(udp(), kIn), "deny 65535") << option;
    }
}

// At layer 2 divert, tee and fwd are no operation: their line is written, nothing is counted.
TEST(Engine, Layer2TakesSomeActionsAsNoOperation) {
    for (const char* action : {"divert 1", "tee 1", "fwd 10.0.0.9"}) {
        Bench bench({"100 " + std::string(action) + " log ip from any to any",
                     "200 allow ip from any to any"});
        EXPECT_EQ(bench.pass(udp(), kLayer2), "accept 200") << action;
        EXPECT_EQ(bench.counters(0), "0 0") << action;
        EXPECT_EQ(bench.log.size(), 1u) << action;
    }
}

// A program is given IP packets only.
TEST(Engine, DivertAndTeePassWhatIsNotIp) {
    Bench bench({"100 divert 1 ip from any to any layer2", "200 tee 1 ip from any to any layer2",
                 "300 deny ip from any to any layer2"});
    EXPECT_EQ(bench.pass(arp(), kBridge), "deny 300");
    EXPECT_EQ(bench.counters(0), "0 0");
}

TEST(Engine, ChanceOfOneAlwaysMatchesAndHalfSometimes) {
    Bench bench({"100 prob 0.5 count ip from any to any", "200 prob 1 allow ip from any to any"});
    for (int i = 0; i < 400; ++i)
        ASSERT_EQ(bench.pass(udp(), kIn), "accept 200");
    const int half = std::stoi(bench.counters(0));
    EXPECT_GT(half, 120);
    EXPECT_LT(half, 280);
}

TEST(Engine, RoutesDecideWhereThePacketShouldHaveComeFrom) {
    BenchSettings settings;
    settings.environment.interfaces = {{"em0", {{*parse_ipv4("10.0.0.1"), 24}}},
                                       {"em1", {{*parse_ipv4("10.1.0.1"), 24}}}};
    settings.environment.routes = {
        {packet::Route::Kind::forward, *parse_ipv4("0.0.0.0"), 0, kEm1},
        {packet::Route::Kind::blackhole, *parse_ipv4("10.9.0.0"), 16, packet::kNoInterface}};
    auto verdict = [&](const char* option, const char* source, packet::Passage passage) {
        Bench bench({"100 allow ip from any to any " + std::string(option)}, settings);
        FramePlan plan = udp();
        plan.source4 = *parse_ipv4(source);
        return bench.pass(plan, passage) == "accept 100";
    };
    EXPECT_TRUE(verdict("verrevpath", "10.0.0.7", in_by(kEm0)));
    EXPECT_FALSE(verdict("verrevpath", "10.0.0.7", in_by(kEm1)));
    EXPECT_TRUE(verdict("verrevpath", "8.8.8.8", in_by(kEm1)));
    EXPECT_FALSE(verdict("verrevpath", "10.9.0.1", in_by(kEm1)));
    EXPECT_TRUE(verdict("versrcreach", "10.1.0.7", in_by(kEm0)));
    EXPECT_FALSE(verdict("versrcreach", "8.8.8.8", in_by(kEm1)));
    EXPECT_FALSE(verdict("versrcreach", "10.9.0.1", in_by(kEm1)));
    EXPECT_TRUE(verdict("antispoof", "8.8.8.8", in_by(kEm0)));
    EXPECT_TRUE(verdict("antispoof", "10.0.0.7", in_by(kEm0)));
    EXPECT_FALSE(verdict("antispoof", "10.0.0.7", in_by(kEm1)));
    EXPECT_TRUE(verdict("antispoof", "10.0.0.7", out_by(kEm1)));
}

TEST(Runtime, RefusesMoreSlotsThanThereAreAndBrokenImages) {
    const auto rule =
        language::parse_rule("100 allow ip from any to any", language::refusing_resolver());
    const compiler::RuleInput input{.rule = &*rule, .slot = 9};
    auto image = compiler::compile({.rules = {&input, 1}});
    ASSERT_TRUE(image);
    EXPECT_TRUE(Runtime::create(*image, {}, 10));
    const auto few = Runtime::create(*image, {}, 9);
    ASSERT_FALSE(few);
    EXPECT_FALSE(few.error().message.empty());
    image->back() ^= std::byte{1};
    EXPECT_FALSE(Runtime::create(*image, {}, 10));
    EXPECT_FALSE(Runtime::create({}, {}, 10));
}

}  // namespace
}  // namespace sluice::program
