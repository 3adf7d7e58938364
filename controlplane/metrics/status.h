// What the status page asks for again and again: what runs, as JSON.
//
//     {"schema": "sluice/status/1", "time_s", "started_s", "version", "dpdk", "dataplane",
//     "generation",
//      "foreign", "last_apply": {"worked", "time_s"} or null, "states": {"count", "unanswered",
//      "most", "made"} or null, "workers": [{"turns", "bursts", "generation"}], "ports": [{"name",
//      "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_drops"}], "rules": [{"number",
//      "set", "id", "text", "enabled", "packets", "bytes", "last_match_s"}], "drops": [{"reason",
//      "meaning", "packets"}], "tables": [{"name", "entries"}]}
//
// Rules count as `ipfw show` does, since they were zeroed last. Drops are those that there were.
#pragma once

#include <string>

#include "controlplane/metrics/collector.h"
#include "controlplane/metrics/tally.h"
#include "controlplane/metrics/view.h"

namespace sluice::metrics {

class Status {
  public:
    Status(Board& board, const Tally& tally, CollectorOptions options)
        : board_(board), tally_(tally), options_(std::move(options)), start_s_(options_.now_s()) {}

    // For any thread.
    std::string json() const;

  private:
    Board& board_;
    const Tally& tally_;
    CollectorOptions options_;
    double start_s_;
};

}  // namespace sluice::metrics
