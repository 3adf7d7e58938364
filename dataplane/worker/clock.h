// The clock that lifetimes of states are measured by: seconds since the machine started, which
// nobody sets; and milliseconds for what the main thread does. The coarse clocks are read without a
// system call on every machine.
#pragma once

#include <time.h>

#include <cstdint>

namespace sluice::worker {

inline std::uint32_t uptime_s() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<std::uint32_t>(now.tv_sec);
}

inline std::uint64_t uptime_ms() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

// Since 1970, of the clock that people set.
inline std::uint64_t wall_clock_ms() {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace sluice::worker
