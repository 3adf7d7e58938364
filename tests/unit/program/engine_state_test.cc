// Rules that make states and look for them.
#include "tests/unit/program/state_bench.h"
#include "tests/unit/state/packets.h"

namespace sluice::program {
namespace {

using Kind = Verdict::Kind;
using state::End;
using state::kTcp;
using state::kUdp;

constexpr End kClient{0x01010101, 1000}, kServer{0x02020202, 53};

packet::Packet out(End client = kClient) {
    return state::make_packet(client, kServer, kUdp, 0);
}
packet::Packet back(End client = kClient) {
    return state::make_packet(kServer, client, kUdp, 0);
}

void expect_verdict(const Verdict& verdict, Kind kind, std::int32_t rule) {
    EXPECT_EQ(verdict.kind, kind);
    EXPECT_EQ(verdict.rule_number, rule);
}

TEST(EngineState, KeepStateOpensTheWayBack) {
    const std::string keep = "100 allow udp from 1.1.1.1 to any keep-state";
    StateBench bench({keep});
    expect_verdict(bench.pass(back()), Kind::deny, 65535);
    expect_verdict(bench.pass(out()), Kind::accept, 100);
    expect_verdict(bench.pass(back()), Kind::accept, 100);
    expect_verdict(bench.pass(back({0x01010101, 1001})), Kind::deny, 65535);
    EXPECT_EQ(bench.counted(keep), 2u);
    EXPECT_EQ(bench.states_of(keep), 1u);
    bench.now_s += 10;
    expect_verdict(bench.pass(back()), Kind::deny, 65535);
}

// The look-up comes before the tests of the rule that carries it, and behind the rules before it.
TEST(EngineState, TheFirstRuleThatLooksDecides) {
    const std::vector<std::string> make = {"200 allow udp from 1.1.1.1 to any keep-state"};
    StateBench check({"50 deny udp from 2.2.2.2 to any", "100 check-state", make[0]});
    check.pass(out());
    expect_verdict(check.pass(back()), Kind::deny, 50);

    StateBench first({"100 check-state", "150 deny udp from 2.2.2.2 to any", make[0]});
    first.pass(out());
    expect_verdict(first.pass(back()), Kind::accept, 200);

    // A rule whose tests do not match looks all the same.
    StateBench other({"100 allow tcp from 9.9.9.9 to any keep-state",
                      "150 deny udp from 2.2.2.2 to any", make[0]});
    other.pass(out());
    expect_verdict(other.pass(back()), Kind::accept, 200);

    // record-state makes, but does not look.
    StateBench record({"100 allow udp from 1.1.1.1 to any record-state",
                       "150 deny udp from 2.2.2.2 to any", "200 check-state"});
    record.pass(out());
    expect_verdict(record.pass(back()), Kind::deny, 150);
}

TEST(EngineState, ChanceComesBeforeTheLookUpAndIsDrawnOnce) {
    const std::string keep = "100 prob 0.5 allow udp from any to any keep-state";
    StateBench bench({keep});
    bench.random.value = 0;
    expect_verdict(bench.pass(out()), Kind::accept, 100);
    EXPECT_EQ(bench.random.draws, 1u);
    expect_verdict(bench.pass(back()), Kind::accept, 100);
    EXPECT_EQ(bench.random.draws, 2u);
    bench.random.value = 0x7fffffff;
    expect_verdict(bench.pass(back()), Kind::deny, 65535);
    EXPECT_EQ(bench.random.draws, 3u);
    EXPECT_EQ(bench.counted(keep), 2u);
}

// A name that was looked for in vain is not looked for again, even when a state has been made
// meanwhile; another name is.
TEST(EngineState, EachNameIsLookedForOnce) {
    StateBench bench({"100 check-state :a", "200 count udp from 1.1.1.1 to any record-state :a",
                      "300 check-state :a", "400 count udp from 1.1.1.1 to any record-state :b",
                      "500 check-state :b", "600 deny udp from any to any"});
    // :a is new, and the second look-up for it does not happen; :b is found at 500 and goes on
    // behind its parent 400, where it is not looked for again.
    expect_verdict(bench.pass(out()), Kind::deny, 600);
    EXPECT_EQ(bench.counted("200 count udp from 1.1.1.1 to any record-state :a"), 1u);
    EXPECT_EQ(bench.counted("400 count udp from 1.1.1.1 to any record-state :b"), 2u);
    EXPECT_EQ(bench.states(), 2u);
}

TEST(EngineState, AnyEndsAllLookUps) {
    const std::vector<std::string> rules = {"100 check-state :any", "200 check-state :a",
                                            "300 count udp from 1.1.1.1 to any record-state :a",
                                            "400 check-state :a", "500 deny udp from any to any"};
    StateBench bench(rules);
    // Nothing is there at 100; 200 and 400 do not look.
    expect_verdict(bench.pass(out()), Kind::deny, 500);
    EXPECT_EQ(bench.counted(rules[2]), 1u);
    // Found at 100: its parent counts, and 400 does not look again.
    expect_verdict(bench.pass(back()), Kind::deny, 500);
    EXPECT_EQ(bench.counted(rules[2]), 2u);
}

TEST(EngineState, AHitGetsTheActionOfTheParent) {
    const std::string from = " udp from 1.1.1.1 to any record-state";
    auto both = [&](const std::string& action) {
        StateBench bench({"50 check-state", "100 " + action + from, "200 allow ip from any to any",
                          "300 deny ip from any to any"});
        bench.pass(out());
        return std::pair(bench.pass(out()), bench.pass(back()));
    };
    const auto count = both("count");
    expect_verdict(count.first, Kind::accept, 200);
    expect_verdict(count.second, Kind::accept, 200);
    const auto skipto = both("skipto 300");
    expect_verdict(skipto.first, Kind::deny, 300);
    expect_verdict(skipto.second, Kind::deny, 300);
    const auto deny = both("deny");
    expect_verdict(deny.second, Kind::deny, 100);
    const auto divert = both("divert 8668");
    expect_verdict(divert.second, Kind::divert, 100);
    EXPECT_EQ(divert.second.argument, 8668);
    // The way back of a forwarded flow is passed.
    const auto fwd = both("fwd 10.0.0.9");
    expect_verdict(fwd.first, Kind::fwd, 100);
    expect_verdict(fwd.second, Kind::accept, 100);
}

// The copy is followed by a new walk, which finds the state again.
TEST(EngineState, TeesOfAStateEnd) {
    StateBench bench({"100 tee 8668 udp from 1.1.1.1 to any keep-state", "200 check-state",
                      "300 allow ip from any to any"});
    Verdict verdict = bench.pass(out());
    unsigned tees = 0;
    for (; verdict.kind == Kind::tee && tees < 100; ++tees) {
        EXPECT_EQ(verdict.argument, 8668);
        verdict = bench.resume(out(), verdict);
    }
    EXPECT_EQ(tees, kMaximumTees - 1);
    EXPECT_EQ(verdict.kind, Kind::deny);
    EXPECT_EQ(verdict.reason, contract::DropReason::too_many_tees);
}

TEST(EngineState, ResumeGoesOnBehindTheRule) {
    StateBench bench({"100 tee 1 udp from any to any", "200 divert 2 udp from any to any",
                      "200 deny udp from any to any", "300 allow udp from any to any keep-state"});
    const Verdict tee = bench.pass(out());
    expect_verdict(tee, Kind::tee, 100);
    const Verdict divert = bench.resume(out(), tee);
    expect_verdict(divert, Kind::divert, 200);
    // What comes back from a divert skips the rest of its number.
    expect_verdict(bench.resume(out(), divert), Kind::accept, 300);
    EXPECT_EQ(bench.states(), 1u);
}

TEST(EngineState, DeferredActionsWaitForTheNextPacket) {
    const std::string defer = "100 deny udp from 1.1.1.1 to any record-state defer-action";
    StateBench bench({"50 check-state", defer, "200 allow ip from any to any"});
    expect_verdict(bench.pass(out()), Kind::accept, 200);
    EXPECT_EQ(bench.counted(defer), 0u);
    EXPECT_EQ(bench.states_of(defer), 1u);
    expect_verdict(bench.pass(out()), Kind::deny, 100);
    EXPECT_EQ(bench.counted(defer), 1u);
}

TEST(EngineState, AReachedLimitIsLoggedOnceASecondWhenVerbose) {
    contract::Sysctls sysctls;
    sysctls.verbose = 1;
    StateBench bench({"100 allow udp from any to any limit dst-addr 1"}, sysctls);
    bench.pass(out());
    for (std::uint16_t port = 1; port < 5; ++port)
        bench.pass(out({0x01010101, port}));
    EXPECT_EQ(bench.logged(), std::vector{contract::LogKind::state_limit});
    ++bench.now_s;
    bench.pass(out({0x01010101, 5}));
    EXPECT_EQ(bench.logged(), std::vector{contract::LogKind::state_limit});
}

TEST(EngineState, RefusedStatesDropThePacket) {
    const std::string limit = "100 allow udp from any to any limit dst-addr 1";
    StateBench limited({limit, "200 allow ip from any to any"});
    expect_verdict(limited.pass(out()), Kind::accept, 100);
    const Verdict second = limited.pass(out({0x01010101, 1001}));
    expect_verdict(second, Kind::deny, 100);
    EXPECT_EQ(second.reason, contract::DropReason::state_limit);
    EXPECT_EQ(limited.counted(limit), 2u);
    EXPECT_TRUE(limited.logged().empty());  // only when verbose
    // The flow that has its state goes on.
    expect_verdict(limited.pass(back()), Kind::accept, 100);

    contract::Sysctls sysctls;
    sysctls.dyn_max = 2;
    sysctls.dyn_established_share = 0;
    StateBench full({"100 allow udp from any to any keep-state", "200 allow ip from any to any"},
                    sysctls);
    for (std::uint16_t port = 1; port < 3; ++port)
        expect_verdict(full.pass(out({0x01010101, port})), Kind::accept, 100);
    const Verdict third = full.pass(out({0x01010101, 3}));
    expect_verdict(third, Kind::deny, 100);
    EXPECT_EQ(third.reason, contract::DropReason::state_table_full);
    // A line at most once a second, verbose or not.
    full.pass(out({0x01010101, 4}));
    EXPECT_EQ(full.logged(), std::vector{contract::LogKind::state_table_full});
    ++full.now_s;
    full.pass(out({0x01010101, 4}));
    EXPECT_EQ(full.logged(), std::vector{contract::LogKind::state_table_full});
    expect_verdict(full.pass(back({0x01010101, 1})), Kind::accept, 100);
    EXPECT_EQ(full.states(), 2u);
}

// ---- Rules that go -----------------------------------------------------------------------------

const std::string kSet5 = "100 set 5 count udp from 1.1.1.1 to any record-state";

TEST(EngineState, StatesOfADisabledSetGoOnBehindTheirRule) {
    const std::vector<std::string> rules = {
        "50 check-state", kSet5, "200 allow udp from any to any", "300 deny ip from any to any"};
    StateBench bench(rules);
    bench.pass(out());
    ASSERT_EQ(bench.counted(kSet5), 1u);
    bench.load({.rules = rules, .disabled_sets = 1u << 5});
    bench.tend();
    expect_verdict(bench.pass(back()), Kind::accept, 200);
    EXPECT_EQ(bench.counted(kSet5), 2u);
    // It makes no more.
    expect_verdict(bench.pass(out({0x01010101, 1001})), Kind::accept, 200);
    EXPECT_EQ(bench.states_of(kSet5), 1u);
}

TEST(EngineState, StatesOfAnOrphanGoOnWithTheDefaultRule) {
    const std::string allow = "110 allow udp from 1.1.1.2 to any record-state";
    StateBench bench({"50 check-state", kSet5, allow, "200 allow udp from any to any"});
    bench.pass(out());
    bench.pass(out({0x01010102, 7}));
    bench.load(
        {.rules = {"50 check-state", "200 allow udp from any to any"}, .orphans = {kSet5, allow}});
    bench.tend();
    expect_verdict(bench.pass(back()), Kind::deny, 65535);
    EXPECT_EQ(bench.counted(kSet5), 2u);
    expect_verdict(bench.pass(back({0x01010102, 7})), Kind::accept, 110);
    EXPECT_EQ(bench.states(), 2u);
}

TEST(EngineState, StatesOfADeletedRuleAreNotFoundAndAreSwept) {
    const std::string keep = "100 allow udp from 1.1.1.1 to any keep-state";
    const std::string other = "110 allow udp from 1.1.1.2 to any keep-state";
    StateBench bench({keep, other});
    for (std::uint16_t port = 1; port < 700; ++port)
        bench.pass(out({0x01010101, port}));
    bench.pass(out({0x01010102, 7}));
    ASSERT_EQ(bench.states(), 700u);
    bench.load({.rules = {other}});
    EXPECT_TRUE(bench.listed({.rule_number = 100}).empty());
    expect_verdict(bench.pass(back({0x01010101, 9})), Kind::deny, 65535);
    EXPECT_EQ(bench.states(), 699u);  // the one that was met
    bench.tend();
    EXPECT_EQ(bench.states(), 1u);
    EXPECT_EQ(bench.states_of(keep), 0u);
    expect_verdict(bench.pass(back({0x01010102, 7})), Kind::accept, 110);
}

// ---- Kill and list -----------------------------------------------------------------------------

class KillStates : public testing::Test {
  protected:
    KillStates()
        : bench_({"100 allow udp from any to any keep-state :a",
                  "200 allow tcp from any to any keep-state :b",
                  "300 allow icmp from any to any limit src-addr 9 :c"}) {
        bench_.pass(state::make_packet({0x0a000001, 1000}, {0x14000001, 53}, kUdp, 0));
        bench_.pass(state::make_packet({0x0a000002, 1001}, {0x14000002, 53}, kUdp, 0));
        bench_.now_s += 5;
        auto syn = state::make_tcp({0x0a000001, 1000}, {0x14000001, 80}, state::kSyn, 0, 0);
        bench_.pass(syn);
        bench_.pass(state::make_packet({0x0a000001, 0}, {0x14000001, 0}, state::kIcmp, 0));
        bench_.pass(state::make_packet({5, 1000}, {6, 53}, kUdp, 0, 6));
        EXPECT_EQ(bench_.states(), 5u);
    }

    // As many are listed as are killed, and no more.
    void expect_killed(const contract::StateFilter& filter, std::uint64_t number) {
        std::uint64_t listed = 0;
        for (const contract::StateRecord& record : bench_.listed(filter))
            listed += record.kind != contract::StateKind::parent ? 1 : 0;
        EXPECT_EQ(listed, number);
        EXPECT_EQ(bench_.kill(filter), number);
        EXPECT_EQ(bench_.states(), 5 - number);
    }

    static Ipv6 v4(std::uint32_t address) { return state::address_of(address, 4); }

    StateBench bench_;
};

TEST_F(KillStates, All) {
    expect_killed({}, 5);
    EXPECT_TRUE(bench_.listed().empty());
}
TEST_F(KillStates, ByAddressOfEitherEnd) {
    expect_killed({.ip_version = 4, .prefix_length = 32, .address = v4(0x14000002)}, 1);
}
TEST_F(KillStates, ByNetwork) {
    expect_killed({.ip_version = 4, .prefix_length = 31, .address = v4(0x0a000003)}, 1);
}
TEST_F(KillStates, ByFamily) {
    expect_killed({.ip_version = 6, .prefix_length = 0}, 1);
}
TEST_F(KillStates, ByAddress6) {
    expect_killed({.ip_version = 6, .prefix_length = 128, .address = state::address_of(6, 6)}, 1);
}
TEST_F(KillStates, ByOtherAddress6) {
    expect_killed({.ip_version = 6, .prefix_length = 128, .address = state::address_of(7, 6)}, 0);
}
TEST_F(KillStates, ByProtocol) {
    expect_killed({.protocol = kTcp, .has_protocol = 1}, 1);
}
TEST_F(KillStates, ByPortOfEitherEnd) {
    expect_killed({.port = 53}, 3);
}
TEST_F(KillStates, BySourcePort) {
    expect_killed({.port = 1001}, 1);
}
TEST_F(KillStates, ByRule) {
    expect_killed({.rule_number = 100}, 3);
}
TEST_F(KillStates, ByAge) {
    expect_killed({.minimum_age_s = 5}, 2);
}
TEST_F(KillStates, ByName) {
    expect_killed({.name = contract::state_name_id("b")}, 1);
}
TEST_F(KillStates, AllGivenMustHold) {
    expect_killed({.protocol = kUdp, .has_protocol = 1, .port = 1000, .minimum_age_s = 5}, 1);
}

TEST_F(KillStates, TheParentGoesWithItsChild) {
    const contract::StateFilter limited{.rule_number = 300};
    ASSERT_EQ(bench_.listed(limited).size(), 2u);
    EXPECT_EQ(bench_.kill(limited), 1u);
    EXPECT_TRUE(bench_.listed(limited).empty());
}

TEST_F(KillStates, WhatIsOverIsNotListedNorCounted) {
    bench_.now_s += 5;
    EXPECT_EQ(bench_.listed({.rule_number = 100}).size(), 1u);
    EXPECT_EQ(bench_.kill({.rule_number = 100}), 1u);
    EXPECT_EQ(bench_.states(), 2u);
}

TEST_F(KillStates, RecordsTellWhatTheStateIs) {
    bench_.pass(
        state::make_tcp({0x14000001, 80}, {0x0a000001, 1000}, state::kSyn | state::kAck, 1, 0));
    bench_.now_s += 2;
    const auto records = bench_.listed({.rule_number = 200});
    ASSERT_EQ(records.size(), 1u);
    const contract::StateRecord& record = records[0];
    EXPECT_EQ(record.source, v4(0x0a000001));
    EXPECT_EQ(record.destination, v4(0x14000001));
    EXPECT_EQ(record.source_port, 1000);
    EXPECT_EQ(record.destination_port, 80);
    EXPECT_EQ(record.packets, 1u);
    EXPECT_EQ(record.bytes, 40u);
    EXPECT_EQ(record.answered, 1);
    EXPECT_EQ(record.tcp_flags, 0x0202);
    EXPECT_EQ(record.age_s, 2u);
    EXPECT_EQ(record.expires_s, 18u);
    EXPECT_EQ(record.worker, 7);
    EXPECT_EQ(record.kind, contract::StateKind::state);
}

}  // namespace
}  // namespace sluice::program
