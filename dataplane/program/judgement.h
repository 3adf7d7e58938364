// What becomes of the packets of a burst. Most are let through or dropped and that is all: those
// are bits of a mask. Of the rest there is a verdict each; Engine::verdict gives one of any packet.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/packet/burst.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/verdict.h"

namespace sluice::program {

struct Judgement {
    using Mask = packet::Burst::Mask;

    // Let through by a rule, as they are; dropped by a rule, and nobody is told. No packet is in
    // both.
    Mask accepted = 0;
    Mask denied = 0;
    // Packets with a verdict: all that are neither accepted nor denied, and some that are.
    Mask told = 0;
    // Packets with marks: `marks` holds for these alone. Kept from one judgement of a packet to the
    // next; whoever begins with new packets clears it.
    Mask marked = 0;

    // Indices of rules, of `accepted` and `denied`: of those in `alike` it is one.
    Mask alike = 0;
    std::uint32_t one_rule = 0;
    std::array<std::uint32_t, packet::Burst::kCapacity> rules;
    std::array<Verdict, packet::Burst::kCapacity> verdicts;  // of `told`
    std::array<PacketMarks, packet::Burst::kCapacity> marks;

    std::uint32_t rule(std::size_t i) const { return (alike >> i & 1) != 0 ? one_rule : rules[i]; }
    bool has_verdict(std::size_t i) const { return (told >> i & 1) != 0; }
    bool is_marked(std::size_t i) const { return (marked >> i & 1) != 0; }

    // The marks of a packet, which has some from now on.
    PacketMarks& mark(std::size_t i) {
        if (!is_marked(i)) {
            marks[i].clear();
            marked |= Mask{1} << i;
        }
        return marks[i];
    }
};

}  // namespace sluice::program
