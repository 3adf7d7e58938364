#include "dataplane/forward/token_bucket.h"

#include <gtest/gtest.h>

namespace sluice::forward {
namespace {

unsigned take_all(TokenBucket& bucket, std::uint64_t now_ms) {
    unsigned taken = 0;
    while (taken < 100000 && bucket.take(now_ms))
        ++taken;
    return taken;
}

TEST(TokenBucketTest, GivesTheBurstAtOnceAndThenTheRate) {
    TokenBucket bucket(200, 50);
    EXPECT_EQ(take_all(bucket, 1'000'000), 50u);
    EXPECT_EQ(take_all(bucket, 1'000'004), 0u);
    EXPECT_EQ(take_all(bucket, 1'000'005), 1u);
    EXPECT_EQ(take_all(bucket, 1'000'105), 20u);
}

TEST(TokenBucketTest, NeverHoldsMoreThanTheBurst) {
    TokenBucket bucket(200, 50);
    EXPECT_EQ(take_all(bucket, 1), 50u);
    EXPECT_EQ(take_all(bucket, UINT64_MAX), 50u);
}

TEST(TokenBucketTest, AClockThatGoesBackAddsNothing) {
    TokenBucket bucket(1000, 10);
    EXPECT_EQ(take_all(bucket, 1'000'000), 10u);
    EXPECT_EQ(take_all(bucket, 500'000), 0u);
    EXPECT_EQ(take_all(bucket, 500'003), 3u);
}

TEST(TokenBucketTest, ARateOfZeroGivesNothing) {
    TokenBucket bucket(0, 50);
    EXPECT_EQ(take_all(bucket, 5), 0u);
    EXPECT_EQ(take_all(bucket, 50'000'000), 0u);
}

}  // namespace
}  // namespace sluice::forward
