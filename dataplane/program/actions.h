// Actions that change a packet, or how later rules see it, and let the walk go on.
//
// Nothing here touches the bytes of the packet: changes are noted in its marks, later rules see
// them, and whoever sends the packet makes them (forward/rewrite.h).
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/verdict.h"

namespace sluice::program {

// Puts the tag of a rule on, or takes it off. False: there is no room for it.
bool apply_tag(const contract::RuleRecord& rule, PacketMarks& marks);

// Whether the action of a rule means anything to this packet. If not the rule is neither counted
// nor carried out, but has logged, as in ipfw: what needs IP cannot act on a frame at Ethernet
// level, a code point needs IP, reassembly IPv4.
bool acts(const contract::RuleRecord& rule, const packet::Packet& packet);

// Carries out setfib, setdscp, tcp-setmss and setmark; other actions do nothing here.
void mark_packet(const contract::RuleRecord& rule, const packet::Packet& packet,
                 PacketMarks& marks);

// Makes the headers of a copy of the packet what they will be after the changes in its marks.
void see_changes(const PacketMarks& marks, packet::Packet& seen);

// The test `tcpmss` of a SYN whose segment size a rule has lowered.
bool lowered_mss_in(const PacketMarks& marks, std::span<const contract::Range> ranges);

// What a rule that ends the walk makes of the packet; deny for the others.
Verdict::Kind verdict_kind(contract::RuleAction action);

}  // namespace sluice::program
