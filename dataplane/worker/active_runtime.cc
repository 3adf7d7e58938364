#include "dataplane/worker/active_runtime.h"

#include <rte_rcu_qsbr.h>

#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>

namespace sluice::worker {

namespace {

// What a grace period normally takes is a few microseconds.
constexpr std::chrono::microseconds kPollInterval{50};

rte_rcu_qsbr* make_qsbr(unsigned workers) {
    const std::size_t size =
        (rte_rcu_qsbr_get_memsize(workers) + RTE_CACHE_LINE_SIZE - 1) & ~std::size_t{63};
    auto* qsbr = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, size));
    if (qsbr == nullptr || rte_rcu_qsbr_init(qsbr, workers) != 0)
        std::abort();  // 64 bytes per worker: out of memory before anything runs
    for (unsigned worker = 0; worker < workers; ++worker)
        rte_rcu_qsbr_thread_register(qsbr, worker);
    return qsbr;
}

}  // namespace

void ActiveRuntime::FreeQsbr::operator()(rte_rcu_qsbr* qsbr) const {
    std::free(qsbr);
}

ActiveRuntime::ActiveRuntime(unsigned workers) : workers_(workers), qsbr_(make_qsbr(workers)) {}

ActiveRuntime::~ActiveRuntime() = default;

void ActiveRuntime::online(unsigned worker) {
    rte_rcu_qsbr_thread_online(qsbr_.get(), worker);
}

void ActiveRuntime::offline(unsigned worker) {
    rte_rcu_qsbr_thread_offline(qsbr_.get(), worker);
}

void ActiveRuntime::quiescent(unsigned worker) {
    rte_rcu_qsbr_quiescent(qsbr_.get(), worker);
}

bool ActiveRuntime::wait(std::uint64_t token, unsigned timeout_ms) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (rte_rcu_qsbr_check(qsbr_.get(), token, false) != 1) {
        if (std::chrono::steady_clock::now() >= deadline)
            return false;
        std::this_thread::sleep_for(kPollInterval);
    }
    return true;
}

std::string ActiveRuntime::late_workers(std::uint64_t token) const {
    std::string list;
    for (unsigned worker = 0; worker < workers_; ++worker) {
        const std::uint64_t seen = __atomic_load_n(&qsbr_->qsbr_cnt[worker].cnt, __ATOMIC_ACQUIRE);
        if (seen != __RTE_QSBR_CNT_THR_OFFLINE && seen < token)
            list += (list.empty() ? "" : ", ") + std::to_string(worker);
    }
    return list;
}

Result<Done> ActiveRuntime::replace(std::unique_ptr<const program::Runtime> next,
                                    unsigned timeout_ms) {
    collect();
    current_.store(next.get(), std::memory_order_release);
    const std::uint64_t token = rte_rcu_qsbr_start(qsbr_.get());
    if (wait(token, timeout_ms)) {
        owned_ = std::move(next);
        return Done{};
    }
    const std::string late = late_workers(token);
    current_.store(owned_.get(), std::memory_order_release);
    retired_.push_back({std::move(next), rte_rcu_qsbr_start(qsbr_.get())});
    return Error{ExitStatus::unavailable, "worker " + late + " has not moved for " +
                                              std::to_string(timeout_ms) +
                                              " ms, the old ruleset stays"};
}

Result<Done> ActiveRuntime::wait_for_workers(unsigned timeout_ms) const {
    const std::uint64_t token = begin_period();
    if (wait(token, timeout_ms))
        return Done{};
    return Error{ExitStatus::unavailable, "worker " + late_workers(token) + " has not moved for " +
                                              std::to_string(timeout_ms) + " ms"};
}

std::uint64_t ActiveRuntime::begin_period() const {
    return rte_rcu_qsbr_start(qsbr_.get());
}

bool ActiveRuntime::period_over(std::uint64_t period) const {
    return rte_rcu_qsbr_check(qsbr_.get(), period, false) == 1;
}

void ActiveRuntime::collect() {
    std::erase_if(retired_, [&](const Retired& retired) {
        return rte_rcu_qsbr_check(qsbr_.get(), retired.token, false) == 1;
    });
}

}  // namespace sluice::worker
