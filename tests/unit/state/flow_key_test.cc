#include "dataplane/state/flow_key.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <vector>

#include "tests/unit/state/packets.h"

namespace sluice::state {
namespace {

bool same_flow(const FlowKey& a, const FlowKey& b) {
    return a.low() == b.low() && a.high() == b.high() && a.ports() == b.ports() &&
           a.protocol == b.protocol && a.ip_version == b.ip_version;
}

TEST(FlowKey, BothDirectionsAreOneFlow) {
    std::mt19937 random(1);
    const FlowHasher hash(kSecret);
    const OwnerHash owner(0x6d5a);
    for (int i = 0; i < 4000; ++i) {
        const unsigned version = i % 2 == 0 ? 4 : 6;
        // Few values, so that equal addresses and equal ports occur.
        const End here{static_cast<std::uint32_t>(random() % 4 * 0x01000001),
                       static_cast<std::uint16_t>(random() % 3 * 257)};
        const End there{static_cast<std::uint32_t>(random() % 4 * 0x01000001),
                        static_cast<std::uint16_t>(random() % 3 * 257)};
        const auto packet = make_packet(here, there, kUdp, 0, version).headers;
        const auto answer = make_packet(there, here, kUdp, 0, version).headers;
        const FlowKey key = flow_key(packet), back = flow_key(answer);
        ASSERT_TRUE(same_flow(key, back));
        ASSERT_EQ(hash(key), hash(back));
        ASSERT_EQ(owner(packet), owner(answer));
        const bool one_end = here.address == there.address && here.port == there.port;
        ASSERT_EQ(key.one_end, one_end);
        ASSERT_EQ(key.from_low != back.from_low, !one_end);
        const Ipv6 source = key.from_low ? key.low() : key.high();
        ASSERT_EQ(source, packet.source);
        ASSERT_EQ(key.from_low ? key.low_port : key.high_port, here.port);
    }
}

TEST(FlowKey, EveryPartTellsFlowsApart) {
    const FlowHasher hash(kSecret);
    for (const unsigned version : {4u, 6u}) {
        const auto packet = make_packet({1, 5}, {2, 6}, kUdp, 0, version).headers;
        for (const auto& other : {make_packet({3, 5}, {2, 6}, kUdp, 0, version),
                                  make_packet({1, 5}, {3, 6}, kUdp, 0, version),
                                  make_packet({1, 7}, {2, 6}, kUdp, 0, version),
                                  make_packet({1, 5}, {2, 7}, kUdp, 0, version),
                                  make_packet({1, 6}, {2, 5}, kUdp, 0, version),
                                  make_packet({1, 5}, {2, 6}, kTcp, 0, version)}) {
            EXPECT_FALSE(same_flow(flow_key(packet), flow_key(other.headers)));
            EXPECT_NE(hash(flow_key(packet)), hash(flow_key(other.headers)));
        }
    }
    EXPECT_NE(hash(flow_key(make_packet({1, 5}, {2, 6}, kUdp, 0, 4).headers)),
              hash(flow_key(make_packet({1, 5}, {2, 6}, kUdp, 0, 6).headers)));
}

TEST(FlowHasher, EveryWordOfTheSecretCounts) {
    for (const unsigned version : {4u, 6u}) {
        const FlowKey key = flow_key(make_packet({1, 5}, {2, 6}, kTcp, 0, version).headers);
        for (std::size_t word = 0; word < kSecret.size(); ++word) {
            FlowHasher::Secret other = kSecret;
            other[word] ^= 0x10000;
            EXPECT_NE(FlowHasher(kSecret)(key), FlowHasher(other)(key)) << version << " " << word;
        }
    }
}

// Sum of (seen - expected)^2 / expected: `buckets` - 1 on the average, with a deviation of
// sqrt(2 * buckets).
double chi_square(const std::vector<unsigned>& seen, std::size_t total) {
    const double expected = static_cast<double>(total) / static_cast<double>(seen.size());
    double sum = 0;
    for (const unsigned n : seen)
        sum += (n - expected) * (n - expected) / expected;
    return sum;
}

// The upper bits choose the bucket, the lower ones are the tag.
TEST(FlowHasher, StructuredFlowsSpreadEvenly) {
    constexpr std::size_t kBuckets = 1024, kFlows = 64 * kBuckets;
    constexpr double kBound = kBuckets + 6 * 45.3;  // six deviations
    const FlowHasher hash(kSecret);
    for (const unsigned version : {4u, 6u}) {
        for (const char* kind : {"sources", "networks", "ports", "both ports"}) {
            std::vector<unsigned> upper(kBuckets), lower(kBuckets);
            for (std::uint32_t i = 0; i < kFlows; ++i) {
                End source{0x0a000001, 1024}, destination{0xc0a80001, 80};
                if (kind == std::string_view("sources"))
                    source.address += i;
                else if (kind == std::string_view("networks"))
                    source.address += i << 16;
                else if (kind == std::string_view("ports"))
                    source.port = static_cast<std::uint16_t>(i);
                else
                    source.port = static_cast<std::uint16_t>(i >> 8),
                    destination.port = static_cast<std::uint16_t>(i & 255);
                const FlowHash value =
                    hash(flow_key(make_packet(source, destination, kTcp, 0, version).headers));
                ++upper[value >> 54];
                ++lower[value % kBuckets];
            }
            EXPECT_LT(chi_square(upper, kFlows), kBound) << kind << " " << version;
            EXPECT_LT(chi_square(lower, kFlows), kBound) << kind << " " << version;
        }
    }
}

// Toeplitz as a port computes it, bit by bit, over addresses and ports.
std::uint32_t toeplitz(const OwnerHash& owner, const packet::Headers& headers) {
    std::vector<std::uint8_t> input;
    const std::size_t length = headers.ip_version == 4 ? 4 : 16;
    for (const Ipv6& address : {headers.source, headers.destination})
        input.insert(input.end(), address.bytes.begin(), address.bytes.begin() + length);
    for (const std::uint16_t port : {headers.source_port, headers.destination_port}) {
        input.push_back(static_cast<std::uint8_t>(port >> 8));
        input.push_back(static_cast<std::uint8_t>(port));
    }
    const auto key = owner.key();
    std::uint32_t hash = 0;
    for (std::size_t bit = 0; bit < input.size() * 8; ++bit) {
        if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0)
            continue;
        std::uint32_t window = 0;
        for (std::size_t i = bit; i < bit + 32; ++i)
            window = window << 1 | (key[i / 8] >> (7 - i % 8) & 1);
        hash ^= window;
    }
    return hash;
}

TEST(OwnerHash, IsTheToeplitzHashOfItsKey) {
    std::mt19937 random(2);
    for (const std::uint64_t seed : {0x6d5aull, 0x0001ull, 0x1234ull}) {
        const OwnerHash owner(seed);
        for (int i = 0; i < 500; ++i) {
            const auto headers =
                make_packet(
                    {static_cast<std::uint32_t>(random()), static_cast<std::uint16_t>(random())},
                    {static_cast<std::uint32_t>(random()), static_cast<std::uint16_t>(random())},
                    kTcp, 0, i % 2 == 0 ? 4 : 6)
                    .headers;
            ASSERT_EQ(owner(headers), toeplitz(owner, headers)) << seed;
        }
    }
}

TEST(OwnerHash, HasSevenOrNineOnesInItsWord) {
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        const auto key = OwnerHash(seed * 0x9e3779b97f4a7c15).key();
        const int ones = std::popcount(key[0]) + std::popcount(key[1]);
        EXPECT_TRUE(ones == 7 || ones == 9) << seed << ": " << ones;
    }
}

// Flows that differ in ten bits only, as the even ports that a host gives to its connections.
TEST(OwnerHash, SpreadsEvenPortsOverTwoWorkers) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const OwnerHash owner(seed);
        unsigned first = 0;
        for (unsigned i = 0; i < 1024; ++i) {
            const End client{0x0a000001, static_cast<std::uint16_t>(32768 + 2 * i)};
            const auto headers = make_packet(client, {0xc0a80001, 443}, kTcp, 0).headers;
            first += OwnerHash::worker_of(owner(headers), 2) == 0 ? 1 : 0;
        }
        EXPECT_EQ(first, 512u) << seed;
    }
}

// Fragments show ports or not; two hosts have one owner all the same.
TEST(OwnerHash, OfAddressesKnowsNoPortsAndNoDirection) {
    const OwnerHash owner(0x6d5a);
    for (const unsigned version : {4u, 6u}) {
        const End a{0x0a000001, 1000}, b{0xc0a80001, 443};
        const auto there = make_packet(a, b, kTcp, 0, version).headers;
        const auto back = make_packet(b, a, kTcp, 0, version).headers;
        const auto later = make_packet({a.address, 0}, {b.address, 0}, kTcp, 0, version).headers;
        EXPECT_EQ(owner.of_addresses(there), owner.of_addresses(back));
        EXPECT_EQ(owner.of_addresses(there), owner.of_addresses(later));
        EXPECT_EQ(owner.of_addresses(there), owner(later));
    }
}

TEST(OwnerHash, SpreadsClientsOverWorkers) {
    const OwnerHash owner(0x6d5a);
    for (const unsigned workers : {2u, 3u, 4u, 8u}) {
        std::vector<unsigned> seen(workers);
        constexpr unsigned kFlows = 40000;
        for (unsigned i = 0; i < kFlows; ++i) {
            const End client{0x0a000000 + i / 40, static_cast<std::uint16_t>(32768 + i % 40 * 7)};
            const auto headers = make_packet(client, {0xc0a80001, 443}, kTcp, 0).headers;
            ++seen[OwnerHash::worker_of(owner(headers), workers)];
        }
        for (const unsigned n : seen) {
            EXPECT_GT(n, kFlows / workers * 4 / 5) << workers;
            EXPECT_LT(n, kFlows / workers * 6 / 5) << workers;
        }
    }
}

}  // namespace
}  // namespace sluice::state
