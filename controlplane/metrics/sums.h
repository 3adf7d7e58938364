// Sums of one counter over the workers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "controlplane/metrics/view.h"

namespace sluice::metrics {

class Sums {
  public:
    explicit Sums(const Counters& counters) : counters_(counters) {}

    std::uint64_t of(std::uint64_t contract::WorkerCounters::*field) const {
        std::uint64_t sum = 0;
        for (const contract::WorkerCounters* worker : counters_.workers)
            sum += contract::read(worker->*field);
        return sum;
    }
    std::uint64_t of_port(std::size_t port, std::uint64_t contract::PortCounters::*field) const {
        std::uint64_t sum = 0;
        for (const contract::WorkerCounters* worker : counters_.workers)
            sum += contract::read(worker->ports[port].*field);
        return sum;
    }
    std::uint64_t of_drops(std::size_t reason) const {
        std::uint64_t sum = 0;
        for (const contract::WorkerCounters* worker : counters_.workers)
            sum += contract::read(worker->drops[reason]);
        return sum;
    }
    std::uint64_t of_payload_skips(std::size_t reason) const {
        std::uint64_t sum = 0;
        for (const contract::WorkerCounters* worker : counters_.workers)
            sum += contract::read(worker->payload_skips[reason]);
        return sum;
    }

  private:
    const Counters& counters_;
};

}  // namespace sluice::metrics
