#include "controlplane/log/log_limiter.h"

#include <algorithm>
#include <atomic>

namespace sluice::log {

LogDecision LogLimiter::admit(const contract::LogRecord& record) {
    if (record.kind == contract::LogKind::state_limit ||
        record.kind == contract::LogKind::state_table_full)
        return admit_each_second(record.time_ms / 1000, last_state_line_);
    if (record.kind == contract::LogKind::call_stack)
        return admit_each_second(record.time_ms / 1000, last_call_line_);
    // The kernel writes "pullup failed" without a limit; the workers cap its rate by their rings.
    if (record.slot >= annotations_.size())
        return {.write = true, .limit_reached = false};
    if (record.kind == contract::LogKind::pullup_failed || record.log_limit == 0)
        return {.write = !is_over_rate(record), .limit_reached = false};
    std::atomic_ref<std::uint32_t> logged(annotations_[record.slot].logged);
    const std::uint32_t before = logged.load(std::memory_order_relaxed);
    if (before >= record.log_limit || is_over_rate(record))
        return {};
    logged.store(before + 1, std::memory_order_relaxed);
    return {.write = true, .limit_reached = before + 1 == record.log_limit};
}

bool LogLimiter::is_over_rate(const contract::LogRecord& record) {
    constexpr std::uint64_t kDisorder = 60;  // as below
    constexpr std::size_t kNamedRules = 8;
    if (rate_ == 0)
        return false;
    seconds_.resize(annotations_.size());
    Second& second = seconds_[record.slot];
    const std::uint64_t now = record.time_ms / 1000;
    if (now > second.number || second.number - now >= kDisorder)
        second = {.number = now, .lines = 0};
    if (second.lines >= rate_) {
        ++left_out_.lines;
        return true;
    }
    std::vector<std::uint16_t>& rules = left_out_.rules;
    if (++second.lines == rate_ && record.kind == contract::LogKind::rule &&
        rules.size() < kNamedRules &&
        std::find(rules.begin(), rules.end(), record.rule_number) == rules.end())
        rules.push_back(record.rule_number);
    return false;
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
