#include "dataplane/app/contract_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::dataplane {
namespace {

constexpr std::uint32_t kSlots = 1000, kRecords = 64;

void* map(int descriptor, std::size_t size, int protection) {
    return mmap(nullptr, size, protection, MAP_SHARED, descriptor, 0);
}

TEST(ContractMemoryTest, WorkersAndReadersSeeTheSameCounters) {
    auto memory = ContractMemory::create(2, kSlots, kRecords);
    ASSERT_TRUE(memory) << memory.error().message;
    const auto workers = memory->worker_memory();
    ASSERT_EQ(workers.size(), 2u);
    contract::add(workers[1].counters->heartbeat, 5);
    contract::add(workers[1].outputs.counters[kSlots - 1].packets, 7);
    const std::size_t size = 4096 + 2 * contract::counter_worker_stride(kSlots);
    auto* base = static_cast<std::byte*>(map(memory->counters(), size, PROT_READ));
    ASSERT_NE(base, MAP_FAILED);
    const auto* header = reinterpret_cast<const contract::CounterHeader*>(base);
    EXPECT_EQ(header->magic, contract::kCounterMagic);
    EXPECT_EQ(header->worker_count, 2u);
    EXPECT_EQ(header->slot_capacity, kSlots);
    const auto* counters = reinterpret_cast<const contract::WorkerCounters*>(
        base + header->worker_offset + header->worker_stride);
    EXPECT_EQ(counters->heartbeat, 5u);
    const auto* rules = reinterpret_cast<const contract::RuleCounters*>(counters + 1);
    EXPECT_EQ(rules[kSlots - 1].packets, 7u);
    munmap(base, size);
}

TEST(ContractMemoryTest, NobodyElseCanWriteCounters) {
    auto memory = ContractMemory::create(1, kSlots, kRecords);
    ASSERT_TRUE(memory);
    EXPECT_EQ(map(memory->counters(), 4096, PROT_READ | PROT_WRITE), MAP_FAILED);
    EXPECT_LT(pwrite(memory->counters(), "x", 1, 0), 0);
    contract::add(memory->worker_memory()[0].counters->heartbeat, 1);  // its owner can
}

TEST(ContractMemoryTest, NobodyCanTakeMemoryAway) {
    auto memory = ContractMemory::create(1, kSlots, kRecords);
    ASSERT_TRUE(memory);
    for (const int descriptor : {memory->counters(), memory->log_rings(), memory->annotations()}) {
        EXPECT_NE(ftruncate(descriptor, 0), 0);
        EXPECT_NE(ftruncate(descriptor, 1 << 30), 0);
    }
}

TEST(ContractMemoryTest, LogRecordsAndAnnotationsCrossOver) {
    auto memory = ContractMemory::create(2, kSlots, kRecords);
    ASSERT_TRUE(memory);
    const auto workers = memory->worker_memory();
    contract::LogRing producer = workers[1].outputs.log;
    contract::LogRecord record;
    record.sequence = 42;
    ASSERT_TRUE(producer.push(record));
    const std::size_t stride = contract::log_ring_stride(kRecords);
    auto* rings =
        static_cast<std::byte*>(map(memory->log_rings(), 2 * stride, PROT_READ | PROT_WRITE));
    ASSERT_NE(rings, MAP_FAILED);
    contract::LogRing consumer = contract::LogRing::attach(rings + stride, stride);
    ASSERT_TRUE(consumer);
    contract::LogRecord popped;
    ASSERT_TRUE(consumer.pop(popped));
    EXPECT_EQ(popped.sequence, 42u);
    munmap(rings, 2 * stride);
    const std::size_t size = kSlots * sizeof(contract::SlotAnnotation);
    auto* annotations = static_cast<contract::SlotAnnotation*>(
        map(memory->annotations(), size, PROT_READ | PROT_WRITE));
    ASSERT_NE(annotations, MAP_FAILED);
    annotations[9].log_epoch = 3;
    EXPECT_EQ(workers[0].outputs.annotations[9].log_epoch, 3u);
    munmap(annotations, size);
}

}  // namespace
}  // namespace sluice::dataplane
