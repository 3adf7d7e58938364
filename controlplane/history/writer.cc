#include "controlplane/history/writer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "controlplane/ruleset/ruleset_difference.h"
#include "controlplane/ruleset/ruleset_text.h"

namespace sluice::history {

Result<std::unique_ptr<Writer>> Writer::start(Folder& folder) {
    UniqueFd done(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!done)
        return Error{ExitStatus::os, std::string("eventfd: ") + std::strerror(errno)};
    return std::unique_ptr<Writer>(new Writer(folder, std::move(done)));
}

Writer::Writer(Folder& folder, UniqueFd done) : folder_(folder), done_(std::move(done)) {
    thread_ = std::thread([this] { run(); });
}

Writer::~Writer() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Writer::begin(Job job) {
    {
        const std::lock_guard lock(mutex_);
        job_ = std::move(job);
        working_ = true;
    }
    changed_.notify_all();
}

std::optional<Outcome> Writer::take() {
    std::uint64_t count = 0;
    // Nothing to read is no error: whoever waited took it already.
    static_cast<void>(read(done_.get(), &count, sizeof count) == 0);
    const std::lock_guard lock(mutex_);
    return std::exchange(outcome_, std::nullopt);
}

void Writer::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !working_; });
}

void Writer::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return job_ || ends_; });
        if (!job_)
            return;
        Job job = std::move(*std::exchange(job_, std::nullopt));
        lock.unlock();
        if (job.before)
            job.write.entry.difference = ruleset::counts(ruleset::difference(
                ruleset::rules_in(*job.before), ruleset::rules_in(job.write.text)));
        Result<Done> done = carry_out(folder_, job.write);
        lock.lock();
        outcome_ = Outcome{std::move(job.write), std::move(done)};
        working_ = false;
        changed_.notify_all();
        const std::uint64_t one = 1;
        static_cast<void>(::write(done_.get(), &one, sizeof one) == sizeof one);
    }
}

}  // namespace sluice::history
