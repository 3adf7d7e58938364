// A packet as an operator writes it, for `ipfw trace`:
//
//     [in|out] [INTERFACE] [recv INTERFACE] PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT] [WORD …]
//
// An IPv6 address with a port stands in brackets. PROTOCOL is a name or a number; WORD is one of
// `S`, `SA`, `none`… (TCP flags, letters of FSRPAU), `type N`, `code N` (ICMP), `ttl N`, `tos N`,
// `id N`, `len N` (bytes of the IP packet), `frag OFFSET[+]` (bytes; +: more follow), `vlan N`,
// `bridged`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/address.h"
#include "controlplane/language/parse_error.h"

namespace sluice::language {

struct PacketText {
    bool out = false;
    bool bridged = false;
    std::string interface;          // the packet comes or goes by it; empty: none given
    std::string receive_interface;  // of one that goes out; empty: made on this machine
    std::vector<std::byte> frame;   // from the Ethernet header on
    bool operator==(const PacketText&) const = default;
};

inline constexpr std::size_t kLongestTracedPacket = 1500;  // bytes of IP

Result<PacketText, ParseError> parse_packet(std::string_view text);

}  // namespace sluice::language
