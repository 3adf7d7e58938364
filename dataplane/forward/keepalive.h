// The packet that asks one side of an established TCP connection whether it is still there, so that
// its answer prolongs the state: a bare ACK with window 0, as ipfw sends it.
//
// On bytes; a whole Ethernet frame comes out, from one host of the connection to the other, with
// the MAC addresses and the VLAN tag of the packet that made the state.
#pragma once

#include <cstddef>
#include <span>

#include "dataplane/state/state_table.h"

namespace sluice::forward {

// No keepalive is longer: Ethernet header, VLAN tag, IPv6, TCP.
inline constexpr std::size_t kMaximumKeepalive = 14 + 4 + 40 + 20;

// Writes the frame into `out` and returns its length in bytes, 0 if it is not known how frames of
// that connection look.
// REQUIRES: out.size() >= kMaximumKeepalive.
std::size_t build_keepalive(const state::Keepalive& keepalive, std::span<std::byte> out);

}  // namespace sluice::forward
