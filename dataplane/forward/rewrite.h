// Makes the changes to a packet's headers that rules have noted in its marks: `setdscp`, and
// `tcp-setmss` on the way of a SYN. Checksums are corrected by what has changed (RFC 1624), so one
// that was wrong stays wrong.
#pragma once

#include <cstddef>
#include <span>

#include "dataplane/packet/packet.h"
#include "dataplane/program/packet_marks.h"

namespace sluice::forward {

// `frame` begins at the Ethernet header and holds at least the headers; they are where `headers`
// says. False: a header that is to be changed lies beyond its end, and nothing has been changed.
bool rewrite(std::span<std::byte> frame, const packet::Headers& headers,
             const program::PacketMarks& marks);

}  // namespace sluice::forward
