// How the main thread has states killed: each worker is given the order, because only the owner of
// a shard may change it, and carries it out a piece at a time in the turns of its loop.
//
// Threads. One order per worker. The main thread writes filter and then `given`; the worker reads
// them, counts, and then writes `done`. So whoever may write the other fields is always clear:
// the main thread while `done` equals `given`, the worker otherwise. A worker that does not get
// there in time keeps its order and carries it out when it moves again; until then no other one is
// given. The orders outlive the workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/message.h"

namespace sluice::worker {

struct alignas(64) KillOrder {
    std::atomic<std::uint64_t> given = 0;  // writer: the main thread
    std::atomic<std::uint64_t> done = 0;   // writer: the worker
    contract::StateFilter filter;
    std::uint64_t killed = 0;
};

class KillOrders {
  public:
    explicit KillOrders(unsigned workers) : orders_(workers) {}

    KillOrder& of(unsigned worker) { return orders_[worker]; }

    // Main thread, while the workers run: has all states killed that `filter` means and returns how
    // many they were. An error: some worker has not done it, or has not even been told.
    Result<std::uint64_t> kill(const contract::StateFilter& filter, unsigned timeout_ms);

  private:
    // Numbers of the workers that are not done by then.
    std::vector<unsigned> wait(unsigned timeout_ms);

    std::vector<KillOrder> orders_;
};

}  // namespace sluice::worker
