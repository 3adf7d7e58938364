#include "dataplane/app/watchdog.h"

#include <algorithm>
#include <utility>

#include "dataplane/contract/counters.h"

namespace sluice::dataplane {

Watchdog::Watchdog(std::optional<std::chrono::microseconds> period,
                   std::vector<const std::uint64_t*> heartbeats, std::function<void()> alive)
    : heartbeats_(std::move(heartbeats)), last_(heartbeats_.size()), alive_(std::move(alive)) {
    if (!period)
        return;
    const auto quarter_ms = period->count() / 4000;
    interval_ms_ = static_cast<std::uint64_t>(std::max<std::int64_t>(quarter_ms, 1));
}

void Watchdog::tend(std::uint64_t now_ms) {
    if (interval_ms_ == 0 || now_ms - looked_ms_ < interval_ms_)
        return;
    looked_ms_ = now_ms;
    for (std::size_t i = 0; i < heartbeats_.size(); ++i)
        if (contract::read(*heartbeats_[i]) == last_[i])
            return;
    for (std::size_t i = 0; i < heartbeats_.size(); ++i)
        last_[i] = contract::read(*heartbeats_[i]);
    alive_();
}

}  // namespace sluice::dataplane
