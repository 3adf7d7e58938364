// From log rings to log lines.
//
// `drain` empties the rings in turn, at most kMaximumPerRing records of each, so that a flood of
// log lines cannot keep the daemon from its other work; what does not fit waits in the ring, or is
// dropped and counted there. Limits are enforced exactly (log_limiter.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "controlplane/log/log_limiter.h"
#include "controlplane/log/log_sinks.h"
#include "dataplane/contract/log_ring.h"

namespace sluice::log {

inline constexpr std::size_t kMaximumPerRing = 4096;

class LogWriter {
  public:
    // `sinks` get every line but those of rules with `logdst syslog`, which `syslog` gets.
    explicit LogWriter(std::vector<std::unique_ptr<LogSink>> sinks,
                       std::unique_ptr<LogSink> syslog = nullptr)
        : sinks_(std::move(sinks)), syslog_(std::move(syslog)) {}

    // Returns the number of records taken out of the rings.
    std::size_t drain(std::span<contract::LogRing> rings, LogLimiter& limiter,
                      std::span<const std::string> interface_names);

    // A line that no packet caused.
    void note(const std::string& line, std::uint64_t time_ms);

    void reopen();

    // Written since the start.
    std::uint64_t lines() const { return lines_; }

  private:
    void write(std::string_view line, std::uint64_t time_ms, Priority priority);
    void write(std::string_view line, const contract::LogRecord& cause, Priority priority);

    std::vector<std::unique_ptr<LogSink>> sinks_;
    std::uint64_t lines_ = 0;
    std::unique_ptr<LogSink> syslog_;
};

}  // namespace sluice::log
