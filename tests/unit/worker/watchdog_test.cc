#include "dataplane/app/watchdog.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::dataplane {
namespace {

struct WatchdogTest : testing::Test {
    std::array<std::uint64_t, 3> heartbeats{};
    int alive = 0;

    Watchdog watchdog(std::optional<std::chrono::microseconds> period) {
        return Watchdog(period, {&heartbeats[0], &heartbeats[1], &heartbeats[2]},
                        [this] { ++alive; });
    }
    void beat() {
        for (std::uint64_t& heartbeat : heartbeats)
            ++heartbeat;
    }
};

TEST_F(WatchdogTest, OneThatHangsIsEnough) {
    Watchdog watchdog = this->watchdog(std::chrono::seconds(4));
    beat();
    watchdog.tend(1000);
    EXPECT_EQ(alive, 1);
    ++heartbeats[0];
    ++heartbeats[2];
    for (unsigned now_ms = 2000; now_ms < 20'000; now_ms += 250)
        watchdog.tend(now_ms);
    EXPECT_EQ(alive, 1);
    ++heartbeats[1];
    watchdog.tend(30'000);
    EXPECT_EQ(alive, 2);
}

TEST_F(WatchdogTest, SaysSoFourTimesInAPeriod) {
    Watchdog watchdog = this->watchdog(std::chrono::seconds(4));
    for (unsigned now_ms = 10; now_ms <= 8000; now_ms += 10) {
        beat();
        watchdog.tend(now_ms);
    }
    EXPECT_EQ(alive, 8);
}

TEST_F(WatchdogTest, NobodyWaits) {
    Watchdog watchdog = this->watchdog(std::nullopt);
    beat();
    watchdog.tend(100'000);
    EXPECT_EQ(alive, 0);
}

TEST_F(WatchdogTest, WithoutWorkersTheMainThreadCounts) {
    Watchdog watchdog(std::chrono::seconds(1), {}, [this] { ++alive; });
    watchdog.tend(1000);
    watchdog.tend(2000);
    EXPECT_EQ(alive, 2);
}

}  // namespace
}  // namespace sluice::dataplane
