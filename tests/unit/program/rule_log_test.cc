#include "dataplane/program/rule_log.h"

#include <gtest/gtest.h>

namespace sluice::program {
namespace {

class RuleLogTest : public testing::Test {
  protected:
    static constexpr std::uint32_t kSlots = 4;
    static constexpr std::uint32_t kRecords = 64;

    RuleLogTest()
        : memory_(contract::log_ring_stride(kRecords) + 64),
          log_({.annotations = annotations_,
                .slot_capacity = kSlots,
                .log = ring(),
                .log_dropped = &dropped_,
                .log_limited = &limited_}) {
        sysctls_.verbose = 1;
    }

    contract::LogRing ring() {
        auto base = reinterpret_cast<std::uintptr_t>(memory_.data());
        ring_ = contract::LogRing::create(reinterpret_cast<void*>((base + 63) / 64 * 64), kRecords);
        return ring_;
    }

    void match(std::uint32_t slot, std::uint64_t now_ms, std::uint32_t limit = 0) {
        contract::RuleRecord rule;
        rule.slot = slot;
        rule.log_limit = limit;
        packet::Packet packet;
        packet.now_ms = now_ms;
        log_.matched(sysctls_, packet, rule);
    }

    unsigned written() {
        unsigned count = 0;
        for (contract::LogRecord record; ring_.pop(record);)
            ++count;
        return count;
    }

    std::vector<std::byte> memory_;
    contract::LogRing ring_;
    contract::SlotAnnotation annotations_[kSlots];
    std::uint64_t dropped_ = 0;
    std::uint64_t limited_ = 0;
    contract::Sysctls sysctls_;
    RuleLog log_;
};

TEST_F(RuleLogTest, ARuleLogsSoMuchInASecondAndTheRestIsCounted) {
    sysctls_.verbose_rate = 3;
    for (std::uint64_t ms = 5000; ms < 5010; ++ms)
        match(1, ms);
    match(2, 5010);  // another rule is not its business
    EXPECT_EQ(written(), 3u + 1u);
    EXPECT_EQ(limited_, 7u);
    match(1, 6000);
    EXPECT_EQ(written(), 1u);
    EXPECT_EQ(dropped_, 0u);
}

TEST_F(RuleLogTest, WithoutARateThereIsNone) {
    for (int i = 0; i < 50; ++i)
        match(1, 5000);
    EXPECT_EQ(written(), 50u);
    EXPECT_EQ(limited_, 0u);
}

TEST_F(RuleLogTest, WhatIsLeftOutDoesNotUseTheLimitUp) {
    sysctls_.verbose_rate = 1;
    for (std::uint64_t ms = 0; ms < 5000; ms += 100)
        match(1, ms, 3);
    EXPECT_EQ(written(), 3u);
    // Nine in each of the two seconds before the last line and in its own; behind the limit none.
    EXPECT_EQ(limited_, 18u);
}

TEST_F(RuleLogTest, AFullRingIsNotTheRate) {
    sysctls_.verbose_rate = 1000;
    for (int i = 0; i < 100; ++i)
        match(1, 5000);
    EXPECT_EQ(dropped_, 100u - kRecords);
    EXPECT_EQ(limited_, 0u);
}

}  // namespace
}  // namespace sluice::program
