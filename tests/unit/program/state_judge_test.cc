// States that are judged anew after other rules have come.
#include "dataplane/program/state_judge.h"

#include "tests/unit/program/state_bench.h"
#include "tests/unit/state/packets.h"

namespace sluice::program {
namespace {

using Kind = Verdict::Kind;
using Rechecked = StateBench::Rechecked;
using state::End;
using state::kIcmp;
using state::kTcp;
using state::kUdp;

constexpr End kClient{0x01010101, 1000}, kServer{0x02020202, 53};

packet::Packet syn(End from = kClient, End to = kServer) {
    return state::make_tcp(from, to, state::kSyn, 0, 0);
}
packet::Packet udp(End from = kClient, unsigned version = 4) {
    return state::make_packet(from, kServer, kUdp, 0, version);
}
packet::Packet back(End to = kClient) {
    return state::make_packet(kServer, to, kUdp, 0);
}

// The new rules, and those that had states as orphans.
void replace(StateBench& bench, const std::vector<std::string>& rules,
             const std::vector<std::string>& orphans) {
    bench.load({.rules = rules, .orphans = orphans});
}

TEST(StateJudge, WhatTheNewRulesWouldMakeMovesAndTheRestEnds) {
    const std::string before = "100 allow ip from any to any keep-state";
    const std::string after = "200 allow udp from 1.1.1.0/24 to any keep-state";
    StateBench bench({before});
    bench.pass(udp());
    bench.pass(udp({0x01010201, 7}));
    bench.pass(syn());
    replace(bench, {after}, {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.kept = 0, .moved = 1, .killed = 2}));
    EXPECT_EQ(bench.states(), 1u);
    EXPECT_EQ(bench.states_of(before), 0u);
    EXPECT_EQ(bench.states_of(after), 1u);
    // The state goes on, for the rule that it belongs to now.
    const Verdict verdict = bench.pass(back());
    EXPECT_EQ(verdict.kind, Kind::accept);
    EXPECT_EQ(verdict.rule_number, 200);
    EXPECT_EQ(bench.counted(after), 1u);
    EXPECT_EQ(bench.pass(back({0x01010201, 7})).kind, Kind::deny);
    // Whoever is judged again stays where he is.
    EXPECT_EQ(bench.recheck(), (Rechecked{.kept = 1}));
}

TEST(StateJudge, NothingIsCountedNorLogged) {
    const std::string rule = "100 allow log udp from any to any keep-state";
    StateBench bench({rule}, {.verbose = 1});
    bench.pass(udp());
    bench.logged();
    EXPECT_EQ(bench.recheck(), (Rechecked{.kept = 1}));
    EXPECT_EQ(bench.counted(rule), 1u);
    EXPECT_TRUE(bench.logged().empty());
}

TEST(StateJudge, TheWayOfTheFirstPacketCounts) {
    const std::string before = "100 allow udp from any to any keep-state";
    StateBench bench({before});
    bench.pass(udp());
    bench.pass(back());
    // The server is not allowed to begin.
    replace(bench, {"100 deny udp from 2.2.2.2 to any", "200 allow udp from any to any keep-state"},
            {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 1}));
}

TEST(StateJudge, WhoPassesWithoutAStateHasNone) {
    const std::string keep = "200 allow udp from any to any keep-state";
    StateBench bench({keep});
    bench.pass(udp());
    bench.load({.rules = {"100 allow udp from any to any", keep}});
    EXPECT_EQ(bench.recheck(), (Rechecked{.killed = 1}));
}

TEST(StateJudge, AStateOfAPacketThatIsDroppedLaterIsNone) {
    const std::string keep = "100 count udp from any to any record-state";
    StateBench bench({keep, "200 allow ip from any to any"});
    bench.pass(udp());
    bench.load({.rules = {keep, "200 deny ip from any to any"}});
    EXPECT_EQ(bench.recheck(), (Rechecked{.killed = 1}));
}

TEST(StateJudge, TheFirstPacketOfAConnectionIsASynAndOfPingARequest) {
    const std::string before = "100 allow ip from any to any keep-state";
    StateBench bench({before});
    bench.pass(syn());
    bench.pass(state::make_packet({1, 0}, {2, 0}, kIcmp, 0));
    replace(bench,
            {"100 allow tcp from any to any setup keep-state",
             "200 allow icmp from any to any icmptypes 8 keep-state"},
            {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 2}));
    // An established connection, whatever it has seen, is asked for with its first packet.
    replace(bench, {"100 allow tcp from any to any established keep-state"},
            {"100 allow tcp from any to any setup keep-state",
             "200 allow icmp from any to any icmptypes 8 keep-state"});
    EXPECT_EQ(bench.recheck(), (Rechecked{.killed = 2}));
}

TEST(StateJudge, BothFamiliesAndEveryProtocolAreJudged) {
    const std::string before = "100 allow ip from any to any keep-state";
    const std::string after = "300 allow ip from any to any keep-state";
    StateBench bench({before});
    for (unsigned protocol = 0; protocol < 256; ++protocol)
        bench.pass(state::make_packet(kClient, kServer, static_cast<std::uint8_t>(protocol), 0));
    // Upper layers that are known in IPv6; others are dropped before any rule.
    for (const std::uint8_t protocol : {4, 6, 17, 41, 50, 58, 59, 89, 103, 112, 132, 136})
        bench.pass(state::make_packet(kClient, kServer, protocol, 0, 6));
    replace(bench, {after}, {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 256 + 12}));
}

TEST(StateJudge, TheInterfaceAndTheAddressesOfTheFrameAreKnown) {
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    const std::string before = "100 allow udp from any to any keep-state";
    StateBench bench({before}, {}, environment);
    const std::array<std::byte, 64> frame{std::byte{2}};
    packet::Packet by_bridge = udp();
    by_bridge.passage = {.entry = packet::Entry::bridge, .receive_interface = 1};
    by_bridge.headers.frame = frame.data();
    by_bridge.headers.network_offset = 14;
    bench.pass(by_bridge);
    packet::Packet routed = udp({0x01010101, 1001});
    routed.passage = {.receive_interface = 0};
    bench.pass(routed);
    const std::vector<std::string> rules = {
        "100 allow udp from any to any in recv em0 not layer2 keep-state",
        "200 allow udp from any to any in recv em1 layer2 MAC 02:00:00:00:00:00 any keep-state"};
    replace(bench, rules, {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 2}));
    EXPECT_EQ(bench.states_of(rules[0]), 1u);
    EXPECT_EQ(bench.states_of(rules[1]), 1u);
    replace(bench, {"100 allow udp from any to any in recv em1 keep-state"}, rules);
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 1, .killed = 1}));
}

TEST(StateJudge, AGatewayAsksBothPasses) {
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    environment.routes = {{.prefix = *parse_ipv4("2.0.0.0"), .prefix_length = 8, .interface = 1}};
    const auto fib = make_fib(environment);
    ASSERT_TRUE(fib);
    const std::string before = "100 allow udp from any to any keep-state";
    StateBench bench({before}, {}, environment);
    packet::Packet packet = udp();
    packet.passage = {.receive_interface = 0};
    bench.pass(packet);
    packet::Packet own = udp({0x03030303, 1});
    own.passage = {.direction = packet::Direction::out, .transmit_interface = 1};
    bench.pass(own);
    const std::vector<std::string> out = {"100 allow udp from 1.1.1.1 to any in",
                                          "200 allow udp from any to any out xmit em1 keep-state"};
    replace(bench, out, {before});
    EXPECT_EQ(bench.recheck(fib->get()), (Rechecked{.moved = 2}));
    replace(bench,
            {"100 allow udp from 1.1.1.1 to any in keep-state",
             "200 deny udp from 3.3.3.3 to any out xmit em1"},
            out);
    EXPECT_EQ(bench.recheck(fib->get()), (Rechecked{.moved = 1, .killed = 1}));
    // The out pass forbids it to everybody who was not let in with a state.
    const std::vector<std::string> deny = {"50 deny udp from any to any out xmit em1",
                                           "100 allow udp from any to any in keep-state"};
    replace(bench, deny, {"100 allow udp from 1.1.1.1 to any in keep-state"});
    EXPECT_EQ(bench.recheck(fib->get()), (Rechecked{.killed = 1}));
}

TEST(StateJudge, TheLimitHoldsForThoseThatMove) {
    const std::string before = "100 allow udp from any to any keep-state";
    const std::string limit = "200 allow udp from any to any limit src-addr 2";
    StateBench bench({before});
    for (std::uint16_t port = 1; port <= 5; ++port)
        bench.pass(udp({0x01010101, port}));
    bench.pass(udp({0x01010102, 1}));
    replace(bench, {limit}, {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 3, .killed = 3}));
    EXPECT_EQ(bench.states_of(limit), 3u);
    EXPECT_EQ(bench.pass(udp({0x01010101, 9})).kind, Kind::deny);
    EXPECT_EQ(bench.pass(udp({0x01010102, 9})).kind, Kind::accept);
    // And nothing is left of it when they leave.
    replace(bench, {before}, {limit});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 4}));
    for (const auto& record : bench.listed())
        EXPECT_NE(record.kind, contract::StateKind::parent);
}

TEST(StateJudge, AFlowHasOneStateOfAName) {
    const std::vector<std::string> before = {"100 count udp from any to any record-state :a",
                                             "200 allow udp from any to any keep-state :b"};
    StateBench bench(before);
    bench.pass(udp());
    ASSERT_EQ(bench.states(), 2u);
    const std::string after = "300 allow udp from any to any keep-state :c";
    replace(bench, {after}, before);
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 1, .killed = 1}));
    EXPECT_EQ(bench.listed().front().name, contract::state_name_id("c"));
    // Each of several finds the rule of its name.
    replace(bench, {before[0], before[1]}, {after});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 1}));
    EXPECT_EQ(bench.states_of(before[1]), 1u);
    bench.pass(udp());
    EXPECT_EQ(bench.recheck(), (Rechecked{.kept = 2}));
}

TEST(StateJudge, WhoDivertsOrCopiesGivesBack) {
    const std::string before = "100 allow udp from any to any keep-state";
    const std::vector<std::string> after = {"100 tee 8668 ip from any to any",
                                            "200 divert 8669 ip from any to any",
                                            "300 allow udp from any to any diverted keep-state"};
    StateBench bench({before});
    bench.pass(udp());
    replace(bench, after, {before});
    EXPECT_EQ(bench.recheck(), (Rechecked{.moved = 1}));
    EXPECT_EQ(bench.states_of(after[2]), 1u);
}

TEST(StateJudge, WhereTheFirewallIsOffNobodyIsJudged) {
    const std::string before = "100 allow udp from any to any keep-state";
    StateBench on({before});
    on.pass(udp());
    StateBench off({before}, {.enable = 0});
    off.load({.rules = {}, .orphans = {before}});
    // The same state in both.
    const auto judge_of = [](StateBench& bench, const state::StateCopy& copy) {
        return bench.judge(copy).has_value();
    };
    EXPECT_TRUE(judge_of(off, on.state(0)));
    on.load({.rules = {}, .orphans = {before}});
    EXPECT_FALSE(judge_of(on, on.state(0)));
}

TEST(StateJudge, WhatIsDecidedHoldsForTheStateThatWasRead) {
    const std::string before = "100 allow udp from any to any keep-state";
    StateBench bench({before});
    bench.pass(udp());
    const state::StateCopy copy = bench.state(0);
    const StateDecision kill{
        .cell = 0, .key = copy.key, .name = copy.cell.name, .rule_id = copy.cell.rule_id};
    StateDecision other = kill;
    other.key.low_port ^= 1;
    EXPECT_EQ(bench.settle(other).killed, 0u);
    other = kill;
    other.key.from_low = !other.key.from_low;
    EXPECT_EQ(bench.settle(other).killed, 0u);
    other = kill;
    other.rule_id += 1;
    EXPECT_EQ(bench.settle(other).killed, 0u);
    other = kill;
    other.name += 1;
    EXPECT_EQ(bench.settle(other).killed, 0u);
    other = kill;
    other.cell = 1000;
    EXPECT_EQ(bench.settle(other).killed, 0u);
    EXPECT_EQ(bench.settle(kill).killed, 1u);
    EXPECT_EQ(bench.settle(kill).killed, 0u);
    EXPECT_EQ(bench.states(), 0u);
}

}  // namespace
}  // namespace sluice::program
