// Actions that change a packet and let the walk go on, for the slow engine: done to its copy of the
// packet at once, byte by byte.
#pragma once

#include <string>

#include "controlplane/language/model.h"
#include "tests/reference/slow_marks.h"
#include "tests/reference/slow_packet.h"

namespace sluice::reference {

// The code point of the packet, whose ECN bits stay.
void set_dscp(SlowPacket& packet, unsigned dscp);

// Lowers what a SYN offers to take. The last option of that kind counts.
void lower_mss(SlowPacket& packet, unsigned most);

// `class 40 mss 1400 fib 1 mark 0x5 tags 1 7`: how a packet leaves that came as `before`.
std::string marks_text(const SlowPacket& before, const SlowPacket& after, const SlowMarks& marks);

}  // namespace sluice::reference
