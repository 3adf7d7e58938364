// How one worker forwards the frames of a learning bridge: to the port behind which their
// destination was seen last, or, if it was not seen, to all others, within a limit (IEEE 802.1D).
//
// The bridge takes no part in a spanning tree. It lets the frames of one pass to all ports, as a
// hub does, so that the switches around it see loops; other reserved groups (01:80:c2:00:00:01 to
// 0f: flow control, LACP, LLDP) end at the bridge.
//
// Threads: one worker.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/forward/token_bucket.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/sender.h"

struct rte_mbuf;

namespace sluice::worker {

class LearningBridge {
  public:
    // `flood_limit`: frames a second that are copied to all ports.
    LearningBridge(std::span<const WorkerPort> ports, contract::WorkerCounters& counters,
                   Sender& sender, std::uint64_t flood_limit)
        : ports_(ports), counters_(counters), sender_(sender), flood_(flood_limit, flood_limit) {}

    // Takes over a frame that came in by `port`, of a bridge, and that the rules have let pass.
    void forward(rte_mbuf* frame, std::uint16_t port, std::uint64_t now_ms, std::uint32_t uptime_s);

    // A frame of our own to a station of the bridge that `port` belongs to. False: nobody knows
    // where it is.
    bool send_to_station(std::span<const std::byte> frame, std::uint16_t port,
                         std::uint32_t uptime_s);

  private:
    void flood(rte_mbuf* frame, std::uint16_t port, std::uint64_t now_ms);

    std::span<const WorkerPort> ports_;
    contract::WorkerCounters& counters_;
    Sender& sender_;
    forward::TokenBucket flood_;
};

}  // namespace sluice::worker
