// Reads a capture file: classic pcap of either byte order, microseconds or nanoseconds, link type
// Ethernet. Read by us and not by libpcap because `ipfw` must start in a millisecond, and libpcap
// pulls a dozen libraries in.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/result.h"

namespace sluice::replay {

struct CapturedFrame {
    std::vector<std::byte> bytes;
};

// Frames are whole: a capture that cut them with a snap length is refused, for an engine that sees
// less than was sent answers something else.
Result<std::vector<CapturedFrame>> read_capture(const std::string& path);

}  // namespace sluice::replay
