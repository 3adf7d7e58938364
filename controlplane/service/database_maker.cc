#include "controlplane/service/database_maker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace sluice::service {

Result<std::unique_ptr<DatabaseMaker>> DatabaseMaker::start() {
    UniqueFd done(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!done)
        return Error{ExitStatus::os, std::string("eventfd: ") + std::strerror(errno)};
    return std::unique_ptr<DatabaseMaker>(new DatabaseMaker(std::move(done)));
}

DatabaseMaker::DatabaseMaker(UniqueFd done) : done_(std::move(done)) {
    thread_ = std::thread([this] { run(); });
}

DatabaseMaker::~DatabaseMaker() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void DatabaseMaker::begin(std::vector<patterns::DatabaseOrder> orders) {
    {
        const std::lock_guard lock(mutex_);
        orders_ = std::move(orders);
    }
    changed_.notify_all();
}

std::optional<std::vector<DatabaseMaker::Made>> DatabaseMaker::take() {
    std::uint64_t count = 0;
    // Nothing to read is no error: whoever waited took it already.
    static_cast<void>(read(done_.get(), &count, sizeof count) == 0);
    const std::lock_guard lock(mutex_);
    return std::exchange(made_, std::nullopt);
}

void DatabaseMaker::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return orders_ || ends_; });
        if (ends_)
            return;
        const std::vector<patterns::DatabaseOrder> orders =
            std::move(*std::exchange(orders_, std::nullopt));
        std::vector<Made> made;
        for (const patterns::DatabaseOrder& order : orders) {
            if (ends_)
                return;
            lock.unlock();
            made.push_back(patterns::make_database(order));
            lock.lock();
        }
        made_ = std::move(made);
        const std::uint64_t one = 1;
        static_cast<void>(::write(done_.get(), &one, sizeof one) == sizeof one);
    }
}

}  // namespace sluice::service
