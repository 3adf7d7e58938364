#include "dataplane/contract/log_ring.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::contract {
namespace {

constexpr std::uint32_t kCapacity = 8;

struct Memory {
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::vector<Line> lines = std::vector<Line>(log_ring_stride(kCapacity) / sizeof(Line));
    LogRingHeader& header() { return *reinterpret_cast<LogRingHeader*>(lines.data()); }
    std::size_t size() const { return lines.size() * sizeof(Line); }
};

LogRecord record(std::uint64_t sequence) {
    LogRecord result;
    result.sequence = sequence;
    return result;
}

TEST(LogRing, GivesBackWhatWasPutInInOrderOverManyTurns) {
    Memory memory;
    LogRing producer = LogRing::create(memory.lines.data(), kCapacity);
    LogRing consumer = LogRing::attach(memory.lines.data(), memory.size());
    ASSERT_TRUE(consumer);
    LogRecord out;
    EXPECT_FALSE(consumer.pop(out));
    std::uint64_t next_in = 0, next_out = 0;
    for (int turn = 0; turn < 100; ++turn) {
        for (int i = 0; i < turn % 8 + 1; ++i)
            ASSERT_TRUE(producer.push(record(next_in++)));
        while (consumer.pop(out))
            ASSERT_EQ(out.sequence, next_out++);
    }
    EXPECT_EQ(next_in, next_out);
    EXPECT_EQ(producer.dropped(), 0u);
}

TEST(LogRing, FullDropsTheNewRecordAndCountsIt) {
    Memory memory;
    LogRing ring = LogRing::create(memory.lines.data(), kCapacity);
    for (std::uint64_t i = 0; i < kCapacity; ++i)
        ASSERT_TRUE(ring.push(record(i)));
    EXPECT_FALSE(ring.push(record(99)));
    EXPECT_FALSE(ring.push(record(100)));
    EXPECT_EQ(ring.dropped(), 2u);
    LogRecord out;
    ASSERT_TRUE(ring.pop(out));
    EXPECT_EQ(out.sequence, 0u);
    EXPECT_TRUE(ring.push(record(8)));
    for (std::uint64_t expected = 1; ring.pop(out); ++expected)
        EXPECT_EQ(out.sequence, expected);
}

// The control plane may write any tail; the worker must go on without touching foreign memory.
TEST(LogRing, SenselessTailMakesItLookFullOrEmptyNothingElse) {
    for (const std::uint64_t tail : {std::uint64_t{5}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
        Memory memory;
        LogRing ring = LogRing::create(memory.lines.data(), kCapacity);
        memory.header().tail = tail;
        for (std::uint64_t i = 0; i < 3 * kCapacity; ++i)
            (void)ring.push(record(i));
        EXPECT_LE(memory.header().head, std::uint64_t{3} * kCapacity);
    }
}

TEST(LogRing, AttachRefusesWhatDoesNotFit) {
    Memory memory;
    (void)LogRing::create(memory.lines.data(), kCapacity);
    EXPECT_FALSE(LogRing::attach(memory.lines.data(), sizeof(LogRingHeader) - 1));
    EXPECT_FALSE(LogRing::attach(memory.lines.data(), memory.size() - 4096));
    for (const std::uint32_t capacity : {0u, 7u, 1u << 31}) {
        memory.header().capacity = capacity;
        EXPECT_FALSE(LogRing::attach(memory.lines.data(), memory.size())) << capacity;
    }
    memory.header().capacity = kCapacity;
    EXPECT_TRUE(LogRing::attach(memory.lines.data(), memory.size()));
    memory.header().version = kLogRingVersion + 1;
    EXPECT_FALSE(LogRing::attach(memory.lines.data(), memory.size()));
    memory.header().version = kLogRingVersion;
    memory.header().magic = 0;
    EXPECT_FALSE(LogRing::attach(memory.lines.data(), memory.size()));
}

// A capacity that changes behind the producer's back is not believed.
TEST(LogRing, ProducerKeepsItsOwnCapacity) {
    Memory memory;
    LogRing ring = LogRing::create(memory.lines.data(), kCapacity);
    memory.header().capacity = 1u << 30;
    for (std::uint64_t i = 0; i < kCapacity; ++i)
        ASSERT_TRUE(ring.push(record(i)));
    EXPECT_FALSE(ring.push(record(0)));
}

}  // namespace
}  // namespace sluice::contract
