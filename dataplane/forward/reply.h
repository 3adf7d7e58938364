// What `reject`, `unreach`, `unreach6`, `reset`, `reset6`, `abort` and `abort6` send back: an ICMP
// or ICMPv6 destination unreachable, a TCP reset, or an SCTP abort.
//
// And what a router tells the sender of a packet that it cannot forward (RFC 1812, RFC 4443).
//
// On bytes; a whole Ethernet frame comes out, to be sent by the port that the packet came in by. It
// goes to the packet's sender. An ICMP error comes from the router's own address where one is
// given; without, and with every reset, the answer claims to come from the packet's destination, as
// a bridge has no address. VLAN tags stay as they were. Nothing is sent (RFC 1122 §3.2.2, RFC 4443
// §2.4, and what ipfw does) in answer to
//   - anything but the first fragment,
//   - ICMP and ICMPv6 messages that are not queries: errors never answer errors,
//   - link-layer broadcast and multicast, multicast destinations,
//   - senders that are no single host: multicast, broadcast, the unspecified address.
// A reset answers TCP segments without RST only, an abort SCTP packets whose first chunk is no ABORT
// (RFC 9260 §8.4): by the tag of an INIT, else by the packet's own with the T bit. As in ipfw, `unreach` and `reset` answer both
// families, `unreach6`, `reset6` and `abort6` drop IPv4 without a word. `unreach` on an IPv6 packet sends the
// ICMPv6 code that RFC 7915 §4.2 gives for its code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/packet/packet.h"
#include "dataplane/program/engine.h"

namespace sluice::forward {

// Bytes behind the IP header that an ICMP error quotes: enough for the ports (RFC 792).
inline constexpr std::size_t kQuotedPayload = 8;
// An ICMPv6 error quotes what fits into the least MTU (RFC 4443 §2.4).
inline constexpr std::size_t kMinimumMtu6 = 1280;
// No reply is longer: Ethernet header, four VLAN tags, the IPv6 packet.
inline constexpr std::size_t kMaximumReply = 14 + 4 * 4 + kMinimumMtu6;

// Writes the answer to `packet` into `out` and returns its length in bytes, 0 if there is none.
// The frame must still be there, and parse_frame must have called it good.
// `own` is the router's address in the family of the packet; IPv4 in the first four bytes.
// REQUIRES: out.size() >= kMaximumReply.
std::size_t build_reply(const packet::Packet& packet, const program::Verdict& verdict,
                        std::span<std::byte> out, const std::optional<Ipv6>& own = {});

// Why a router gives a packet back.
enum class Obstacle : std::uint8_t {
    none,
    hop_limit,             // its TTL is used up
    too_big,               // longer than the MTU of the way on, and must not be cut
    no_route,              // to its destination
    host_unreachable,      // the next hop does not answer, or a route says so
    prohibited,            // a route says so
    source_route_refused,  // IPv4: it asks to be routed by its own list
    beyond_scope,          // IPv6: a link-local source wants to leave its link
};

// The same for what cannot be forwarded; `mtu` belongs to `too_big`. Any ICMP message but an error
// may be answered here: nobody's rule refused it.
std::size_t build_error(const packet::Packet& packet, Obstacle obstacle, std::uint16_t mtu,
                        std::span<std::byte> out, const std::optional<Ipv6>& own);

// The ICMPv6 destination unreachable code for an ICMP one, RFC 7915 §4.2.
std::uint8_t unreach6_code(std::uint16_t icmp_code);

}  // namespace sluice::forward
