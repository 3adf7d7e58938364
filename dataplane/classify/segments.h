// Where a walk may enter the list other than from the rule before.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/snapshot_view.h"

namespace sluice::classify {

// No packet that gets this action meets another rule in the same walk. Frames at Ethernet level
// pass divert, tee and fwd, and a diverted packet comes back.
constexpr bool ends_the_walk(contract::RuleAction action) {
    using contract::RuleAction;
    switch (action) {
        case RuleAction::allow:
        case RuleAction::deny:
        case RuleAction::unreach:
        case RuleAction::unreach6:
        case RuleAction::reset:
        case RuleAction::reset6:
        case RuleAction::abort:
        case RuleAction::abort6:
            return true;
        default:
            return false;
    }
}

// By rule: the number of its segment, ascending. Segments begin at the targets of jumps, behind
// rules whose states let a walk go on, and where diverted packets come back.
std::vector<std::uint32_t> segments_of(const contract::SnapshotView& view);

}  // namespace sluice::classify
