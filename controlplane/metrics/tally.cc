#include "controlplane/metrics/tally.h"

#include <algorithm>

namespace sluice::metrics {
namespace {

constexpr double kMicro = 1e6;

}  // namespace

void Tally::apply(Outcome outcome, double seconds, double time_s) {
    last_worked_.set(outcome == Outcome::applied ? 1 : 0);
    last_time_us_.set(static_cast<std::uint64_t>(time_s * kMicro));
    if (outcome == Outcome::failed)
        return failed_.add(1);
    const auto bucket = std::lower_bound(kApplySeconds.begin(), kApplySeconds.end(), seconds);
    buckets_[static_cast<std::size_t>(bucket - kApplySeconds.begin())].add(1);
    microseconds_.add(static_cast<std::uint64_t>(seconds * kMicro));
    applied_.add(1);
}

Tally::Apply Tally::apply() const {
    Apply result{.applied = applied_.get(),
                 .failed = failed_.get(),
                 .last_worked = last_worked_.get() != 0,
                 .last_time_s = static_cast<double>(last_time_us_.get()) / kMicro,
                 .seconds = static_cast<double>(microseconds_.get()) / kMicro};
    for (std::size_t i = 0; i < buckets_.size(); ++i)
        result.buckets[i] = buckets_[i].get();
    return result;
}

}  // namespace sluice::metrics
