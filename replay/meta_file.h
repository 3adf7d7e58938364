// What a capture does not say about its packets: `index,direction,recv_if,xmit_if,time_ms`, one
// line a packet in the order of the capture, with a heading. Directions: in, out, l2in, l2out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/packet/packet.h"

namespace sluice::replay {

struct PacketMeta {
    packet::Passage passage;
    std::uint64_t time_ms = 0;
};

// Errors name the line. Interfaces must stand in `environment`.
Result<std::vector<PacketMeta>> parse_meta(std::string_view text, const std::string& origin,
                                           const packet::Environment& environment);

}  // namespace sluice::replay
