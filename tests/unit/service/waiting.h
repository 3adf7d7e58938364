// For tests that wait for what an event loop brings.
#pragma once

#include <chrono>

#include "controlplane/service/event_loop.h"

namespace sluice::service {

// Turns the loop until the condition holds. False: it does not within ten seconds.
template <typename Condition>
bool wait_for(EventLoop& loop, Condition condition) {
    const auto end = EventLoop::Clock::now() + std::chrono::seconds(10);
    while (!condition() && EventLoop::Clock::now() < end)
        loop.turn(std::chrono::milliseconds(10));
    return condition();
}

}  // namespace sluice::service
