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

Result<std::vector<CapturedFrame>> read_capture(const std::string& path);

}  // namespace sluice::replay
