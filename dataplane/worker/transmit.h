// Packets that a worker has for one port, sent together.
//
// Threads: one worker. A packet that the port does not take after a few attempts is dropped and
// counted: waiting longer would stop everything else that the worker does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "dataplane/contract/counters.h"

struct rte_mbuf;

namespace sluice::worker {

class TransmitBuffer {
  public:
    // `received_from` is the port that forwarded packets came in by.
    TransmitBuffer(std::uint16_t port, std::uint16_t queue, contract::WorkerCounters& counters,
                   contract::PortCounters& sent_by, contract::PortCounters& received_from)
        : port_(port),
          queue_(queue),
          counters_(&counters),
          sent_by_(&sent_by),
          received_from_(&received_from) {}

    // Takes the packet over.
    void push(rte_mbuf* packet);

    // The same for several, which have so many bytes in all. REQUIRES: packets.size() <= kCapacity.
    void push(std::span<rte_mbuf* const> packets, std::uint64_t bytes) {
        if (count_ + packets.size() > kCapacity)
            flush();
        std::copy(packets.begin(), packets.end(), packets_ + count_);
        count_ += static_cast<unsigned>(packets.size());
        bytes_ += bytes;
        if (count_ == kCapacity)
            flush();
    }

    void flush();

    static constexpr unsigned kCapacity = 64;

  private:
    static constexpr unsigned kAttempts = 4;

    std::uint16_t port_;
    std::uint16_t queue_;
    contract::WorkerCounters* counters_;
    contract::PortCounters* sent_by_;
    contract::PortCounters* received_from_;
    unsigned count_ = 0;
    std::uint64_t bytes_ = 0;  // of these
    rte_mbuf* packets_[kCapacity];
};

}  // namespace sluice::worker
