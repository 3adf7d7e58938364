// Builds a forest from the boxes of the rules of one family.
//
// Time is about n log n in the boxes. Memory is bounded beforehand: a branch may copy a box only as
// long as its share of the places lasts; where it is used up, leaves get longer and searches
// slower.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/classify/attributes.h"
#include "dataplane/classify/forest.h"
#include "dataplane/classify/rule_boxes.h"
#include "dataplane/classify/tree_grower.h"

namespace sluice::classify {

// How the boxes are spread over trees. There are four kinds of them; see kind_of.
inline constexpr unsigned kKinds = 4;
struct ForestPlan {
    std::array<std::uint8_t, kKinds> tree_of_kind{};
    std::array<Root, Forest::kMaximumTrees> roots{};  // by tree
    std::size_t boxes = 0;                            // that it was chosen for
    unsigned uses = 0;                                // by later forests
};

// What a search in a forest may cost at worst, and what the forest takes.
struct ForestCost {
    std::size_t boxes = 0;
    std::size_t bytes = 0;
    unsigned trees = 0;
    unsigned worst_nodes = 0;   // on one way through every tree
    unsigned worst_blocks = 0;  // of eight boxes
    bool cut_short = false;     // the bound on memory made leaves longer
};

struct ForestInput {
    Family family = Family::v4;
    std::span<const Box> boxes;  // in the order of their rules
    const AttributeTable& attributes;
    // By rule. A terminal rule hides the rules behind it that match less, but only those of its own
    // segment: a walk may enter the list at the first rule of any segment.
    std::span<const std::uint32_t> segments;
    // Places for boxes that a forest may take, for each box and on top.
    std::size_t places_per_box = 8;
    std::size_t places_on_top = 16384;
};

// `plan` is that of the last forest of the family, which a forest of about as many boxes takes
// over: choosing one takes as long as building. It becomes the plan of this one. No boxes: there
// was none.
Forest build_forest(const ForestInput& input, ForestPlan& plan, ForestCost& cost);

}  // namespace sluice::classify
