// What rules have written on a packet: tags, mark, routing table, the calls it came by, and the
// changes to its headers that are to be made when it leaves.
//
// It travels with the packet, beside it, for as long as the packet is in the appliance: over a tee,
// and from the incoming to the outgoing rules. Whoever owns the packet owns its marks, and makes
// them anew for the next one. Only the counts need to be cleared for that, so a packet that no rule
// writes on costs one cache line.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/contract/instruction.h"

namespace sluice::program {

inline constexpr unsigned kMaximumTags = 64;   // on one packet
inline constexpr unsigned kMaximumCalls = 16;  // that have not returned, as in ipfw
// In the whole life of a packet. Calls that call each other in a circle would take hours.
inline constexpr unsigned kMaximumCallsInAll = 1024;

struct PacketMarks {
    std::uint32_t mark = 0;
    std::uint16_t fib = 0;
    std::uint16_t maximum_segment_size = 0;  // that a SYN shall offer; 0: as it is
    std::uint8_t dscp = 0;
    bool has_dscp = false;  // `dscp` shall be the packet's
    std::uint8_t tag_count = 0;
    std::uint8_t call_depth = 0;
    std::uint16_t calls = 0;               // in all
    std::uint16_t tags[kMaximumTags];      // the first tag_count hold
    std::uint16_t callers[kMaximumCalls];  // numbers of rules; the first call_depth hold

    // As of a packet that no rule has seen.
    void clear() {
        mark = 0;
        fib = 0;
        maximum_segment_size = 0;
        dscp = 0;
        has_dscp = false;
        tag_count = 0;
        call_depth = 0;
        calls = 0;
    }

    bool changes_headers() const { return has_dscp || maximum_segment_size != 0; }

    // They have been made.
    void forget_changes() {
        has_dscp = false;
        maximum_segment_size = 0;
    }

    bool has_tag(std::uint16_t tag) const {
        for (unsigned i = 0; i < tag_count; ++i)
            if (tags[i] == tag)
                return true;
        return false;
    }
    bool has_tag_in(std::span<const contract::Range> ranges) const {
        for (unsigned i = 0; i < tag_count; ++i)
            for (const contract::Range& range : ranges)
                if (range.first <= tags[i] && tags[i] <= range.last)
                    return true;
        return false;
    }
    // False: there is no room for one more.
    bool add_tag(std::uint16_t tag) {
        if (has_tag(tag))
            return true;
        if (tag_count == kMaximumTags)
            return false;
        tags[tag_count++] = tag;
        return true;
    }
    void remove_tag(std::uint16_t tag) {
        for (unsigned i = 0; i < tag_count; ++i)
            if (tags[i] == tag)
                tags[i] = tags[--tag_count];
    }
};

}  // namespace sluice::program
