#include "dataplane/worker/station_table.h"

#include <gtest/gtest.h>

namespace sluice::worker {
namespace {

MacAddress station(unsigned number) {
    return {{0x02, 0, 0, static_cast<std::uint8_t>(number >> 16),
             static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}};
}

TEST(StationTable, RemembersWhereAStationWasSeenLast) {
    StationTable table(16, 4711);
    EXPECT_EQ(table.find(station(1), 100), std::nullopt);
    table.learn(station(1), 3, 100);
    table.learn(station(2), 31, 100);
    EXPECT_EQ(table.find(station(1), 101), 3);
    EXPECT_EQ(table.find(station(2), 101), 31);
    table.learn(station(1), 0, 102);
    EXPECT_EQ(table.find(station(1), 102), 0);
}

TEST(StationTable, ForgetsStationsThatAreSilent) {
    StationTable table(16, 4711);
    table.learn(station(1), 3, 1000);
    EXPECT_EQ(table.find(station(1), 1000 + StationTable::kLifetime_s), 3);
    EXPECT_EQ(table.find(station(1), 1004 + StationTable::kLifetime_s), std::nullopt);
    table.learn(station(1), 4, 2000);
    EXPECT_EQ(table.find(station(1), 2000), 4);
}

TEST(StationTable, TheOldestGivesWay) {
    StationTable table(1, 4711);
    for (unsigned i = 0; i < 8; ++i)
        table.learn(station(i), 1, 100 + 4 * i);
    table.learn(station(0), 1, 140);
    table.learn(station(100), 2, 144);
    EXPECT_EQ(table.find(station(100), 144), 2);
    EXPECT_EQ(table.find(station(0), 144), 1);
    EXPECT_EQ(table.find(station(1), 144), std::nullopt);
    for (unsigned i = 2; i < 8; ++i)
        EXPECT_EQ(table.find(station(i), 144), 1) << i;
}

TEST(StationTable, NobodyHasTheAddressZero) {
    StationTable table(1, 4711);
    table.learn(MacAddress{}, 1, 100);
    EXPECT_EQ(table.find(MacAddress{}, 100), std::nullopt);
}

}  // namespace
}  // namespace sluice::worker
