// How the main thread has states killed, or given to other rules: each worker is given an order,
// because only the owner of a shard may change it, and carries it out a piece at a time in the
// turns of its loop.
//
// Threads. One order per worker. The main thread writes what is to be done and then `given`; the
// worker reads it, counts, and then writes `done`. So whoever may write the other fields is always
// clear: the main thread while `done` equals `given`, the worker otherwise. A worker that does not
// get there in time keeps its order and carries it out when it moves again; until then no other one
// is given. The orders outlive the workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/message.h"
#include "dataplane/program/states.h"

namespace sluice::worker {

struct alignas(64) StateOrder {
    enum class What : std::uint8_t { kill, settle };

    std::atomic<std::uint64_t> given = 0;  // writer: the main thread
    std::atomic<std::uint64_t> done = 0;   // writer: the worker
    What what = What::kill;
    contract::StateFilter filter;                   // kill
    std::vector<program::StateDecision> decisions;  // settle
    program::SettledStates settled;
};

class StateOrders {
  public:
    explicit StateOrders(unsigned workers) : orders_(workers) {}

    StateOrder& of(unsigned worker) { return orders_[worker]; }

    // Main thread, while the workers run: has all states killed that `filter` means and returns how
    // many they were. An error: some worker has not done it, or has not even been told.
    Result<std::uint64_t> kill(const contract::StateFilter& filter, unsigned timeout_ms);

    // The same for decisions about states of one worker.
    Result<program::SettledStates> settle(unsigned worker,
                                          std::vector<program::StateDecision> decisions,
                                          unsigned timeout_ms);

  private:
    // Numbers of the workers that are not done by then.
    std::vector<unsigned> wait(unsigned timeout_ms);
    static void give(StateOrder& order);

    std::vector<StateOrder> orders_;
};

}  // namespace sluice::worker
