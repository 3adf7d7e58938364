#include "dataplane/worker/active_runtime.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

TEST(ActiveRuntimeTest, StartsWithoutARuleset) {
    ActiveRuntime active(1);
    EXPECT_EQ(active.load(), nullptr);
    EXPECT_EQ(active.generation(), 0u);
}

TEST(ActiveRuntimeTest, WorkersThatSleepAreNotWaitedFor) {
    ActiveRuntime active(2);
    EXPECT_TRUE(active.replace(runtime_of({}, 1), 0));
    EXPECT_EQ(active.generation(), 1u);
    active.online(0);
    active.offline(0);
    EXPECT_TRUE(active.replace(runtime_of({}, 2), 0));
    EXPECT_EQ(active.load()->generation(), 2u);
}

TEST(ActiveRuntimeTest, AStuckWorkerKeepsTheOldRuleset) {
    ActiveRuntime active(3);
    ASSERT_TRUE(active.replace(runtime_of({}, 1), 0));
    active.online(1);
    const program::Runtime* seen = active.load();
    const Result<Done> result = active.replace(runtime_of({}, 2), 5);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "worker 1 has not moved for 5 ms, the old ruleset stays");
    EXPECT_EQ(active.generation(), 1u);
    EXPECT_EQ(active.load(), seen);
    EXPECT_EQ(seen->generation(), 1u);
    // It wakes up and things are as before.
    active.quiescent(1);
    active.collect();
    active.offline(1);
    EXPECT_TRUE(active.replace(runtime_of({}, 2), 5));
    EXPECT_EQ(active.generation(), 2u);
}

TEST(ActiveRuntimeTest, ReadersNeverSeeFreedMemory) {
    ActiveRuntime active(1);
    ASSERT_TRUE(active.replace(runtime_of({}, 1), 0));
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> turns = 0;
    std::thread reader([&] {
        active.online(0);
        std::uint64_t last = 0;
        while (!stop) {
            const std::uint64_t generation = active.load()->view().header().generation;
            EXPECT_GE(generation, last);
            last = generation;
            active.quiescent(0);
            ++turns;
        }
        active.offline(0);
    });
    while (turns == 0)
        std::this_thread::yield();
    for (std::uint64_t generation = 2; generation < 200; ++generation)
        ASSERT_TRUE(active.replace(runtime_of({}, generation), 5000));
    stop = true;
    reader.join();
    EXPECT_GT(turns, 200u);
}

}  // namespace
}  // namespace sluice::worker
