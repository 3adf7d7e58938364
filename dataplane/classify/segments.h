// Where a walk may enter the list other than from the rule before.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/snapshot_view.h"

namespace sluice::classify {

// By rule: the number of its segment, ascending. Segments begin at the targets of jumps, behind
// rules whose states let a walk go on, and where diverted packets come back.
std::vector<std::uint32_t> segments_of(const contract::SnapshotView& view);

}  // namespace sluice::classify
