#include "controlplane/log/log_limiter.h"

#include <atomic>

namespace sluice::log {

LogDecision LogLimiter::admit(const contract::LogRecord& record) {
    // The kernel writes "pullup failed" without a limit; the workers cap its rate by their rings.
    if (record.kind == contract::LogKind::pullup_failed || record.log_limit == 0 ||
        record.slot >= annotations_.size())
        return {.write = true, .limit_reached = false};
    std::atomic_ref<std::uint32_t> logged(annotations_[record.slot].logged);
    const std::uint32_t before = logged.load(std::memory_order_relaxed);
    if (before >= record.log_limit)
        return {};
    logged.store(before + 1, std::memory_order_relaxed);
    return {.write = true, .limit_reached = before + 1 == record.log_limit};
}

void LogLimiter::rearm(std::uint32_t slot) {
    if (slot >= annotations_.size())
        return;
    contract::SlotAnnotation& annotation = annotations_[slot];
    std::atomic_ref<std::uint32_t>(annotation.logged).store(0, std::memory_order_relaxed);
    std::atomic_ref<std::uint32_t> epoch(annotation.log_epoch);
    epoch.store(epoch.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace sluice::log
