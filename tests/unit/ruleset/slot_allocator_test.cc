#include "controlplane/ruleset/slot_allocator.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace sluice::ruleset {
namespace {

TEST(SlotAllocator, SlotZeroIsNeverGivenAway) {
    SlotAllocator slots(3);
    EXPECT_EQ(slots.allocate(), 1u);
    EXPECT_EQ(slots.allocate(), 2u);
    EXPECT_EQ(slots.allocate(), std::nullopt);
}

TEST(SlotAllocator, AFreedSlotRestsUntilTheNextPublish) {
    SlotAllocator slots(3);
    slots.allocate();
    slots.allocate();
    slots.published();
    EXPECT_TRUE(slots.fresh().empty());
    slots.release(1);
    EXPECT_EQ(slots.allocate(), std::nullopt);
    slots.published();
    EXPECT_EQ(slots.allocate(), 1u);
    EXPECT_EQ(slots.fresh(), std::vector<std::uint32_t>{1});
}

TEST(SlotAllocator, RestoreFindsTheGaps) {
    SlotAllocator slots(8);
    slots.restore({5, 2});
    std::vector<std::uint32_t> given;
    while (const auto slot = slots.allocate())
        given.push_back(*slot);
    EXPECT_EQ(std::set<std::uint32_t>(given.begin(), given.end()),
              (std::set<std::uint32_t>{1, 3, 4, 6, 7}));
}

TEST(SlotAllocator, WhatMayComeBackIsNotGivenAway) {
    SlotAllocator slots(4);
    const auto first = slots.allocate();
    slots.published();
    slots.release(*first);
    slots.published_for_now();
    EXPECT_TRUE(slots.fresh().empty());
    EXPECT_NE(slots.allocate(), first);
    EXPECT_NE(slots.allocate(), first);
    EXPECT_FALSE(slots.allocate());
    slots.published();
    EXPECT_EQ(slots.allocate(), first);
}

}  // namespace
}  // namespace sluice::ruleset
