// Another thread reads the states while their owner makes, hits and removes them: what it sees is
// right in itself. Also to be run with the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/unit/state/packets.h"

namespace sluice::state {
namespace {

constexpr std::uint32_t kFlows = 64;
constexpr auto kDuration = std::chrono::milliseconds(1000);
constexpr std::uint32_t kServer = 0xc0a80001;

// Everything about a flow follows from its number: address, port, protocol's version, rule.
packet::Packet packet_of(std::uint32_t flow, bool forward, std::uint32_t now_s) {
    const End client{0x0a000000 + flow * 0x010101, static_cast<std::uint16_t>(1000 + flow)};
    const unsigned version = flow % 2 == 0 ? 4 : 6;
    return forward ? make_packet(client, {kServer, 53}, kUdp, now_s, version)
                   : make_packet({kServer, 53}, client, kUdp, now_s, version);
}

// Flows of several numbers share a rule, so that cells are used again under the same one.
contract::RuleRecord rule_of(std::uint32_t flow) {
    return flow % 8 < 4 ? keeping_rule(1 + flow % 4)
                        : limiting_rule(1 + flow % 4, contract::limit_mask::source_port, 100);
}

void expect_consistent(const StateCopy& copy) {
    const FlowKey& key = copy.key;
    const bool parent = is_parent(copy.cell.kind);
    const std::uint16_t port =
        key.low_port == 53 || key.low_port == 0 ? key.high_port : key.low_port;
    ASSERT_GE(port, 1000);
    ASSERT_LT(port, 1000 + kFlows);
    const std::uint32_t flow = port - 1000u;
    const auto packet = packet_of(flow, true, 0);
    ASSERT_EQ(key.ip_version, packet.headers.ip_version);
    ASSERT_EQ(copy.cell.protocol, kUdp);
    ASSERT_EQ(copy.cell.rule_slot, rule_of(flow).slot);
    ASSERT_EQ(copy.cell.rule_id, rule_of(flow).id);
    // A state lives ten seconds from its last packet on, and is made anew all the time.
    ASSERT_GE(copy.cell.expires_s, copy.made_s + 1);
    if (parent) {
        ASSERT_LE(copy.cell.packets, 1u);
        return;
    }
    ASSERT_EQ(copy.cell.packets * 40, copy.cell.bytes);
    const Ipv6 source = key.from_low ? key.low() : key.high();
    const Ipv6 destination = key.from_low ? key.high() : key.low();
    ASSERT_EQ(source, packet.headers.source) << flow;
    ASSERT_EQ(destination, packet.headers.destination) << flow;
    // Hits come one a second.
    ASSERT_EQ(copy.cell.expires_s, copy.made_s + copy.cell.packets + 10);
}

TEST(StateReader, SeesWholeStatesWhileTheOwnerWrites) {
    Shard shard(512);
    std::atomic<bool> stop = false;
    std::uint64_t seen = 0;
    std::thread reader([&] {
        while (!stop.load(std::memory_order_relaxed) && !testing::Test::HasFatalFailure())
            for (CellIndex i = 0; i < shard.table->used_cells(); ++i)
                if (const auto copy = shard.table->read(i)) {
                    ++seen;
                    expect_consistent(*copy);
                }
    });
    const auto end = std::chrono::steady_clock::now() + kDuration;
    std::uint32_t flow = 0, now_s = 100;
    std::uint64_t made = 0;
    while (std::chrono::steady_clock::now() < end) {
        flow = (flow * 5 + 3) % kFlows;
        const auto old = shard.find(packet_of(flow, true, now_s));
        if (old) {
            shard.table->remove(old->cell);
        } else {
            made += shard.create(packet_of(flow, true, now_s), rule_of(flow)) == Creation::made;
            for (std::uint32_t hit = 1; hit < 4; ++hit)
                (void)shard.hit(packet_of(flow, hit % 2 == 0, now_s + hit), rule_of(flow));
        }
    }
    stop = true;
    reader.join();
    EXPECT_GT(made, 1000u);
    EXPECT_GT(seen, 1000u);
}

}  // namespace
}  // namespace sluice::state
