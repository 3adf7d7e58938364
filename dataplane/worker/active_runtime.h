// The ruleset that all workers run, and its replacement under their feet.
//
// Threads. One writer, the main thread, calls `replace` and `collect`. Each worker is a reader with
// its own number: between `online` and `offline` it may `load` and use the ruleset, and says
// `quiescent` when it holds no pointer to it any more, once in each turn of its loop. A replaced
// ruleset is freed when every worker that is online has been quiescent after the exchange (QSBR,
// rte_rcu_qsbr.h).
//
// A worker that does not get there in time (stopped by a debugger, starved of CPU) makes `replace`
// fail: the predecessor is put back, and the memory of the one that was refused stays until that
// worker has moved on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/result.h"
#include "dataplane/program/runtime.h"

struct rte_rcu_qsbr;

namespace sluice::worker {

class ActiveRuntime {
  public:
    explicit ActiveRuntime(unsigned workers);
    ActiveRuntime(const ActiveRuntime&) = delete;
    // No worker may be online any more.
    ~ActiveRuntime();

    // -- workers --
    void online(unsigned worker);
    void offline(unsigned worker);
    void quiescent(unsigned worker);
    // Null: no ruleset yet.
    const program::Runtime* load() const { return current_.load(std::memory_order_acquire); }

    // -- main thread --
    // After success every worker runs `next` and the old one is gone.
    Result<Done> replace(std::unique_ptr<const program::Runtime> next, unsigned timeout_ms);
    // Frees what nobody can use any more.
    void collect();
    // A grace period begins now; it is over when every worker that is online has been quiescent.
    std::uint64_t begin_period() const;
    bool period_over(std::uint64_t period) const;
    // Waits until every worker has begun a turn, so that it sees what was written before.
    Result<Done> wait_for_workers(unsigned timeout_ms) const;
    // Null: no ruleset yet. Valid until the next `replace`.
    const program::Runtime* current() const { return owned_.get(); }
    std::uint64_t generation() const { return owned_ == nullptr ? 0 : owned_->generation(); }

  private:
    struct FreeQsbr {
        void operator()(rte_rcu_qsbr* qsbr) const;
    };
    struct Retired {
        std::unique_ptr<const program::Runtime> runtime;
        std::uint64_t token = 0;
    };

    bool wait(std::uint64_t token, unsigned timeout_ms) const;
    std::string late_workers(std::uint64_t token) const;

    unsigned workers_;
    std::unique_ptr<rte_rcu_qsbr, FreeQsbr> qsbr_;
    std::atomic<const program::Runtime*> current_ = nullptr;
    std::unique_ptr<const program::Runtime> owned_;
    std::vector<Retired> retired_;
};

}  // namespace sluice::worker
