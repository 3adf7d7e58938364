#include "controlplane/service/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::service {
namespace {

std::uint64_t key(int fd, std::uint32_t serial) {
    return std::uint64_t{serial} << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll)
        return Error{ExitStatus::os, std::string("epoll_create1: ") + std::strerror(errno)};
    return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll)));
}

void EventLoop::watch(int fd, std::uint32_t events, Handler handler) {
    auto watch = std::make_shared<Watch>();
    watch->serial = next_serial_++;
    watch->handler = std::move(handler);
    epoll_event event{};
    event.events = events;
    event.data.u64 = key(fd, watch->serial);
    // Fails only for descriptors that cannot be polled or when the kernel has no memory left; the
    // deadlines of the callers end what would wait for ever then.
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    watches_[fd] = std::move(watch);
}

void EventLoop::change(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key(fd, watches_.at(fd)->serial);
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::forget(int fd) {
    if (watches_.erase(fd) != 0)
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::after(Clock::duration delay, Task task) {
    const TimerId id = next_timer_++;
    timers_.emplace(Clock::now() + delay,
                    Timer{.id = id, .period = Clock::duration::zero(), .task = std::move(task)});
    return id;
}

EventLoop::TimerId EventLoop::every(Clock::duration period, Task task) {
    const TimerId id = next_timer_++;
    timers_.emplace(Clock::now() + period,
                    Timer{.id = id, .period = period, .task = std::move(task)});
    return id;
}

void EventLoop::cancel(TimerId timer) {
    const auto at = std::find_if(timers_.begin(), timers_.end(),
                                 [&](const auto& entry) { return entry.second.id == timer; });
    if (at != timers_.end())
        timers_.erase(at);
}

void EventLoop::run_timers() {
    const auto now = Clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        auto node = timers_.extract(timers_.begin());
        const Task task = node.mapped().task;
        if (node.mapped().period != Clock::duration::zero()) {
            // From now, not from when it was due: a stall is not followed by a burst.
            node.key() = now + node.mapped().period;
            timers_.insert(std::move(node));
        }
        task();
    }
}

void EventLoop::turn(Clock::duration timeout) {
    using std::chrono::milliseconds;
    if (!timers_.empty())
        timeout = std::clamp(timers_.begin()->first - Clock::now(), Clock::duration::zero(),
                             std::max(timeout, Clock::duration::zero()));
    std::array<epoll_event, 64> events;
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                             static_cast<int>(std::chrono::ceil<milliseconds>(timeout).count()));
    for (int i = 0; i < n; ++i) {
        const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
        const auto at = watches_.find(static_cast<int>(data & 0xffffffff));
        if (at == watches_.end() || at->second->serial != data >> 32)
            continue;
        const std::shared_ptr<Watch> watch = at->second;  // the handler may forget itself
        watch->handler(events[static_cast<std::size_t>(i)].events);
    }
    run_timers();
}

void EventLoop::run() {
    running_ = true;
    while (running_)
        turn(std::chrono::seconds(1));
}

}  // namespace sluice::service
