// A pattern object as the rules of one ruleset ask it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/contract/pattern.h"
#include "dataplane/payload/finding.h"
#include "dataplane/payload/matcher.h"

namespace sluice::payload {

struct Object {
    MatcherShare matcher;
    contract::PatternMode mode = contract::PatternMode::packet;
    contract::PatternDirection direction = contract::PatternDirection::both;
    std::uint32_t depth = contract::kPacketDepth;
    std::uint64_t identity = 0;        // of its name: the same over reloads
    bool named = true;                 // values of patterns that stand in rules are places
    std::vector<std::uint32_t> asked;  // see AskedValues
    std::uint64_t asked_identity = 0;  // of these values

    // Whether it looks at packets of this side of a flow.
    bool looks_at(bool forward) const {
        return direction == contract::PatternDirection::both ||
               (direction == contract::PatternDirection::forward) == forward;
    }
    // What it finds in bytes by themselves, which are a name if `part` says so.
    Finding look(unsigned reader, contract::PayloadPart part,
                 std::span<const std::byte> bytes) const {
        if (matcher->type() == contract::PatternType::names && contract::is_name(part))
            return matcher->look_for_name(reader, bytes, asked);
        return matcher->look(reader, within_depth(bytes), asked);
    }
    std::span<const std::byte> within_depth(std::span<const std::byte> bytes) const {
        return bytes.first(std::min<std::size_t>(bytes.size(), depth));
    }
};

}  // namespace sluice::payload
