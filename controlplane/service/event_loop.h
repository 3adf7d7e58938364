// One thread, one epoll(7), many file descriptors and timers.
//
// Everything that the control plane waits for comes through here, so no handler may block for long.
// A handler may watch, change and forget any descriptor, also its own; a forgotten one is not
// called any more, not even for events of the same round. The loop does not own descriptors.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice::service {

class EventLoop {
  public:
    using Clock = std::chrono::steady_clock;
    using Handler = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, …
    using Task = std::function<void()>;
    using TimerId = std::uint64_t;

    static Result<std::unique_ptr<EventLoop>> create();

    void watch(int fd, std::uint32_t events, Handler handler);
    // REQUIRES: fd is watched.
    void change(int fd, std::uint32_t events);
    void forget(int fd);

    // Once after `delay`, or every `period` until cancelled.
    TimerId after(Clock::duration delay, Task task);
    TimerId every(Clock::duration period, Task task);
    void cancel(TimerId timer);

    // Until `stop`.
    void run();
    void stop() { running_ = false; }

    // Waits for at most `timeout` for something to happen and deals with it.
    void turn(Clock::duration timeout);

  private:
    struct Watch {
        std::uint32_t serial = 0;  // tells apart two uses of the same descriptor number
        Handler handler;
    };
    struct Timer {
        TimerId id = 0;
        Clock::duration period{};
        Task task;
    };

    explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
    void run_timers();

    UniqueFd epoll_;
    bool running_ = false;
    std::uint32_t next_serial_ = 1;
    TimerId next_timer_ = 1;
    std::unordered_map<int, std::shared_ptr<Watch>> watches_;
    std::multimap<Clock::time_point, Timer> timers_;
};

}  // namespace sluice::service
