// Tells the service manager that the data plane lives: as long as every worker does.
//
// A worker adds one to its heartbeat with every turn of its poll loop (contract/counters.h). The
// main thread looks at all of them four times in a period, and says WATCHDOG=1 only when each has
// moved since it said so last. One worker that hangs is thus enough to be restarted, and so is a
// main thread that hangs, as it does not come here. A worker that has nothing to do turns all the
// same.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace sluice::dataplane {

class Watchdog {
  public:
    // No period: nobody waits for anything.
    Watchdog(std::optional<std::chrono::microseconds> period,
             std::vector<const std::uint64_t*> heartbeats, std::function<void()> alive);

    void tend(std::uint64_t now_ms);

  private:
    std::uint64_t interval_ms_ = 0;  // 0: never
    std::uint64_t looked_ms_ = 0;
    std::vector<const std::uint64_t*> heartbeats_;
    std::vector<std::uint64_t> last_;  // when we said so last
    std::function<void()> alive_;
};

}  // namespace sluice::dataplane
