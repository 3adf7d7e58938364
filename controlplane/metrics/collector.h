// From what there is to be seen (view.h, tally.h) to metric families.
//
// Names and labels are promises to dashboards and alerts: a name is never given another meaning,
// and no label has a value that traffic could choose. Counters of rules know no `ipfw zero`: they
// count from when the rule was added. What belongs to the data plane is left out while it is not
// there, rather than shown as zero. Threads: `collect` may be called by any number of them at the
// same time.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/settings.h"
#include "controlplane/metrics/families.h"
#include "controlplane/metrics/tally.h"
#include "controlplane/metrics/view.h"

namespace sluice::metrics {

double wall_clock_seconds();

// With `rules = "auto"` more rules than this have series only if they log, count or are named.
inline constexpr std::size_t kRulesWithSeries = 2000;

struct CollectorOptions {
    config::RuleMetrics rules = config::RuleMetrics::automatic;
    std::string version;
    double (*now_s)() = wall_clock_seconds;  // since 1970
};

class Collector {
  public:
    Collector(Board& board, const Tally& tally, CollectorOptions options);

    std::vector<prometheus::MetricFamily> collect();

  private:
    // When the turns of each worker were last seen to go on. Whoever collects brings it up to date.
    std::vector<double> heartbeats(const Counters& counters);

    Board& board_;
    const Tally& tally_;
    CollectorOptions options_;
    double start_s_;

    struct Heartbeat {
        std::uint64_t turns = 0;
        double seen_s = 0;
    };
    std::mutex mutex_;                   // guards what follows
    std::weak_ptr<const void> mapping_;  // that the heartbeats are of
    std::vector<Heartbeat> heartbeats_;
};

// The exposition format of Prometheus, version 0.0.4.
std::string exposition(const std::vector<prometheus::MetricFamily>& families);

}  // namespace sluice::metrics
