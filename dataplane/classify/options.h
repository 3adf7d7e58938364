// Walks over the option lists of IPv4 and TCP headers. Bounded by the header length; a malformed
// length ends the walk.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/packet/packet.h"

namespace sluice::classify {

// Bits of `ipoptions` (lsrr 1, ssrr 2, rr 4, ts 8) that the IPv4 header carries. None: the option
// list is malformed, or the packet is not IPv4.
std::optional<std::uint8_t> ip_option_bits(const packet::Headers& headers);

struct TcpOptions {
    std::uint8_t bits = 0;  // of `tcpoptions`: mss 1, window 2, sack 4, ts 8
    std::optional<std::uint16_t> maximum_segment_size;
};

// REQUIRES: the packet is TCP with its header seen (fragment offset 0). None: the header promises
// more bytes than the packet has.
std::optional<TcpOptions> tcp_options(const packet::Headers& headers);

}  // namespace sluice::classify
