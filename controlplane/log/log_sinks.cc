#include "controlplane/log/log_sinks.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <optional>

namespace sluice::log {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kComplaintInterval{10};
constexpr std::chrono::seconds kRetryInterval{1};
constexpr std::string_view kIdentity = "ipfw: ";

// Passes one complaint on in ten seconds.
class RareComplaint {
  public:
    explicit RareComplaint(Complain complain) : complain_(std::move(complain)) {}

    void operator()(const std::string& sentence) {
        const auto now = Clock::now();
        if (last_ && now - *last_ < kComplaintInterval)
            return;
        last_ = now;
        complain_(sentence);
    }

  private:
    Complain complain_;
    std::optional<Clock::time_point> last_;
};

// The name of this host up to the first dot, as syslogd writes it.
std::string host_name() {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        return "localhost";
    const std::string full = name;
    return full.substr(0, full.find('.'));
}

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink, RareComplaint& complaint,
                                            std::uint64_t& failures, std::string place) {
    auto logger = std::make_shared<spdlog::logger>("ipfw", std::move(sink));
    logger->set_pattern("%v");
    logger->set_error_handler(
        [&complaint, &failures, place = std::move(place)](const std::string& reason) {
            ++failures;
            complaint("cannot write log lines to " + place + ": " + reason);
        });
    logger->set_level(spdlog::level::debug);
    return logger;
}

spdlog::level::level_enum level_of(Priority priority) {
    switch (priority) {
        case Priority::debug:
            return spdlog::level::debug;
        case Priority::info:
            break;
        case Priority::notice:
            return spdlog::level::warn;
    }
    return spdlog::level::info;
}

class FileSink final : public LogSink {
  public:
    FileSink(std::string path, Complain complain, Format format)
        : path_(std::move(path)),
          format_(format),
          host_(host_name()),
          complaint_(std::move(complain)) {
        open();
    }

    void write(std::string_view line, std::uint64_t time_ms, Priority priority) override {
        if (!logger_ && Clock::now() >= next_try_)
            open();
        if (!logger_) {
            ++failures_;
            return;
        }
        if (format_ == Format::json)
            return logger_->log(level_of(priority), "{}", line);
        if (time_ms / 1000 != stamp_second_ || stamp_.empty()) {
            stamp_second_ = time_ms / 1000;
            stamp_ = syslog_timestamp(time_ms);
        }
        logger_->log(level_of(priority), "{} {} {}", stamp_, host_, line);
    }

    void flush() override {
        if (logger_)
            logger_->flush();
    }

    void reopen() override {
        logger_.reset();
        open();
    }

    std::uint64_t failures() const override { return failures_; }

  private:
    // Opening a pipe waits for its reader, and the daemon with it.
    bool is_pipe() const {
        struct stat status {};
        return stat(path_.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
    }

    void refuse(const std::string& reason) {
        complaint_("cannot open the log file " + path_ + ": " + reason +
                   "; log lines are not written to it until it can be opened");
        next_try_ = Clock::now() + kRetryInterval;
    }

    // spdlog throws when it cannot open a file: this is where that ends.
    void open() {
        if (is_pipe())
            return refuse("it is a pipe, not a file");
        try {
            logger_ = make_logger(std::make_shared<spdlog::sinks::basic_file_sink_st>(path_),
                                  complaint_, failures_, path_);
        } catch (const spdlog::spdlog_ex& problem) {
            refuse(problem.what());
        }
    }

    std::string path_;
    Format format_;
    std::string host_;
    RareComplaint complaint_;
    std::uint64_t failures_ = 0;
    std::shared_ptr<spdlog::logger> logger_;
    Clock::time_point next_try_;
    std::uint64_t stamp_second_ = 0;
    std::string stamp_;
};

int syslog_priority(spdlog::level::level_enum level) {
    if (level == spdlog::level::warn)
        return LOG_NOTICE;
    return level == spdlog::level::debug ? LOG_DEBUG : LOG_INFO;
}

// spdlog's own syslog sink has no level that becomes LOG_NOTICE, which the limit notice needs.
class AuthprivSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    AuthprivSink() { openlog("ipfw", LOG_NDELAY, LOG_AUTHPRIV); }
    ~AuthprivSink() override { closelog(); }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        syslog(LOG_AUTHPRIV | syslog_priority(message.level), "%.*s",
               static_cast<int>(message.payload.size()), message.payload.data());
    }
    void flush_() override {}
};

class SyslogSink final : public LogSink {
  public:
    explicit SyslogSink(Complain complain)
        : complaint_(std::move(complain)),
          logger_(make_logger(std::make_shared<AuthprivSink>(), complaint_, failures_, "syslog")) {}

    void write(std::string_view line, std::uint64_t, Priority priority) override {
        // syslogd puts the identity in front itself.
        if (line.starts_with(kIdentity))
            line.remove_prefix(kIdentity.size());
        logger_->log(level_of(priority), "{}", line);
    }
    void flush() override {}
    void reopen() override {}
    std::uint64_t failures() const override { return failures_; }

  private:
    RareComplaint complaint_;
    std::uint64_t failures_ = 0;
    std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace

std::unique_ptr<LogSink> make_file_sink(std::string path, Complain complain, Format format) {
    return std::make_unique<FileSink>(std::move(path), std::move(complain), format);
}

std::unique_ptr<LogSink> make_syslog_sink(Complain complain) {
    return std::make_unique<SyslogSink>(std::move(complain));
}

std::string line_of_file(std::string_view line, std::uint64_t time_ms) {
    static const std::string host = host_name();
    return syslog_timestamp(time_ms) + " " + host + " " + std::string(line);
}

std::string syslog_timestamp(std::uint64_t time_ms) {
    const auto seconds = static_cast<std::time_t>(time_ms / 1000);
    std::tm local{};
    char text[32] = {};
    if (localtime_r(&seconds, &local) == nullptr ||
        std::strftime(text, sizeof text, "%b %e %H:%M:%S", &local) == 0)
        return "Jan  1 00:00:00";
    return text;
}

}  // namespace sluice::log
