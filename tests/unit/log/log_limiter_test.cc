#include "controlplane/log/log_limiter.h"

#include <gtest/gtest.h>

#include <vector>

#include "controlplane/log/log_writer.h"

namespace sluice::log {
namespace {

contract::LogRecord record(std::uint32_t slot, std::uint32_t limit) {
    contract::LogRecord r;
    r.slot = slot;
    r.log_limit = limit;
    r.rule_number = 100;
    return r;
}

// Scenario 32: logamount 3, five packets, resetlog, two packets.
TEST(LogLimiter, TheLastLineIsFollowedByTheNotice) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    int lines = 0, notices = 0;
    const auto packet = [&] {
        const LogDecision decision = limiter.admit(record(2, 3));
        lines += decision.write;
        notices += decision.limit_reached;
        EXPECT_TRUE(decision.write || !decision.limit_reached);
    };
    for (int i = 0; i < 5; ++i)
        packet();
    EXPECT_EQ(lines, 3);
    EXPECT_EQ(notices, 1);
    limiter.rearm(2);
    EXPECT_EQ(annotations[2].log_epoch, 1u);
    packet();
    packet();
    EXPECT_EQ(lines, 5);
    EXPECT_EQ(notices, 1);
}

TEST(LogLimiter, ZeroIsNoLimit) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    for (int i = 0; i < 1000; ++i)
        EXPECT_TRUE(limiter.admit(record(1, 0)).write);
    EXPECT_EQ(annotations[1].logged, 0u);
}

contract::LogRecord record_at(std::uint64_t time_ms, std::uint32_t slot = 1,
                              std::uint32_t limit = 0) {
    contract::LogRecord r = record(slot, limit);
    r.rule_number = static_cast<std::uint16_t>(100 * slot);
    r.time_ms = time_ms;
    return r;
}

TEST(LogLimiter, EachRuleMayLogSoMuchInASecond) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    limiter.set_rate(2);
    const auto written = [&](std::uint64_t time_ms, std::uint32_t slot) {
        return limiter.admit(record_at(time_ms, slot)).write;
    };
    EXPECT_TRUE(written(5000, 1) && written(5001, 1) && written(5002, 2));
    EXPECT_FALSE(written(5999, 1));
    EXPECT_TRUE(written(5999, 2));
    EXPECT_TRUE(written(6000, 1) && written(6999, 1));
    // The ring of another worker is a little behind.
    EXPECT_FALSE(written(5998, 1));
    const LogLimiter::LeftOut left_out = limiter.take_left_out();
    EXPECT_EQ(left_out.lines, 2u);
    EXPECT_EQ(left_out.rules, (std::vector<std::uint16_t>{100, 200}));
    EXPECT_EQ(limiter.take_left_out().lines, 0u);
    // A clock that was set back by an hour begins anew.
    EXPECT_TRUE(written(6000 - 3600'000 + 3600'000 * 2, 3) && written(6000, 3));
    limiter.set_rate(0);
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(written(6000, 1));
}

TEST(LogLimiter, WhatIsLeftOutDoesNotUseALimitUp) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    limiter.set_rate(1);
    int lines = 0, notices = 0;
    for (std::uint64_t ms = 1000; ms < 10'000; ms += 250) {
        const LogDecision decision = limiter.admit(record_at(ms, 1, 3));
        lines += decision.write;
        notices += decision.limit_reached;
    }
    EXPECT_EQ(lines, 3);
    EXPECT_EQ(notices, 1);
    // Behind the limit nothing is left out: there is nothing to write.
    EXPECT_EQ(limiter.take_left_out().lines, 6u);
}

TEST(LogLimiter, SlotsOutsideAreHarmless) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    EXPECT_TRUE(limiter.admit(record(4, 1)).write);
    limiter.rearm(0xffffffff);
    LogLimiter().rearm(0);
}

class CollectingSink : public LogSink {
  public:
    explicit CollectingSink(std::vector<std::string>& lines) : lines_(lines) {}
    void write(std::string_view line, std::uint64_t, Priority priority) override {
        lines_.push_back((priority == Priority::notice ? "notice " : "info ") + std::string(line));
    }
    void flush() override {}
    void reopen() override {}
    std::uint64_t failures() const override { return 0; }

  private:
    std::vector<std::string>& lines_;
};

// Two workers stop at three lines each; together they may write three.
TEST(LogWriter, ALimitHoldsOverAllWorkers) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    std::vector<std::string> lines;
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<CollectingSink>(lines));
    LogWriter writer(std::move(sinks));

    constexpr std::uint32_t kCapacity = 16;
    const std::size_t stride = contract::log_ring_stride(kCapacity);
    std::vector<std::byte> memory(2 * stride + 64);
    auto base = reinterpret_cast<std::uintptr_t>(memory.data());
    base = (base + 63) / 64 * 64;
    std::vector<contract::LogRing> rings;
    for (std::size_t i = 0; i < 2; ++i) {
        rings.push_back(
            contract::LogRing::create(reinterpret_cast<void*>(base + i * stride), kCapacity));
        for (int n = 0; n < 3; ++n)
            rings.back().push(record(1, 3));
    }
    const std::vector<std::string> names;
    EXPECT_EQ(writer.drain(rings, limiter, names), 6u);
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[2].substr(0, 9), "info ipfw");
    EXPECT_EQ(lines[3], "notice ipfw: limit 3 reached on entry 100");
    EXPECT_EQ(writer.drain(rings, limiter, names), 0u);
}

// `logdst syslog`
TEST(LogWriter, WhatIsForSyslogGoesNowhereElse) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    std::vector<std::string> usual, syslog;
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<CollectingSink>(usual));
    LogWriter writer(std::move(sinks), std::make_unique<CollectingSink>(syslog));
    alignas(64) static std::byte memory[contract::log_ring_stride(4)];
    std::vector<contract::LogRing> rings = {contract::LogRing::create(memory, 4)};
    contract::LogRecord to_syslog = record(1, 1);
    to_syslog.flags |= contract::log_flag::syslog;
    rings[0].push(to_syslog);
    rings[0].push(record(2, 0));
    writer.drain(rings, limiter, {});
    ASSERT_EQ(syslog.size(), 2u);
    EXPECT_EQ(syslog[1], "notice ipfw: limit 1 reached on entry 100");
    ASSERT_EQ(usual.size(), 1u);
}

contract::LogRecord state_record(contract::LogKind kind, std::uint64_t time_ms) {
    contract::LogRecord r = record(1, 1);
    r.kind = kind;
    r.time_ms = time_ms;
    return r;
}

// ipfw has one time stamp for both messages.
TEST(LogLimiter, LinesAboutStatesComeOnceASecond) {
    std::vector<contract::SlotAnnotation> annotations(4);
    LogLimiter limiter(annotations);
    using enum contract::LogKind;
    EXPECT_TRUE(limiter.admit(state_record(state_limit, 5'000)).write);
    EXPECT_FALSE(limiter.admit(state_record(state_limit, 5'999)).write);
    EXPECT_FALSE(limiter.admit(state_record(state_table_full, 5'500)).write);
    EXPECT_TRUE(limiter.admit(state_record(state_table_full, 6'000)).write);
    EXPECT_FALSE(limiter.admit(state_record(state_limit, 5'999)).write);  // another worker's ring
    EXPECT_TRUE(limiter.admit(state_record(state_limit, 7'000)).write);
    EXPECT_EQ(annotations[1].logged, 0u);  // no limit of a rule is used up
}

TEST(LogLimiter, AClockThatWasSetBackDoesNotSilenceThem) {
    LogLimiter limiter;
    using enum contract::LogKind;
    EXPECT_TRUE(limiter.admit(state_record(state_limit, 5'000'000)).write);
    EXPECT_TRUE(limiter.admit(state_record(state_limit, 1'000'000)).write);
    EXPECT_FALSE(limiter.admit(state_record(state_limit, 1'000'000)).write);
}

}  // namespace
}  // namespace sluice::log
