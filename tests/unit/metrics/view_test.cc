#include "controlplane/metrics/view.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace sluice::metrics {
namespace {

std::unique_ptr<View> view_of(std::uint64_t generation, std::shared_ptr<const void> mapping = {}) {
    auto view = std::make_unique<View>(ruleset::Ruleset(false));
    view->generation = generation;
    view->counters.mapping = std::move(mapping);
    return view;
}

TEST(BoardTest, ShowsTheLatestView) {
    Board board;
    EXPECT_FALSE(board.look());
    board.publish(view_of(1));
    EXPECT_EQ((*board.look())->generation, 1u);
    board.publish(view_of(2));
    EXPECT_EQ((*board.look())->generation, 2u);
}

TEST(BoardTest, AViewStaysAsLongAsItIsLookedAtAndNotLonger) {
    Board board;
    auto mapping = std::make_shared<int>(0);
    const std::weak_ptr<int> watched = mapping;
    board.publish(view_of(1, std::move(mapping)));
    {
        const auto lease = board.look();
        board.publish(view_of(2));
        board.publish(view_of(3));
        EXPECT_EQ((*lease)->generation, 1u);
        EXPECT_FALSE(watched.expired());
    }
    // It goes with the next one, in the thread that publishes.
    board.publish(view_of(4));
    EXPECT_TRUE(watched.expired());
}

TEST(BoardTest, ManyThreadsLookWhileOnePublishes) {
    Board board;
    board.publish(view_of(1));
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    std::atomic<unsigned> backwards = 0;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&] {
            std::uint64_t last = 0;
            while (!stop) {
                const auto lease = board.look();
                backwards += (*lease)->generation < last ? 1 : 0;
                last = (*lease)->generation;
            }
        });
    for (std::uint64_t generation = 2; generation < 500; ++generation)
        board.publish(view_of(generation));
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(backwards, 0u);
}

}  // namespace
}  // namespace sluice::metrics
