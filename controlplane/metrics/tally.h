// What the control plane counts of its own doings, for the metrics.
//
// Threads: written by the event loop alone, read by any: relaxed loads and stores of single words.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/exit_status.h"

namespace sluice::metrics {

// What a request is called in metrics: by its operation, or `script` if it has several.
enum class RequestKind : std::uint8_t {
    add,
    remove,
    flush,
    zero,
    set,
    list,
    sysctl,
    state,
    table,
    pattern,
    script,
    safety,
    follow,
    history,
    count_
};
inline constexpr std::size_t kRequestKinds = static_cast<std::size_t>(RequestKind::count_);
inline constexpr std::array<std::string_view, kRequestKinds> kRequestNames = {
    "add",   "delete", "flush",   "zero",   "set",    "list",   "sysctl",
    "state", "table",  "pattern", "script", "safety", "follow", "history"};

class Count {
  public:
    void add(std::uint64_t n) { set(get() + n); }
    void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// Upper bounds of the durations in which rulesets take effect; behind them comes infinity.
inline constexpr std::array<double, 12> kApplySeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                         0.1,   0.25,   0.5,   1,    2.5,   10};

class Tally {
  public:
    // Every status that a daemon answers with has a place.
    static constexpr std::size_t kStatuses = 128;

    void request(RequestKind kind, ExitStatus status) {
        const auto code = static_cast<std::size_t>(status);
        requests_[static_cast<std::size_t>(kind)][code < kStatuses ? code : kStatuses - 1].add(1);
    }
    std::uint64_t requests(std::size_t kind, std::size_t status) const {
        return requests_[kind][status].get();
    }

    enum class Outcome : std::uint8_t { applied, failed };

    // A ruleset was offered to the data plane, or could not be.
    void apply(Outcome outcome, double seconds, double time_s);

    struct Apply {
        std::uint64_t applied = 0;
        std::uint64_t failed = 0;
        bool last_worked = false;
        double last_time_s = 0;  // since 1970
        double seconds = 0;      // of those that were applied, together
        std::array<std::uint64_t, kApplySeconds.size() + 1> buckets{};  // not cumulated
    };
    Apply apply() const;

    Count log_lines;
    Count log_write_errors;
    Count log_lines_left_out;  // by us; the workers count their own
    Count followers;
    Count follower_lines_lost;
    Count history_write_errors;  // rulesets that could not be written to the history
    Count capture_packets_lost;

  private:
    std::array<std::array<Count, kStatuses>, kRequestKinds> requests_;
    Count applied_, failed_, last_worked_, last_time_us_, microseconds_;
    std::array<Count, kApplySeconds.size() + 1> buckets_;
};

}  // namespace sluice::metrics
