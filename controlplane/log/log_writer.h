// From log rings to log lines.
//
// `drain` empties the rings in turn, at most kMaximumPerRing records of each, so that a flood of
// log lines cannot keep the daemon from its other work; what does not fit waits in the ring, or is
// dropped and counted there. Limits are enforced exactly (log_limiter.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "controlplane/log/log_limiter.h"
#include "controlplane/log/log_sinks.h"
#include "dataplane/contract/log_ring.h"

namespace sluice::log {

inline constexpr std::size_t kMaximumPerRing = 4096;

// What is being logged, for somebody who looks on.
struct LogEntry {
    std::string_view line;  // a classic one
    std::uint64_t time_ms = 0;
    const contract::LogRecord* cause = nullptr;  // none: no packet caused it
    bool tells_cause = false;                    // the line is that of the record
    std::span<const std::string> interface_names = {};
};
std::string json_of(const LogEntry& entry);

class LogWriter {
  public:
    // `sinks` get every line but those of rules with `logdst syslog`, which `syslog` gets.
    explicit LogWriter(std::vector<std::unique_ptr<LogSink>> sinks,
                       std::unique_ptr<LogSink> syslog = nullptr, Format format = Format::classic)
        : sinks_(std::move(sinks)), syslog_(std::move(syslog)), format_(format) {}

    // Is called for every line, wherever it goes; one that looks on at a time.
    using Onlooker = std::function<void(const LogEntry&)>;
    void show_to(Onlooker onlooker) { onlooker_ = std::move(onlooker); }

    // Returns the number of records taken out of the rings.
    std::size_t drain(std::span<contract::LogRing> rings, LogLimiter& limiter,
                      std::span<const std::string> interface_names);

    // A line that no packet caused.
    void note(const std::string& sentence, std::uint64_t time_ms);

    void reopen();

    // Written since the start.
    std::uint64_t lines() const { return lines_; }
    // How often that failed, at any of their places.
    std::uint64_t failures() const;

  private:
    void write(const LogEntry& entry, Priority priority);

    std::vector<std::unique_ptr<LogSink>> sinks_;
    std::uint64_t lines_ = 0;
    std::unique_ptr<LogSink> syslog_;
    Format format_;
    Onlooker onlooker_;
};

}  // namespace sluice::log
