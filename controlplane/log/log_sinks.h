// The places that log lines go to.
//
// Both are spdlog sinks behind one small interface, so that spdlog stays in one translation unit
// (it is slow to compile). A sink that cannot be opened or written never ends the daemon: it
// complains through `complain`, at most once in ten seconds, and goes on trying.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::log {

enum class Priority { debug, info, notice };

enum class Format {
    classic,  // as syslogd writes them: `Nov  9 21:12:18 HOST ipfw: 2060 Accept TCP …`
    json,     // each line an object (log_fields.h); nothing stands in front of it
};

class LogSink {
  public:
    virtual ~LogSink() = default;
    // A classic line begins with `ipfw: `. `time_ms` is that of the packet.
    virtual void write(std::string_view line, std::uint64_t time_ms, Priority priority) = 0;
    virtual void flush() = 0;
    // The file may have been renamed by logrotate(8): open it anew under its name.
    virtual void reopen() = 0;
    // How often writing has failed since the start; what was lost may be several lines each time.
    virtual std::uint64_t failures() const = 0;
};

using Complain = std::function<void(const std::string& sentence)>;

std::unique_ptr<LogSink> make_file_sink(std::string path, Complain complain,
                                        Format format = Format::classic);

// syslog(3), facility authpriv, identity `ipfw`, priority debug, info or notice.
std::unique_ptr<LogSink> make_syslog_sink(Complain complain);

// A classic line as a file has it.
std::string line_of_file(std::string_view line, std::uint64_t time_ms);

// `Nov  9 21:12:18`, local time, as in syslog.
std::string syslog_timestamp(std::uint64_t time_ms);

}  // namespace sluice::log
