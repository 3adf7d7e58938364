// What bounds the number of states: dyn_max, the share for answered ones, `limit`; and keepalives.
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/state/packets.h"

namespace sluice::state {
namespace {

using contract::limit_mask::destination_address;
using contract::limit_mask::destination_port;
using contract::limit_mask::source_address;
using contract::limit_mask::source_port;

packet::Packet from_client(std::uint32_t client, std::uint32_t now_s) {
    return make_packet({client, 5}, {0xc0a80001, 53}, kUdp, now_s);
}
packet::Packet to_client(std::uint32_t client, std::uint32_t now_s) {
    return make_packet({0xc0a80001, 53}, {client, 5}, kUdp, now_s);
}

TEST(StateBounds, DynMaxCountsStatesAndParents) {
    Shard shard(1024);
    shard.sysctls.dyn_max = 10;
    shard.sysctls.dyn_established_share = 0;
    const auto limited = limiting_rule(2, source_address, 100);
    ASSERT_EQ(shard.create(from_client(1, 100), limited), Creation::made);
    for (std::uint32_t client = 2; client < 10; ++client)
        ASSERT_EQ(shard.create(from_client(client, 100), keeping_rule(1)), Creation::made);
    EXPECT_EQ(shard.table->totals().states, 9u);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    EXPECT_EQ(shard.create(from_client(10, 100), keeping_rule(1)), Creation::table_full);
    EXPECT_EQ(shard.create(from_client(11, 100), limited), Creation::table_full);
    // What is over makes room, collected or not.
    EXPECT_EQ(shard.create(from_client(10, 110), keeping_rule(1)), Creation::made);
    shard.expire(110);
    EXPECT_EQ(shard.table->totals().states, 1u);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

// The last place is taken by a parent; the state that it was made for finds none.
// It goes when any state goes, and in its own time if none does.
TEST(StateBounds, AParentThatNobodyJoinsGoesWithTheNextState) {
    Shard shard(1024);
    shard.sysctls.dyn_max = 3;
    shard.sysctls.dyn_established_share = 0;
    for (std::uint32_t client = 1; client < 3; ++client)
        ASSERT_EQ(shard.create(from_client(client, 100), keeping_rule(1)), Creation::made);
    EXPECT_EQ(shard.create(from_client(3, 100), limiting_rule(2, source_address, 5)),
              Creation::table_full);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    shard.expire(101);
    EXPECT_EQ(shard.create(from_client(3, 101), keeping_rule(1)), Creation::table_full);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    shard.table->remove(shard.find(from_client(1, 101))->cell);
    EXPECT_EQ(shard.table->totals().parents, 0u);
    EXPECT_EQ(shard.create(from_client(3, 101), keeping_rule(1)), Creation::made);
}

TEST(StateBounds, AParentThatNobodyJoinsGoesInItsOwnTime) {
    Shard shard(1024);
    shard.sysctls.dyn_max = 1;
    shard.sysctls.dyn_established_share = 0;
    shard.sysctls.dyn_short_lifetime = 5;
    const auto limited = limiting_rule(2, source_address, 5);
    EXPECT_EQ(shard.create(from_client(3, 100), limited), Creation::table_full);
    shard.expire(104);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    shard.expire(105);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

// One that is joined late is a parent like all others.
TEST(StateBounds, AParentMayBeJoinedLater) {
    Shard shard(1024);
    const auto rule_of = [](std::uint16_t limit) {
        return limiting_rule(2, source_address, limit);
    };
    EXPECT_EQ(shard.create(from_client(3, 100), rule_of(0)), Creation::limit_reached);
    ASSERT_EQ(shard.create(from_client(3, 101), rule_of(1)), Creation::made);
    ASSERT_EQ(shard.create(from_client(4, 101), keeping_rule(1)), Creation::made);
    shard.table->remove(shard.find(from_client(4, 101))->cell);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    EXPECT_EQ(shard.create(make_packet({3, 6}, {0xc0a80001, 53}, kUdp, 102), rule_of(1)),
              Creation::limit_reached);
    shard.table->remove(shard.find(from_client(3, 101))->cell);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

TEST(StateBounds, DynParentMaxBoundsParents) {
    Shard shard(1024);
    shard.sysctls.dyn_parent_max = 2;
    const auto rule = limiting_rule(1, source_address, 5);
    EXPECT_EQ(shard.create(from_client(1, 100), rule), Creation::made);
    EXPECT_EQ(shard.create(from_client(2, 100), rule), Creation::made);
    EXPECT_EQ(shard.create(from_client(3, 100), rule), Creation::table_full);
    EXPECT_EQ(shard.create(make_packet({1, 6}, {0xc0a80001, 53}, kUdp, 100), rule), Creation::made);
}

TEST(StateBounds, UnansweredStatesLeaveTheShareOfAnsweredOnesFree) {
    Shard shard(1024);
    shard.sysctls.dyn_max = 100;
    shard.sysctls.dyn_established_share = 20;
    for (std::uint32_t client = 0; client < 80; ++client)
        ASSERT_EQ(shard.create(from_client(client, 100), keeping_rule(1)), Creation::made);
    EXPECT_EQ(shard.create(from_client(80, 100), keeping_rule(1)), Creation::table_full);
    // Each answer makes room for another one, until dyn_max.
    for (std::uint32_t client = 80; client < 100; ++client) {
        ASSERT_TRUE(shard.hit(to_client(client - 80, 100), keeping_rule(1)));
        ASSERT_EQ(shard.create(from_client(client, 100), keeping_rule(1)), Creation::made);
    }
    ASSERT_TRUE(shard.hit(to_client(50, 100), keeping_rule(1)));
    EXPECT_EQ(shard.create(from_client(100, 100), keeping_rule(1)), Creation::table_full);
    // Those that are there go on under the flood.
    for (std::uint32_t now_s = 100; now_s < 150; ++now_s)
        for (std::uint32_t client = 0; client < 20; ++client) {
            ASSERT_TRUE(shard.hit(to_client(client, now_s), keeping_rule(1)));
            (void)shard.create(from_client(1000 + now_s * 20 + client, now_s), keeping_rule(1));
            ASSERT_LE(shard.table->totals().unanswered, 80u);
            ASSERT_LE(shard.table->totals().states, 100u);
        }
}

TEST(Limit, EveryMaskTellsItsPartsApart) {
    const End client{7, 1000}, server{8, 80};
    for (unsigned mask = 1; mask < 16; ++mask) {
        for (const unsigned version : {4u, 6u}) {
            Shard shard(64);
            const auto rule = limiting_rule(1, static_cast<std::uint8_t>(mask), 1);
            auto create = [&](End source, End destination) {
                return shard.create(make_packet(source, destination, kUdp, 100, version), rule);
            };
            ASSERT_EQ(create(client, server), Creation::made);
            auto expected = [&](unsigned part) {
                return (mask & part) != 0 ? Creation::made : Creation::limit_reached;
            };
            EXPECT_EQ(create({70, 1000}, server), expected(source_address)) << mask;
            EXPECT_EQ(create({7, 1001}, server), expected(source_port)) << mask;
            EXPECT_EQ(create(client, {80, 80}), expected(destination_address)) << mask;
            EXPECT_EQ(create(client, {8, 81}), expected(destination_port)) << mask;
            // The protocol always counts.
            EXPECT_EQ(shard.create(make_packet(client, server, kIcmp, 100, version), rule),
                      Creation::made);
        }
    }
}

TEST(Limit, RulesCountApart) {
    Shard shard(64);
    EXPECT_EQ(shard.create(from_client(1, 100), limiting_rule(1, destination_address, 1)),
              Creation::made);
    EXPECT_EQ(shard.create(from_client(2, 100), limiting_rule(1, destination_address, 1)),
              Creation::limit_reached);
    EXPECT_EQ(shard.create(from_client(2, 100), limiting_rule(2, destination_address, 1)),
              Creation::made);
    EXPECT_EQ(shard.table->totals().parents, 2u);
}

TEST(Limit, HoldsOverJoinedShards) {
    Shard one(256), two(256);
    one.table->join({one.table.get(), two.table.get()});
    two.table->join({one.table.get(), two.table.get()});
    const auto rule = limiting_rule(1, destination_address, 10);
    unsigned made = 0;
    for (std::uint32_t client = 0; client < 40; ++client)
        made +=
            (client % 3 == 0 ? one : two).create(from_client(client, 100), rule) == Creation::made
                ? 1
                : 0;
    EXPECT_EQ(made, 10u);
    EXPECT_EQ(one.table->totals().states, 10u);
    EXPECT_EQ(one.table->totals().parents, 2u);
    EXPECT_EQ(one.rules[1].states + two.rules[1].states, 10u);
    one.expire(110);
    // The other shard has not collected its own; those still count.
    const std::uint64_t left = two.rules[1].states;
    made = 0;
    for (std::uint32_t client = 100; client < 140; ++client)
        made += one.create(from_client(client, 110), rule) == Creation::made ? 1 : 0;
    EXPECT_EQ(made, 10 - left);

    one.sysctls.dyn_max = 12;
    one.sysctls.dyn_established_share = 0;
    EXPECT_EQ(one.create(from_client(500, 110), keeping_rule(2)), Creation::table_full);
}

TEST(Limit, ChildrenAreCountedDownWhenTheyEndOrAreRemoved) {
    Shard shard(256);
    const auto rule = limiting_rule(1, destination_address, 2);
    ASSERT_EQ(shard.create(from_client(1, 100), rule), Creation::made);
    ASSERT_EQ(shard.create(from_client(2, 105), rule), Creation::made);
    ASSERT_EQ(shard.create(from_client(3, 105), rule), Creation::limit_reached);
    shard.table->remove(shard.find(from_client(2, 105))->cell);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    ASSERT_EQ(shard.create(from_client(3, 105), rule), Creation::made);
    shard.expire(110);
    EXPECT_EQ(shard.table->totals().states, 1u);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    shard.expire(115);
    EXPECT_EQ(shard.table->totals().states, 0u);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

// At the limit, with all children over but not collected: collecting takes the parent along, and
// the new state has a new one.
TEST(Limit, AParentThatGoesWhileRoomIsMadeIsMadeAnew) {
    for (const unsigned version : {4u, 6u}) {
        Shard shard(256);
        const auto rule = limiting_rule(1, destination_address, 2);
        auto packet = [&](std::uint32_t client, std::uint32_t now_s) {
            return make_packet({client, 5}, {0xc0a80001, 53}, kUdp, now_s, version);
        };
        ASSERT_EQ(shard.create(packet(1, 100), rule), Creation::made);
        ASSERT_EQ(shard.create(packet(2, 100), rule), Creation::made);
        ASSERT_EQ(shard.create(packet(3, 110), rule), Creation::made);
        EXPECT_EQ(shard.table->totals().states, 1u);
        EXPECT_EQ(shard.table->totals().parents, 1u);
        ASSERT_EQ(shard.create(packet(4, 110), rule), Creation::made);
        EXPECT_EQ(shard.create(packet(5, 110), rule), Creation::limit_reached);
        EXPECT_TRUE(shard.find(packet(3, 110)));
        shard.expire(120);
        EXPECT_EQ(shard.table->totals().states, 0u);
        EXPECT_EQ(shard.table->totals().parents, 0u);
    }
}

// The same at dyn_max instead of the limit.
TEST(Limit, AParentThatGoesWhileTheTableIsFullIsMadeAnew) {
    Shard shard(256);
    shard.sysctls.dyn_max = 3;
    shard.sysctls.dyn_established_share = 0;
    const auto rule = limiting_rule(1, destination_address, 9);
    ASSERT_EQ(shard.create(from_client(1, 100), rule), Creation::made);
    ASSERT_EQ(shard.create(from_client(2, 100), rule), Creation::made);
    ASSERT_EQ(shard.create(from_client(3, 110), rule), Creation::made);
    EXPECT_EQ(shard.table->totals().states, 1u);
    EXPECT_EQ(shard.table->totals().parents, 1u);
    EXPECT_TRUE(shard.find(from_client(3, 110)));
    shard.expire(120);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

TEST(Limit, AParentOutlivesTheReachOfTheWheel) {
    Shard shard(256);
    auto rule = limiting_rule(1, destination_address, 1);
    rule.state_lifetime_s = 5000;
    ASSERT_EQ(shard.create(from_client(1, 100), rule), Creation::made);
    for (std::uint32_t now_s = 101; now_s < 5100; now_s += 13)
        shard.expire(now_s);
    EXPECT_EQ(shard.create(from_client(2, 5099), rule), Creation::limit_reached);
    shard.expire(5100);
    EXPECT_EQ(shard.table->totals().parents, 0u);
}

// ---- Keepalives --------------------------------------------------------------------------------

class KeepaliveTest : public testing::Test, public KeepaliveSink {
  protected:
    static constexpr End kClient{9, 1000}, kServer{2, 80};

    void send(const Keepalive& keepalive) override {
        sent_.push_back(keepalive);
        seconds_.push_back(now_s_);
    }
    void segment(bool forward, std::uint8_t flags, std::uint32_t acknowledgement) {
        const auto packet = forward ? make_tcp(kClient, kServer, flags, acknowledgement, now_s_)
                                    : make_tcp(kServer, kClient, flags, acknowledgement, now_s_);
        ASSERT_TRUE(shard_.hit(packet, keeping_rule(1)));
    }
    // Established at second 100, to end at 400.
    void connect() {
        shard_.sysctls.dyn_ack_lifetime = 300;
        ASSERT_EQ(shard_.create(make_tcp(kClient, kServer, kSyn, 0, now_s_), keeping_rule(1)),
                  Creation::made);
        segment(false, kSyn | kAck, 501);
        segment(true, kAck, 901);
    }
    void pass_until(std::uint32_t second) {
        for (; now_s_ < second; ++now_s_)
            shard_.expire(now_s_, this);
    }

    Shard shard_{64};
    std::uint32_t now_s_ = 100;
    std::vector<Keepalive> sent_;
    std::vector<std::uint32_t> seconds_;
};

TEST_F(KeepaliveTest, BothSidesAreAskedEveryFiveSecondsOfTheLastTwenty) {
    connect();
    pass_until(410);
    EXPECT_EQ(seconds_, (std::vector<std::uint32_t>{380, 380, 385, 385, 390, 390, 395, 395}));
    ASSERT_EQ(sent_.size(), 8u);
    const Keepalive& to_server = sent_[0];
    EXPECT_FALSE(to_server.to_initiator);
    EXPECT_EQ(to_server.source, address_of(9, 4));
    EXPECT_EQ(to_server.destination, address_of(2, 4));
    EXPECT_EQ(to_server.source_port, 1000);
    EXPECT_EQ(to_server.destination_port, 80);
    EXPECT_EQ(to_server.sequence, 500u);
    EXPECT_EQ(to_server.acknowledgement, 901u);
    const Keepalive& to_client = sent_[1];
    EXPECT_TRUE(to_client.to_initiator);
    EXPECT_EQ(to_client.source, address_of(2, 4));
    EXPECT_EQ(to_client.source_port, 80);
    EXPECT_EQ(to_client.destination_port, 1000);
    EXPECT_EQ(to_client.sequence, 900u);
    EXPECT_EQ(to_client.acknowledgement, 501u);
    EXPECT_EQ(shard_.table->totals().states, 0u);
}

TEST_F(KeepaliveTest, WhoHasAnsweredIsNotAskedAgainAndBothAnswersProlong) {
    connect();
    pass_until(381);
    ASSERT_EQ(sent_.size(), 2u);
    segment(true, kAck, 901);
    pass_until(386);
    ASSERT_EQ(sent_.size(), 3u);
    EXPECT_FALSE(sent_[2].to_initiator);
    segment(false, kAck, 501);  // ends at 686 now
    pass_until(666);
    EXPECT_EQ(sent_.size(), 3u);
    pass_until(671);
    EXPECT_EQ(sent_.size(), 5u);
    EXPECT_EQ(seconds_.back(), 670u);
}

TEST_F(KeepaliveTest, NoneWhenSwitchedOffOrNotEstablished) {
    shard_.sysctls.dyn_keepalive = 0;
    connect();
    ASSERT_EQ(shard_.create(make_tcp({3, 1}, kServer, kSyn, 0, now_s_), keeping_rule(1)),
              Creation::made);
    pass_until(410);
    EXPECT_TRUE(sent_.empty());
    EXPECT_EQ(shard_.table->totals().states, 0u);

    Shard other(64);
    ASSERT_EQ(other.create(make_tcp({3, 1}, kServer, kSyn, 0, 500), keeping_rule(1)),
              Creation::made);
    for (now_s_ = 500; now_s_ < 530; ++now_s_)
        other.expire(now_s_, this);
    EXPECT_TRUE(sent_.empty());
}

TEST_F(KeepaliveTest, AConnectionClosedByOneSideIsAskedToo) {
    connect();
    pass_until(150);
    segment(true, kFin | kAck, 901);
    pass_until(410);
    // The side that has not moved on since.
    EXPECT_EQ(seconds_, (std::vector<std::uint32_t>{380, 385, 390, 395}));
    for (const Keepalive& keepalive : sent_)
        EXPECT_FALSE(keepalive.to_initiator);
    EXPECT_EQ(shard_.table->totals().states, 0u);
}

TEST_F(KeepaliveTest, AResetEndsTheStateAtOnce) {
    connect();
    pass_until(150);
    segment(false, kRst, 0);
    EXPECT_EQ(shard_.table->totals().states, 1u);
    pass_until(152);
    EXPECT_EQ(shard_.table->totals().states, 0u);
    EXPECT_TRUE(sent_.empty());
}

}  // namespace
}  // namespace sluice::state
