#include "dataplane/worker/flow_spreading.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_thash.h>

#include <cstring>
#include <random>
#include <utility>

#include "dataplane/worker/port.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

// What hardware computes over addresses and ports.
std::uint32_t hardware_hash(const packet::Headers& headers,
                            const std::array<std::uint8_t, state::OwnerHash::kKeySize>& key) {
    alignas(4) std::uint8_t bytes[36];
    const std::size_t length = headers.ip_version == 4 ? 4 : 16;
    std::memcpy(bytes, headers.source.bytes.data(), length);
    std::memcpy(bytes + length, headers.destination.bytes.data(), length);
    std::uint32_t words[9];
    for (std::size_t i = 0; i < length / 2; ++i) {
        std::uint32_t word;
        std::memcpy(&word, bytes + 4 * i, sizeof word);
        words[i] = rte_be_to_cpu_32(word);
    }
    words[length / 2] = std::uint32_t{headers.source_port} << 16 | headers.destination_port;
    return rte_softrss(words, static_cast<std::uint32_t>(length / 2 + 1), key.data());
}

TEST(OwnerHashTest, IsTheHashOfReceiveSideScalingInBothDirections) {
    std::mt19937 random(11);
    for (int round = 0; round < 2000; ++round) {
        const state::OwnerHash hash(random());
        packet::Headers headers;
        headers.ip_version = round % 2 == 0 ? 4 : 6;
        for (std::size_t i = 0; i < (headers.ip_version == 4 ? 4u : 16u); ++i) {
            headers.source.bytes[i] = static_cast<std::uint8_t>(random());
            headers.destination.bytes[i] = static_cast<std::uint8_t>(random());
        }
        headers.source_port = static_cast<std::uint16_t>(random());
        headers.destination_port = static_cast<std::uint16_t>(random());
        packet::Headers answer = headers;
        std::swap(answer.source, answer.destination);
        std::swap(answer.source_port, answer.destination_port);
        const std::uint32_t owner = hash(headers);
        ASSERT_EQ(owner, hardware_hash(headers, hash.key())) << "round " << round;
        ASSERT_EQ(owner, hardware_hash(answer, hash.key())) << "round " << round;
        ASSERT_EQ(owner, hash(answer)) << "round " << round;
    }
}

// The null driver has key and table and hashes nothing: all that can be tried without hardware.
TEST(FlowSpreadingTest, APortThatShowsKeyAndTableIsTrusted) {
    const state::OwnerHash hash(7);
    auto port = EthPort::probe("em0", "net_null_spreading");
    ASSERT_TRUE(port) << port.error().message;
    const auto started = port->start(
        {.receive_queues = 3, .transmit_queues = 3, .pool = test_pool(), .owner_hash = &hash});
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_TRUE(port->spreads_by_owner());
    std::uint8_t key[state::OwnerHash::kKeySize] = {};
    rte_eth_rss_conf seen{};
    seen.rss_key = key;
    seen.rss_key_len = 40;
    ASSERT_EQ(rte_eth_dev_rss_hash_conf_get(port->id(), &seen), 0);
    EXPECT_EQ(std::memcmp(key, hash.key().data(), 40), 0);
    rte_eth_rss_reta_entry64 table[2] = {{.mask = UINT64_MAX, .reta = {}},
                                         {.mask = UINT64_MAX, .reta = {}}};
    ASSERT_EQ(rte_eth_dev_rss_reta_query(port->id(), table, 128), 0);
    for (unsigned i = 0; i < 128; ++i)
        EXPECT_EQ(table[i / 64].reta[i % 64], i % 3);
}

TEST(FlowSpreadingTest, APortThatCannotIsNot) {
    const state::OwnerHash hash(7);
    RingPort ring(2);
    auto port = EthPort::probe("em0", ring.device());
    ASSERT_TRUE(port);
    ASSERT_TRUE(port->start(
        {.receive_queues = 2, .transmit_queues = 2, .pool = test_pool(), .owner_hash = &hash}));
    EXPECT_FALSE(port->spreads_by_owner());

    rte_eth_dev_info info{};
    info.reta_size = 512;
    info.hash_key_size = 52;
    info.flow_type_rss_offloads = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
    EXPECT_TRUE(FlowSpreading(info, hash).possible());
    info.hash_key_size = 53;
    EXPECT_FALSE(FlowSpreading(info, hash).possible());
    info.hash_key_size = 40;
    info.reta_size = 64;
    EXPECT_FALSE(FlowSpreading(info, hash).possible());
    info.reta_size = 384;
    EXPECT_FALSE(FlowSpreading(info, hash).possible());
    info.reta_size = 128;
    info.flow_type_rss_offloads = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP;
    EXPECT_FALSE(FlowSpreading(info, hash).possible());
}

}  // namespace
}  // namespace sluice::worker
