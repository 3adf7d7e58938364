#include "dataplane/state/state_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/unit/state/packets.h"

namespace sluice::state {
namespace {

constexpr contract::RuleRecord kNoRule{};

// The flows of the model: client number, version, protocol; the server is always the same.
struct Flow {
    std::uint32_t client = 0;
    unsigned version = 4;
    std::uint8_t protocol = kUdp;
    auto operator<=>(const Flow&) const = default;
};

packet::Packet packet_of(const Flow& flow, bool forward, std::uint32_t now_s) {
    const End client{0x0a000000 + flow.client, static_cast<std::uint16_t>(1024 + flow.client)};
    const End server{0xc0a80001, 53};
    return forward ? make_packet(client, server, flow.protocol, now_s, flow.version)
                   : make_packet(server, client, flow.protocol, now_s, flow.version);
}

struct ModelState {
    std::uint32_t slot = 0;
    std::uint32_t expires_s = 0;
    std::uint64_t packets = 0;
    bool answered = false;
};

class StateTableModel : public testing::Test {
  protected:
    static constexpr std::uint16_t kLimit = 6;

    // Slots 1 and 2 keep, slot 3 limits.
    static contract::RuleRecord rule(std::uint32_t slot) {
        return slot == 3 ? limiting_rule(3, contract::limit_mask::destination_address, kLimit)
                         : keeping_rule(slot);
    }
    std::uint32_t lifetime(const Flow& flow) const {
        return flow.protocol == kUdp ? shard_.sysctls.dyn_udp_lifetime
                                     : shard_.sysctls.dyn_short_lifetime;
    }

    void forget_ended() {
        std::erase_if(model_, [&](const auto& entry) { return entry.second.expires_s <= now_s_; });
    }
    std::size_t children(const Flow& like) const {
        return static_cast<std::size_t>(
            std::count_if(model_.begin(), model_.end(), [&](const auto& entry) {
                return entry.second.slot == 3 && entry.first.version == like.version &&
                       entry.first.protocol == like.protocol;
            }));
    }
    void create(const Flow& flow, std::uint32_t slot) {
        const bool limited = slot == 3 && children(flow) >= kLimit;
        const Creation made = shard_.create(packet_of(flow, true, now_s_), rule(slot));
        ASSERT_EQ(made, limited ? Creation::limit_reached : Creation::made);
        if (made == Creation::made)
            model_[flow] = {.slot = slot, .expires_s = now_s_ + lifetime(flow)};
    }
    void meet(const Flow& flow) {
        const bool forward = random_() % 2 == 0;
        const auto packet = packet_of(flow, forward, now_s_);
        const auto found = shard_.find(packet);
        const auto known = model_.find(flow);
        ASSERT_EQ(found.has_value(), known != model_.end());
        if (!found)
            return create(flow, 1 + random_() % 3);
        ASSERT_EQ(found->forward, forward);
        const Cell& cell = shard_.table->cell(found->cell);
        ASSERT_EQ(cell.rule_slot, known->second.slot);
        ASSERT_EQ(cell.packets, known->second.packets);
        ASSERT_EQ(cell.bytes, known->second.packets * 40);
        if (random_() % 8 == 0) {
            shard_.table->remove(found->cell);
            model_.erase(known);
            ASSERT_FALSE(shard_.find(packet));
            return;
        }
        ASSERT_TRUE(shard_.hit(packet, kNoRule));
        ++known->second.packets;
        known->second.expires_s = now_s_ + lifetime(flow);
        known->second.answered |= !forward;
    }
    // Everything that is due has been collected.
    void expect_counters_agree() {
        std::uint64_t unanswered = 0, by_slot[Shard::kSlots] = {};
        std::set<std::pair<unsigned, unsigned>> parents;
        for (const auto& [flow, state] : model_) {
            unanswered += state.answered ? 0 : 1;
            ++by_slot[state.slot];
            if (state.slot == 3)
                parents.emplace(flow.version, flow.protocol);
        }
        const StateTable::Totals totals = shard_.table->totals();
        ASSERT_EQ(totals.states, model_.size());
        ASSERT_EQ(totals.unanswered, unanswered);
        // A parent that nobody joined may be there for one more second; here all are joined.
        ASSERT_EQ(totals.parents, parents.size());
        for (std::size_t slot = 0; slot < Shard::kSlots; ++slot)
            ASSERT_EQ(shard_.rules[slot].states, by_slot[slot]) << slot;
        std::size_t readable = 0;
        for (CellIndex i = 0; i < shard_.table->used_cells(); ++i)
            readable += shard_.table->read(i).has_value() ? 1 : 0;
        ASSERT_EQ(readable, model_.size() + parents.size());
    }

    Shard shard_{4096};
    std::map<Flow, ModelState> model_;
    std::mt19937 random_{5};
    std::uint32_t now_s_ = 100;
};

TEST_F(StateTableModel, AgreesUnderRandomTraffic) {
    std::size_t most = 0;
    for (int round = 0; round < 4000 && !HasFatalFailure(); ++round) {
        for (int i = 0; i < 25 && !HasFatalFailure(); ++i)
            meet({.client = static_cast<std::uint32_t>(random_() % 400),
                  .version = random_() % 2 == 0 ? 4u : 6u,
                  .protocol = random_() % 3 == 0 ? kIcmp : kUdp});
        most = std::max(most, model_.size());
        now_s_ += random_() % 100 == 0 ? random_() % 2000 : random_() % 2;
        forget_ended();
        shard_.expire(now_s_);
        expect_counters_agree();
    }
    EXPECT_GT(most, 100u);
    // Ten thousands of states have lived in the cells of a few hundred.
    EXPECT_GT(shard_.counters->states_made, 20000u);
    EXPECT_LT(shard_.table->used_cells(), 2 * most + 600);
}

TEST(StateTable, EndsOnTheSecondCollectedOrNot) {
    Shard shard(64);
    const auto packet = make_packet({1, 5}, {2, 53}, kUdp, 100);
    ASSERT_EQ(shard.create(packet, keeping_rule(1)), Creation::made);
    EXPECT_TRUE(shard.find(make_packet({2, 53}, {1, 5}, kUdp, 109)));
    EXPECT_FALSE(shard.find(make_packet({2, 53}, {1, 5}, kUdp, 110)));
    EXPECT_EQ(shard.table->totals().states, 1u);
    shard.expire(109);
    EXPECT_EQ(shard.table->totals().states, 1u);
    shard.expire(110);
    EXPECT_EQ(shard.table->totals().states, 0u);
}

TEST(StateTable, BudgetBoundsOneCall) {
    Shard shard(1024);
    for (std::uint32_t i = 0; i < 100; ++i)
        ASSERT_EQ(shard.create(make_packet({i, 5}, {9999, 53}, kUdp, 100), keeping_rule(1)),
                  Creation::made);
    EXPECT_TRUE(shard.table->expire(1000, 30, shard.sysctls, nullptr));
    EXPECT_EQ(shard.table->totals().states, 70u);
    shard.expire(1000);
    EXPECT_EQ(shard.table->totals().states, 0u);
}

TEST(StateTable, NamesAreApartAndTheNewestAnswersForAny) {
    Shard shard(64);
    const std::uint32_t web = contract::state_name_id("web"),
                        mail = contract::state_name_id("mail");
    contract::RuleRecord first = keeping_rule(1), second = keeping_rule(2);
    first.state_name = web;
    second.state_name = mail;
    EXPECT_FALSE(shard.find(make_packet({1, 5}, {2, 53}, kUdp, 100), contract::kAnyStateName));
    ASSERT_EQ(shard.create(make_packet({1, 5}, {2, 53}, kUdp, 100), first), Creation::made);
    const auto back = make_packet({2, 53}, {1, 5}, kUdp, 102);
    EXPECT_FALSE(shard.find(back, mail));
    ASSERT_EQ(shard.create(make_packet({1, 5}, {2, 53}, kUdp, 101), second), Creation::made);
    auto slot = [&](std::uint32_t name) {
        const auto hit = shard.find(back, name);
        return hit ? shard.table->cell(hit->cell).rule_slot : 0;
    };
    EXPECT_EQ(slot(web), 1u);
    EXPECT_EQ(slot(mail), 2u);
    EXPECT_EQ(slot(contract::kAnyStateName), 2u);
    shard.table->remove(shard.find(back, mail)->cell);
    EXPECT_EQ(slot(contract::kAnyStateName), 1u);
}

TEST(StateTable, ReadShowsWhatWasMade) {
    for (const unsigned version : {4u, 6u}) {
        Shard shard(64);
        const auto packet = make_packet({9, 5}, {2, 53}, kUdp, 100, version);
        ASSERT_EQ(shard.create(packet, keeping_rule(3)), Creation::made);
        const auto copy = shard.table->read(0);
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->made_s, 100u);
        EXPECT_EQ(copy->cell.rule_slot, 3u);
        EXPECT_EQ(copy->cell.rule_id, 1003u);
        EXPECT_EQ(copy->key.ip_version, version);
        const Ipv6 source = copy->key.from_low ? copy->key.low() : copy->key.high();
        EXPECT_EQ(source, packet.headers.source);
        EXPECT_EQ(copy->key.from_low ? copy->key.low_port : copy->key.high_port, 5);
        // The second cell of version 6 is nothing by itself.
        EXPECT_FALSE(shard.table->read(1));
        shard.table->remove(0);
        EXPECT_FALSE(shard.table->read(0));
    }
}

TEST(StateTable, IsFullWhenItsCellsAreUsedUp) {
    Shard shard(9);
    std::uint32_t made = 0;
    for (std::uint32_t i = 0; i < 20; ++i)
        made += shard.create(make_packet({i, 5}, {99, 53}, kUdp, 100, 6), keeping_rule(1)) ==
                        Creation::made
                    ? 1
                    : 0;
    EXPECT_EQ(made, 4u);
    // The odd cell was not lost on the way.
    EXPECT_EQ(shard.create(make_packet({1, 5}, {99, 53}, kUdp, 100, 4), keeping_rule(1)),
              Creation::made);
    EXPECT_EQ(shard.create(make_packet({2, 5}, {99, 53}, kUdp, 100, 4), keeping_rule(1)),
              Creation::table_full);
    EXPECT_EQ(shard.table->totals().states, 5u);
    EXPECT_EQ(shard.rules[1].states, 5u);
}

TEST(StateTable, RefusesSizesThatItCannotHave) {
    contract::WorkerCounters counters;
    for (const CellIndex cells : {CellIndex{0}, FlowIndex::kMaximumCells + 1}) {
        const auto table = StateTable::create({.cells = cells, .counters = &counters, .rules = {}});
        ASSERT_FALSE(table);
        EXPECT_NE(table.error().message.find(std::to_string(cells) + " states"), std::string::npos);
    }
}

}  // namespace
}  // namespace sluice::state
