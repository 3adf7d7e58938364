// Somebody watches packets: `ipfw capture`, `ipfw trace --live`. One at a time.
//
// While nobody does, a worker pays one relaxed load for each burst. Else packets that meet the
// filter are copied into the worker's ring (contract/capture_ring.h), as they were when the rules
// judged them; what finds no room there is counted, and nobody waits.
//
// Threads. The main thread writes the order while `serial` is 0 and no worker looks at it any more
// (Bridge::watch), and then `serial`. Workers read.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/contract/capture_ring.h"
#include "dataplane/contract/packet_filter.h"

namespace sluice::worker {

struct Watch {
    std::atomic<std::uint64_t> serial = 0;  // of the order; 0: nobody watches
    contract::PacketFilter filter;
    std::uint32_t snap_length = contract::kLongestCapture;
    std::vector<contract::CaptureRing> rings;  // by worker
};

}  // namespace sluice::worker
