// Puts the trees of a forest where searches find them: in one array of cache lines.
#pragma once

#include "dataplane/classify/forest.h"
#include "dataplane/classify/tree_grower.h"

namespace sluice::classify {

// The trees of `forest` have the roots of GrownTree before, and those of searches after.
void lay_out(const Growth& growth, Forest& forest);

}  // namespace sluice::classify
