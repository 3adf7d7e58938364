// A packet as the engine sees it: the headers of one frame, parsed once, and the way it takes.
//
// Integers are in host byte order. Addresses are 16 bytes in network byte order; an IPv4 address is
// the first four, the rest is zero. The bytes of the frame are not owned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/address.h"
#include "dataplane/contract/drop_reason.h"
#include "dataplane/packet/environment.h"

namespace sluice::packet {

enum class Direction : std::uint8_t { in, out };

// Where the packet enters the rules.
enum class Entry : std::uint8_t {
    ip,      // routed: IP packets only; `layer2` and `MAC` never match
    layer2,  // a frame at Ethernet level: only allow, deny, count, skipto and log act
    bridge,  // a bridged frame: `layer2`/`bridged` and `MAC` match and every action acts
};

struct Passage {
    Direction direction = Direction::in;
    Entry entry = Entry::ip;
    InterfaceIndex receive_interface = kNoInterface;   // none: locally made
    InterfaceIndex transmit_interface = kNoInterface;  // none: not known or not leaving

    bool operator==(const Passage&) const = default;
};

namespace ip_flag {  // the three flag bits of IPv4, shifted down
inline constexpr std::uint8_t more_fragments = 1, dont_fragment = 2, reserved = 4;
}

struct Headers {
    const std::byte* frame = nullptr;
    std::uint32_t frame_length = 0;      // bytes, from the Ethernet header on
    std::uint16_t network_offset = 0;    // of the IP header in the frame
    std::uint16_t transport_offset = 0;  // of the upper-layer header in the frame; 0: none seen
    std::uint16_t ether_type = 0;        // behind all VLAN tags
    std::uint8_t ip_version = 0;         // 4, 6, or 0: not IP
    std::uint8_t protocol = 0;           // of the upper layer
    std::uint16_t ip_length = 0;         // total length, IPv6: payload + 40
    std::uint16_t ip_header_length = 0;  // IPv6: with extension headers
    std::uint8_t traffic_class = 0;      // TOS
    std::uint8_t ttl = 0;                // hop limit
    std::uint8_t ip_flags = 0;           // ip_flag
    std::uint8_t extension_headers = 0;  // contract bits of ext6hdr
    std::uint16_t fragment_offset = 0;   // bytes
    std::uint16_t source_port = 0;       // 0 where there is none
    std::uint16_t destination_port = 0;
    std::uint8_t tcp_flags = 0;
    std::uint8_t tcp_header_length = 0;  // bytes, as the header says
    std::uint8_t icmp_type = 0;          // ICMP and ICMPv6
    std::uint8_t icmp_code = 0;
    std::uint16_t tcp_window = 0;
    std::uint32_t tcp_sequence = 0;
    std::uint32_t tcp_acknowledgement = 0;
    std::uint32_t ip_id = 0;  // of the fragment header in IPv6
    std::uint32_t flow_label = 0;
    Ipv6 source;
    Ipv6 destination;

    bool more_fragments() const { return (ip_flags & ip_flag::more_fragments) != 0; }
    bool is_fragment() const { return fragment_offset != 0 || more_fragments(); }
    // Bytes that a rule counts: the IP length; for other frames what follows the Ethernet header.
    std::uint32_t counted_bytes() const {
        return ip_version != 0 ? ip_length : frame_length - network_offset;
    }
};

struct Packet {
    Headers headers;
    Passage passage;
    contract::DropReason malformed = contract::DropReason::none;  // then no rule sees it
    std::uint64_t sequence = 0;  // number in its worker; index in a replay
    std::uint64_t now_ms = 0;    // since 1970; since the start in a replay
    std::uint32_t uptime_s =
        0;  // of a clock that nobody sets; lifetimes of states are measured by it
};

}  // namespace sluice::packet
