// Cuts an IPv4 packet that is too long for the way on into fragments (RFC 791): what `reass` has
// put together leaves by a port with a smaller MTU, and what a gateway forwards to a narrower link.
// A fragment may be cut again.
#pragma once

#include <cstddef>
#include <span>

#include "dataplane/packet/packet.h"

namespace sluice::forward {

// Writes fragment number `index`, from 0 on, to `out` and returns its length; 0: there are no more.
// `frame` begins at the Ethernet header; of IP no fragment has more than `mtu` bytes. Options that
// belong into the first fragment only are made no-operations in the others.
// REQUIRES: `headers` are those of `frame`, IPv4; out.size() >= mtu and what stands
// in front of IP; mtu >= 68, as for every IPv4 link.
std::size_t build_fragment(std::span<const std::byte> frame, const packet::Headers& headers,
                           unsigned mtu, unsigned index, std::span<std::byte> out);

}  // namespace sluice::forward
