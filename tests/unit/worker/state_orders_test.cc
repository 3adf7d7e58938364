#include "dataplane/worker/state_orders.h"

#include <gtest/gtest.h>

namespace sluice::worker {
namespace {

void carry_out(StateOrder& order, std::uint64_t killed) {
    order.settled.killed = killed;
    order.done.store(order.given.load());
}

TEST(StateOrdersTest, AWorkerThatDoesNotMoveIsNamedAndKeepsItsOrder) {
    StateOrders orders(2);
    const contract::StateFilter first{.port = 53, .address = {}}, second{.port = 80, .address = {}};
    const auto late = orders.kill(first, 5);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message,
              "worker 0, 1 has not moved for 5 ms, its states are killed when it does; those of "
              "the other workers are gone");
    carry_out(orders.of(0), 3);
    const auto still_late = orders.kill(second, 5);
    ASSERT_FALSE(still_late);
    EXPECT_EQ(still_late.error().message,
              "worker 1 has not moved for 5 ms, and is still to carry out an earlier order about "
              "states: nothing is killed");
    EXPECT_EQ(orders.of(0).given.load(), 1u);
    EXPECT_EQ(orders.of(1).filter.port, 53);
    // It moves again: now orders are given again, and nothing of the first is counted.
    carry_out(orders.of(1), 4);
    EXPECT_FALSE(orders.kill(second, 5));
    EXPECT_EQ(orders.of(1).given.load(), 2u);
    EXPECT_EQ(orders.of(1).filter.port, 80);
    EXPECT_EQ(orders.of(1).settled.killed, 0u);
}

TEST(StateOrdersTest, DecisionsAreGivenToOneWorkerAndStayUntilItIsThere) {
    StateOrders orders(2);
    const auto late = orders.settle(1, {{.cell = 7, .key = {}}}, 5);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message,
              "worker 1 has not moved for 5 ms, the rest of the states stays as it is");
    EXPECT_EQ(orders.of(0).given.load(), 0u);
    EXPECT_EQ(orders.of(1).what, StateOrder::What::settle);
    // What it has not read yet is not taken away.
    EXPECT_FALSE(orders.settle(1, {}, 5));
    EXPECT_FALSE(orders.kill({}, 5));
    ASSERT_EQ(orders.of(1).decisions.size(), 1u);
    EXPECT_EQ(orders.of(1).decisions[0].cell, 7u);
    carry_out(orders.of(1), 1);
    EXPECT_FALSE(orders.settle(0, {}, 5));
    EXPECT_EQ(orders.of(0).given.load(), 1u);
}

}  // namespace
}  // namespace sluice::worker
