// How boxes are spread over the trees of a forest.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/classify/forest_builder.h"
#include "dataplane/classify/tree_grower.h"

namespace sluice::classify {

// Bit 0: wide in the source address, bit 1: in the destination.
unsigned kind_of(const Box& box, Family family);

// When the tree of some kinds, one bit each, is searched.
std::uint8_t phase_of(unsigned kinds);

// The places that a tree of some of the boxes may take.
double places_for(const ForestInput& input, std::size_t boxes, std::size_t of_all, unsigned trees);

// The lanes that any box restricts.
std::vector<unsigned> restricted_lanes(const Items& items);

// So few boxes need no second tree, and no filter.
inline constexpr std::size_t kOneTree = 64;

// Grows small trees of a sample of the boxes to see which plan is best.
ForestPlan choose_plan(const ForestInput& input, const Items& items);

}  // namespace sluice::classify
