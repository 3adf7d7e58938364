// One parser for bridge, gateway and replay: Ethernet (any number of VLAN tags up to 4), IPv4 with
// options, IPv6 with extension headers, TCP, UDP, UDP-Lite, SCTP, ICMP, ICMPv6.
//
// Every length is checked before the byte is read. What is not IP has ip_version 0 and is not an
// error. Sources: IEEE 802.1Q, RFC 791, 8200, 7112, 9293, 768, 3828, 9260, 792, 4443; semantics of
// drops from ipfw(8), "there is one kind of packet that the firewall will always discard".
#pragma once

#include <span>

#include "dataplane/packet/packet.h"

namespace sluice::packet {

struct ParserSettings {
    bool deny_unknown_extension_headers = true;  // net.inet6.ip6.fw.deny_unknown_exthdrs
    bool permit_single_fragment6 = true;         // net.inet6.ip6.fw.permit_single_frag6
};

// Fills `headers` from `frame` (starts at the Ethernet header, without FCS). The result names the
// reason why the packet must be dropped before any rule, or `none`. `headers` then holds what was
// read so far, enough for a log line. Bytes behind the IP length (Ethernet padding) are not looked
// at.
contract::DropReason parse_frame(std::span<const std::byte> frame, const ParserSettings& settings,
                                 Headers& headers);

}  // namespace sluice::packet
