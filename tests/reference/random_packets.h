// Random packets, drawn at the corners of the rules that they will meet: the ends of every range
// and network and one beyond, the flags that a rule wants and the same with one bit turned, and of
// course fragments, odd headers, truncated and broken frames.
#pragma once

#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/packet/packet.h"
#include "tests/reference/frame.h"
#include "tests/reference/random_source.h"

namespace sluice::reference {

struct RandomPacket {
    Frame frame;
    packet::Passage passage;
};

// Values at which some rule changes its mind.
struct Corners {
    std::vector<Ipv4> v4;
    std::vector<Ipv6> v6;
    std::vector<std::uint16_t> ports;
    std::vector<std::uint8_t> protocols;
    std::vector<std::uint8_t> tcp_flags;
    std::vector<std::uint32_t> numbers;  // lengths, ids, TTLs, windows, types …
    std::vector<MacAddress> macs;
};

Corners corners_of(const std::vector<language::Rule>& rules, Random& random);

RandomPacket random_packet(Random& random, const Corners& corners, unsigned interface_count);

}  // namespace sluice::reference
