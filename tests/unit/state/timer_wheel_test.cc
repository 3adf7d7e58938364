#include "dataplane/state/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace sluice::state {
namespace {

// A wheel beside a model: which cell hangs at which second.
class TimerWheelTest : public testing::Test {
  protected:
    static constexpr CellIndex kCells = 400;

    TimerWheelTest() : cells_(kCells), cold_(kCells), wheel_(cells_, cold_) {
        wheel_.begin(kBegin);
        for (CellIndex i = 0; i < kCells; ++i)
            idle_.insert(i);
    }

    void hang(CellIndex cell, std::uint32_t second) {
        wheel_.hang(cell, second);
        const std::uint32_t current = wheel_.current();
        const std::uint32_t due = second < current ? current
                                  : second - current > TimerWheel::kReach
                                      ? current + TimerWheel::kReach
                                      : second;
        ASSERT_EQ(cells_[cell].due_s, due);
        model_.emplace(due, cell);
        idle_.erase(cell);
    }

    void unhang(CellIndex cell) {
        wheel_.unhang(cell);
        auto [at, end] = model_.equal_range(cells_[cell].due_s);
        while (at->second != cell)
            ++at;
        model_.erase(at);
        idle_.insert(cell);
    }

    // Takes all that is due; each at its own second, no second before another's.
    void advance(std::uint32_t now_s, unsigned steps_per_call) {
        for (;;) {
            unsigned steps = steps_per_call;
            const CellIndex cell = wheel_.next_due(now_s, steps);
            ASSERT_LE(steps, steps_per_call);
            if (cell == kNoCell) {
                if (wheel_.current() == now_s)
                    break;
                ASSERT_EQ(steps, 0u);
                continue;
            }
            ASSERT_FALSE(model_.empty());
            ASSERT_EQ(wheel_.current(), model_.begin()->first);
            ASSERT_EQ(cells_[cell].due_s, wheel_.current());
            unhang(cell);
        }
        ASSERT_TRUE(model_.empty() || model_.begin()->first > now_s);
    }

    static constexpr std::uint32_t kBegin = 5000;
    std::vector<Cell> cells_;
    std::vector<ColdCell> cold_;
    TimerWheel wheel_;
    std::multimap<std::uint32_t, CellIndex> model_;
    std::set<CellIndex> idle_;
};

TEST_F(TimerWheelTest, AgreesWithAMultimapOverJumpsOfTime) {
    std::mt19937 random(4);
    std::uint32_t now = kBegin;
    for (int round = 0; round < 3000 && !HasFatalFailure(); ++round) {
        for (int i = 0; i < 20 && !idle_.empty(); ++i) {
            const std::uint32_t far = random() % 4 == 0 ? random() % 5000 : random() % 40;
            hang(*idle_.begin(), now + far);
        }
        for (int i = 0; i < 5 && !model_.empty(); ++i)
            unhang(std::next(model_.begin(), static_cast<long>(random() % model_.size()))->second);
        now += random() % 50 == 0 ? random() % 3000 : random() % 3;
        advance(now, 1 + random() % 64);
    }
}

TEST_F(TimerWheelTest, FarEndsHangAsFarAsTheWheelReaches) {
    hang(0, kBegin + 100000);
    advance(kBegin + TimerWheel::kReach - 1, 64);
    EXPECT_EQ(model_.size(), 1u);
    advance(kBegin + TimerWheel::kReach, 64);
    EXPECT_TRUE(model_.empty());
}

TEST_F(TimerWheelTest, APastSecondIsDueNow) {
    hang(0, kBegin - 10);
    unsigned steps = 0;
    EXPECT_EQ(wheel_.next_due(kBegin, steps), 0u);
    EXPECT_EQ(wheel_.next_due(kBegin - 1, steps), kNoCell);  // a clock that went back
}

TEST_F(TimerWheelTest, FirstMiddleAndLastOfAListCanBeUnhung) {
    for (CellIndex cell = 0; cell < 5; ++cell)
        hang(cell, kBegin + 7);
    for (const CellIndex cell : {4u, 0u, 2u})
        unhang(cell);
    std::set<CellIndex> due;
    unsigned steps = 64;
    for (CellIndex cell; (cell = wheel_.next_due(kBegin + 7, steps)) != kNoCell;
         wheel_.unhang(cell))
        due.insert(cell);
    EXPECT_EQ(due, (std::set<CellIndex>{1, 3}));
}

TEST_F(TimerWheelTest, StepsOverNoMoreSecondsThanItMay) {
    hang(0, kBegin + 100);
    unsigned steps = 64;
    EXPECT_EQ(wheel_.next_due(kBegin + 200, steps), kNoCell);
    EXPECT_EQ(steps, 0u);
    EXPECT_EQ(wheel_.current(), kBegin + 64);
    steps = 64;
    EXPECT_EQ(wheel_.next_due(kBegin + 200, steps), 0u);
    EXPECT_EQ(wheel_.current(), kBegin + 100);
}

}  // namespace
}  // namespace sluice::state
