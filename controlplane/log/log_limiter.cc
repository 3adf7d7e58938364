#include "controlplane/log/log_limiter.h"

#include <atomic>

namespace sluice::log {

LogDecision LogLimiter::admit(const contract::LogRecord& record) {
    if (record.kind == contract::LogKind::state_limit ||
        record.kind == contract::LogKind::state_table_full)
        return admit_each_second(record.time_ms / 1000, last_state_line_);
    if (record.kind == contract::LogKind::call_stack)
        return admit_each_second(record.time_ms / 1000, last_call_line_);
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

LogDecision LogLimiter::admit_each_second(std::uint64_t second,
                                          std::optional<std::uint64_t>& last) {
    // The rings of the workers are emptied one after the other, so that time may step back a
    // little; a clock that was set back by more than that begins anew.
    constexpr std::uint64_t kDisorder = 60;
    if (last && second <= *last && *last - second < kDisorder)
        return {};
    last = second;
    return {.write = true, .limit_reached = false};
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
