#include "dataplane/worker/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

namespace sluice::worker {

namespace {

// Lines may come from any of DPDK's threads.
struct LogSink {
    std::mutex mutex;
    std::string line;  // not ended yet
    std::string first;
    bool print = false;
};

LogSink& log_sink() {
    static LogSink sink;
    return sink;
}

ssize_t write_log(void*, const char* text, std::size_t length) {
    LogSink& sink = log_sink();
    const std::lock_guard lock(sink.mutex);
    for (char c : std::string_view(text, length)) {
        if (c != '\n') {
            sink.line += c;
            continue;
        }
        if (sink.print)
            std::fprintf(stderr, "DPDK: %s\n", sink.line.c_str());
        if (sink.first.empty())
            sink.first = sink.line;
        sink.line.clear();
    }
    return static_cast<ssize_t>(length);
}

bool redirect_log() {
    cookie_io_functions_t functions{};
    functions.write = write_log;
    FILE* stream = fopencookie(nullptr, "w", functions);
    if (stream == nullptr)
        return false;
    std::setvbuf(stream, nullptr, _IOLBF, 0);
    return rte_openlog_stream(stream) == 0;
}

}  // namespace

std::string take_dpdk_message() {
    LogSink& sink = log_sink();
    const std::lock_guard lock(sink.mutex);
    return std::exchange(sink.first, {});
}

void print_dpdk_messages(bool print) {
    LogSink& sink = log_sink();
    const std::lock_guard lock(sink.mutex);
    sink.print = print;
}

Result<Eal> Eal::start(const std::vector<std::string>& arguments) {
    redirect_log();
    // DPDK permutes the pointers and may write into the texts.
    std::vector<std::string> texts{"sluice-dataplane"};
    texts.insert(texts.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(texts.size()), pointers.data()) >= 0)
        return Eal();
    std::string sentence = "DPDK does not start: ";
    sentence += rte_strerror(rte_errno);
    if (const std::string detail = take_dpdk_message(); !detail.empty())
        sentence += " (" + detail + ")";
    return Error{ExitStatus::os, sentence};
}

const char* dpdk_version() {
    return rte_version();
}

Eal::Eal(Eal&& other) noexcept : running_(std::exchange(other.running_, false)) {}

Eal::~Eal() {
    if (running_)
        rte_eal_cleanup();
}

}  // namespace sluice::worker
