// What the filter of a forest says of one tree and one address.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/classify/forest.h"
#include "dataplane/classify/rule_boxes.h"
#include "dataplane/classify/tree_grower.h"

namespace sluice::classify {

// The filter indices that the boxes of a tree can have in one address: ascending, apart.
using Coverage = std::vector<Interval>;

// Of the first word of the address, which is lane `where`.
Coverage coverage_of(const Items& items, Family family, unsigned where);

bool contains(const Coverage& coverage, std::uint32_t index);

void fill_filter(std::vector<std::uint8_t>& filter, const Coverage& coverage, unsigned tree);

}  // namespace sluice::classify
