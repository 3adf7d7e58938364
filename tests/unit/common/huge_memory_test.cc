#include "common/huge_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace sluice {
namespace {

TEST(HugeMemory, IsZeroedAlignedAndAsLargeAsItSays) {
    for (const std::size_t wanted : {std::size_t{1}, HugeMemory::kPage, HugeMemory::kPage + 1}) {
        const auto memory = HugeMemory::map(wanted);
        ASSERT_TRUE(memory);
        EXPECT_GE(memory->size(), wanted);
        EXPECT_LT(memory->size(), wanted + HugeMemory::kPage);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % HugeMemory::kPage, 0u);
        EXPECT_TRUE(memory->populate());
        for (std::size_t i = 0; i < memory->size(); i += 4096)
            ASSERT_EQ(memory->data()[i], std::byte{0});
        memory->data()[memory->size() - 1] = std::byte{1};
    }
}

TEST(HugeMemory, MovesWithItsOwner) {
    auto first = HugeMemory::map(1);
    ASSERT_TRUE(first);
    std::byte* data = first->data();
    const HugeMemory second = std::move(*first);
    EXPECT_EQ(second.data(), data);
    second.data()[0] = std::byte{1};
}

TEST(HugeMemory, IsNotThereWhenThereIsNoRoom) {
    EXPECT_FALSE(HugeMemory::map(std::size_t{1} << 60));
}

}  // namespace
}  // namespace sluice
