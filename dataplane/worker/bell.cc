#include "dataplane/worker/bell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace sluice::worker {

Result<Bell> Bell::create() {
    UniqueFd descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!descriptor)
        return Error{ExitStatus::os,
                     std::string("an eventfd cannot be made: ") + std::strerror(errno)};
    return Bell(std::move(descriptor));
}

Bell::Bell(UniqueFd descriptor)
    : descriptor_(std::move(descriptor)), sleeps_(new std::atomic<bool>(false)) {}

void Bell::wake() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleeps_->load(std::memory_order_relaxed) && sleeps_->exchange(false))
        ring();
}

void Bell::ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(descriptor_.get(), &one, sizeof one);
}

void Bell::about_to_sleep() {
    sleeps_->store(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Bell::awake() {
    sleeps_->store(false);
    std::uint64_t rung = 0;
    [[maybe_unused]] const ssize_t length = read(descriptor_.get(), &rung, sizeof rung);
}

}  // namespace sluice::worker
