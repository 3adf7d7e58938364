#include "controlplane/log/log_writer.h"

#include "controlplane/log/log_line.h"

namespace sluice::log {

namespace {

// As in the original, where a limit that is reached is nothing that an operator has to see.
Priority priority_of(const contract::LogRecord& record) {
    return record.kind == contract::LogKind::state_limit ? Priority::debug : Priority::info;
}

}  // namespace

std::size_t LogWriter::drain(std::span<contract::LogRing> rings, LogLimiter& limiter,
                             std::span<const std::string> interface_names) {
    std::size_t taken = 0;
    for (contract::LogRing& ring : rings) {
        contract::LogRecord record;
        for (std::size_t n = 0; n < kMaximumPerRing && ring.pop(record); ++n) {
            ++taken;
            const LogDecision decision = limiter.admit(record);
            if (decision.write)
                write(format_line(record, interface_names), record, priority_of(record));
            if (decision.limit_reached)
                write(format_limit_notice(record), record, Priority::notice);
        }
    }
    if (taken != 0)
        for (const auto& sink : sinks_)
            sink->flush();
    return taken;
}

void LogWriter::write(std::string_view line, std::uint64_t time_ms, Priority priority) {
    ++lines_;
    for (const auto& sink : sinks_)
        sink->write(line, time_ms, priority);
}

void LogWriter::write(std::string_view line, const contract::LogRecord& cause, Priority priority) {
    if ((cause.flags & contract::log_flag::syslog) == 0) {
        write(line, cause.time_ms, priority);
    } else if (syslog_) {
        ++lines_;
        syslog_->write(line, cause.time_ms, priority);
    }
}

void LogWriter::note(const std::string& line, std::uint64_t time_ms) {
    write(line, time_ms, Priority::notice);
    for (const auto& sink : sinks_)
        sink->flush();
}

void LogWriter::reopen() {
    for (const auto& sink : sinks_)
        sink->reopen();
}

}  // namespace sluice::log
