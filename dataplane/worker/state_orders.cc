#include "dataplane/worker/state_orders.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace sluice::worker {

namespace {

constexpr std::chrono::microseconds kPollInterval{50};

Error late(const std::vector<unsigned>& workers, unsigned timeout_ms, const char* consequence) {
    std::string list;
    for (unsigned worker : workers)
        list += (list.empty() ? "" : ", ") + std::to_string(worker);
    return {ExitStatus::unavailable, "worker " + list + " has not moved for " +
                                         std::to_string(timeout_ms) + " ms, " + consequence};
}

}  // namespace

std::vector<unsigned> StateOrders::wait(unsigned timeout_ms) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
        std::vector<unsigned> missing;
        for (unsigned worker = 0; worker < orders_.size(); ++worker)
            if (orders_[worker].done.load(std::memory_order_acquire) !=
                orders_[worker].given.load(std::memory_order_relaxed))
                missing.push_back(worker);
        if (missing.empty() || std::chrono::steady_clock::now() >= deadline)
            return missing;
        std::this_thread::sleep_for(kPollInterval);
    }
}

void StateOrders::give(StateOrder& order) {
    order.settled = {};
    order.given.store(order.given.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

Result<std::uint64_t> StateOrders::kill(const contract::StateFilter& filter, unsigned timeout_ms) {
    if (const auto missing = wait(timeout_ms); !missing.empty())
        return late(missing, timeout_ms,
                    "and is still to carry out an earlier order about states: nothing is killed");
    for (StateOrder& order : orders_) {
        order.what = StateOrder::What::kill;
        order.filter = filter;
        give(order);
    }
    if (const auto missing = wait(timeout_ms); !missing.empty())
        return late(missing, timeout_ms,
                    "its states are killed when it does; those of the other workers are gone");
    std::uint64_t killed = 0;
    for (const StateOrder& order : orders_)
        killed += order.settled.killed;
    return killed;
}

Result<program::SettledStates> StateOrders::settle(unsigned worker,
                                                   std::vector<program::StateDecision> decisions,
                                                   unsigned timeout_ms) {
    if (const auto missing = wait(timeout_ms); !missing.empty())
        return late(missing, timeout_ms,
                    "and is still to carry out an earlier order about states: the rest of them "
                    "stays as it is");
    StateOrder& order = orders_[worker];
    order.what = StateOrder::What::settle;
    order.decisions = std::move(decisions);
    give(order);
    if (const auto missing = wait(timeout_ms); !missing.empty())
        return late(missing, timeout_ms, "the rest of the states stays as it is");
    return order.settled;
}

}  // namespace sluice::worker
