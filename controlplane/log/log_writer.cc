#include "controlplane/log/log_writer.h"

#include "controlplane/log/log_fields.h"
#include "controlplane/log/log_line.h"

namespace sluice::log {

namespace {

// As in the original, where a limit that is reached is nothing that an operator has to see.
Priority priority_of(const contract::LogRecord& record) {
    return record.kind == contract::LogKind::state_limit ? Priority::debug : Priority::info;
}

}  // namespace

std::string json_of(const LogEntry& entry) {
    return entry.tells_cause ? json_line(*entry.cause, entry.interface_names)
                             : json_note(std::string(entry.line), entry.time_ms);
}

std::size_t LogWriter::drain(std::span<contract::LogRing> rings, LogLimiter& limiter,
                             std::span<const std::string> interface_names) {
    std::size_t taken = 0;
    for (contract::LogRing& ring : rings) {
        contract::LogRecord record;
        for (std::size_t n = 0; n < kMaximumPerRing && ring.pop(record); ++n) {
            ++taken;
            const LogDecision decision = limiter.admit(record);
            if (decision.write)
                write({.line = format_line(record, interface_names),
                       .time_ms = record.time_ms,
                       .cause = &record,
                       .tells_cause = true,
                       .interface_names = interface_names},
                      priority_of(record));
            if (decision.limit_reached)
                write({.line = format_limit_notice(record),
                       .time_ms = record.time_ms,
                       .cause = &record},
                      Priority::notice);
        }
    }
    if (taken != 0)
        for (const auto& sink : sinks_)
            sink->flush();
    return taken;
}

void LogWriter::write(const LogEntry& entry, Priority priority) {
    if (onlooker_)
        onlooker_(entry);
    const std::string text = format_ == Format::json ? json_of(entry) : std::string(entry.line);
    const bool to_syslog_alone =
        entry.cause != nullptr && (entry.cause->flags & contract::log_flag::syslog) != 0;
    if (!to_syslog_alone) {
        ++lines_;
        for (const auto& sink : sinks_)
            sink->write(text, entry.time_ms, priority);
    } else if (syslog_) {
        ++lines_;
        syslog_->write(text, entry.time_ms, priority);
    }
}

void LogWriter::note(const std::string& sentence, std::uint64_t time_ms) {
    // It may quote a rule, whose comment may hold anything.
    const std::string line = printable(sentence);
    write({.line = line, .time_ms = time_ms}, Priority::notice);
    for (const auto& sink : sinks_)
        sink->flush();
}

std::uint64_t LogWriter::failures() const {
    std::uint64_t failures = syslog_ ? syslog_->failures() : 0;
    for (const auto& sink : sinks_)
        failures += sink->failures();
    return failures;
}

void LogWriter::reopen() {
    for (const auto& sink : sinks_)
        sink->reopen();
}

}  // namespace sluice::log
