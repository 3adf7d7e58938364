#include "dataplane/sockets/owners.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::sockets {
namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

Ipv6 address(std::uint32_t number) {
    Ipv6 made;
    for (unsigned i = 0; i < 4; ++i)
        made.bytes[i] = static_cast<std::uint8_t>(number >> 8 * i);
    return made;
}

Flow flow(std::uint32_t remote, std::uint8_t protocol = kTcp) {
    return {.local = address(1),
            .remote = address(remote),
            .local_port = 80,
            .remote_port = 5000,
            .protocol = protocol,
            .ip_version = 4};
}

TEST(OwnerTable, FindsWhatWasSetLast) {
    OwnerTable table(64, 7);
    EXPECT_FALSE(table.find(flow(2)));
    table.set(flow(2), 1000, 1);
    table.set(flow(3), 0, 1);
    EXPECT_EQ(table.find(flow(2)), 1000u);
    EXPECT_EQ(table.find(flow(3)), 0u);
    table.set(flow(2), 1001, 2);
    EXPECT_EQ(table.find(flow(2)), 1001u);
    EXPECT_FALSE(table.find(flow(2, kUdp)));
}

TEST(OwnerTable, RemovesWhatWasNotStampedAgain) {
    OwnerTable table(64, 7);
    table.set(flow(2), 1000, 1);
    table.set(flow(3), 1000, 1);
    EXPECT_TRUE(table.stamp(flow(3), 2));
    EXPECT_FALSE(table.stamp(flow(4), 2));
    table.remove_all_but(2);
    EXPECT_FALSE(table.find(flow(2)));
    EXPECT_TRUE(table.find(flow(3)));
}

TEST(OwnerTable, WhatWasSilentLongestMakesRoom) {
    OwnerTable table(8, 7);  // one bucket
    for (std::uint32_t i = 1; i <= 8; ++i)
        table.set(flow(i), i, i);
    table.stamp(flow(1), 9);
    table.set(flow(100), 100, 10);
    EXPECT_FALSE(table.find(flow(2)));
    for (const std::uint32_t i : {1, 3, 4, 5, 6, 7, 8, 100})
        EXPECT_EQ(table.find(flow(i)), i);
}

TEST(OwnerTable, HoldsHalfOfItsEntriesWithoutLoss) {
    OwnerTable table(32768, 0x1234567);
    for (std::uint32_t i = 0; i < 12'000; ++i)
        table.set(flow(i), i, 1);
    unsigned found = 0;
    for (std::uint32_t i = 0; i < 12'000; ++i)
        found += table.find(flow(i)) == i ? 1 : 0;
    EXPECT_GT(found, 11'900u);
}

TEST(Owners, TheNarrowestSocketCounts) {
    Owners owners(7);
    const Flow wanted = flow(2, kUdp);
    EXPECT_FALSE(owners.owner(wanted, Candidates::all));
    owners.bound().set(without_addresses(wanted), 1, 1);
    EXPECT_EQ(owners.owner(wanted, Candidates::all), 1u);
    owners.bound().set(without_remote(wanted), 2, 1);
    EXPECT_EQ(owners.owner(wanted, Candidates::all), 2u);
    owners.bound().set(wanted, 3, 1);
    EXPECT_EQ(owners.owner(wanted, Candidates::all), 3u);
    EXPECT_EQ(owners.owner(flow(9, kUdp), Candidates::all), 2u);
}

TEST(Owners, AnOpeningSegmentIsOfTheListener) {
    Owners owners(7);
    owners.connections().set(flow(2), 1, 1);
    EXPECT_EQ(owners.owner(flow(2), Candidates::all), 1u);
    EXPECT_FALSE(owners.owner(flow(2), Candidates::bound_only));
    owners.bound().set(without_addresses(flow(2)), 2, 1);
    EXPECT_EQ(owners.owner(flow(2), Candidates::bound_only), 2u);
    EXPECT_EQ(owners.owner(flow(2), Candidates::all), 1u);
}

// The user says which flow an entry was made for, so an answer that mixes two would be seen.
TEST(OwnerTable, AReaderNeverSeesHalfAnEntry) {
    OwnerTable table(8, 7);
    constexpr std::uint32_t kFlows = 32;  // four times what fits
    std::atomic<bool> stop = false;
    std::vector<std::thread> readers;
    std::atomic<std::uint64_t> found = 0, wrong = 0;
    for (int i = 0; i < 2; ++i)
        readers.emplace_back([&] {
            std::uint64_t mine = 0;
            while (!stop.load())
                for (std::uint32_t remote = 1; remote <= kFlows; ++remote)
                    if (const auto user = table.find(flow(remote))) {
                        ++mine;
                        if (*user / 1000 != remote)
                            ++wrong;
                    }
            found += mine;
        });
    for (std::uint32_t round = 0; round < 200'000; ++round) {
        const std::uint32_t remote = round % kFlows + 1;
        table.set(flow(remote), remote * 1000 + round % 1000, round + 1);
        if (round % 1024 == 0)
            std::this_thread::yield();
    }
    stop = true;
    for (std::thread& reader : readers)
        reader.join();
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace sluice::sockets
