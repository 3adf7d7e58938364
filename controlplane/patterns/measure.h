// How fast a database is looked through, and what it takes: what a child of sluice-patterns does
// for `lint.h`.
#pragma once

#include "controlplane/patterns/lint.h"
#include "controlplane/patterns/order_format.h"

namespace sluice::patterns {

// The bytes of a PatternCost.
Answer measure(const Subject& subject);

}  // namespace sluice::patterns
