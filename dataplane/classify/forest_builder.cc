#include "dataplane/classify/forest_builder.h"

#include <algorithm>
#include <limits>

#include "dataplane/classify/filter_coverage.h"
#include "dataplane/classify/forest_layout.h"
#include "dataplane/classify/forest_plan.h"
#include "dataplane/classify/tree_grower.h"

namespace sluice::classify {

namespace {

// One tree of a forest: its boxes and their kinds.
struct Part {
    Items items;
    unsigned kinds = 0;
    Root root = Root::node;
};

// In the order in which they are searched.
std::vector<Part> parts_of(const ForestInput& input, const Items& items, const ForestPlan& plan) {
    std::vector<Part> parts(Forest::kMaximumTrees);
    for (const Item* item : items) {
        const unsigned kind = kind_of(*item->box, input.family);
        Part& part = parts[plan.tree_of_kind[kind]];
        part.items.push_back(item);
        part.kinds |= 1u << kind;
    }
    for (std::size_t i = 0; i < parts.size(); ++i)
        parts[i].root = plan.roots[i];
    std::erase_if(parts, [](const Part& part) { return part.items.empty(); });
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
        return phase_of(a.kinds) < phase_of(b.kinds);
    });
    return parts;
}

void grow_trees(const ForestInput& input, const Items& items, const ForestPlan& plan,
                Forest& forest, ForestCost& cost) {
    std::vector<Part> parts = parts_of(input, items, plan);
    // A filter for a handful of boxes would cost more than it saves.
    if (items.size() > kOneTree) {
        forest.source_filter.assign(Forest::kFilterIndices / 2, 0);
        forest.destination_filter.assign(Forest::kFilterIndices / 2, 0);
        for (unsigned i = 0; i < parts.size(); ++i) {
            fill_filter(forest.source_filter,
                        coverage_of(parts[i].items, input.family, lane::source), i);
            fill_filter(forest.destination_filter,
                        coverage_of(parts[i].items, input.family, lane::destination), i);
        }
    }
    Growth growth;
    const std::vector<unsigned> lanes = restricted_lanes(items);
    for (Part& part : parts) {
        const double places =
            places_for(input, part.items.size(), items.size(), static_cast<unsigned>(parts.size()));
        Tree tree{.first_rule = part.items.front()->box->rule, .phase = phase_of(part.kinds)};
        const GrownTree grown =
            TreeGrower(growth, lanes).grow(std::move(part.items), part.root, places);
        tree.root = grown.root;
        tree.has_grid = grown.has_grid;
        if (grown.has_grid) {
            const GrownGrid& grid = growth.grids[grown.root];
            tree.first_lane = static_cast<std::uint8_t>(grid.first_lane);
            tree.second_lane = static_cast<std::uint8_t>(grid.second_lane);
        }
        forest.trees.push_back(tree);
        cost.worst_nodes += growth.depth;
        cost.worst_blocks += growth.longest_leaf;
    }
    cost.trees = static_cast<unsigned>(forest.trees.size());
    cost.cut_short = growth.cut_short;
    lay_out(growth, forest);
}

bool is_wild(const Item& item) {
    return item.attributes == 0 &&
           std::all_of(item.box->lanes.begin(), item.box->lanes.end(), [](const Interval& lane) {
               return lane == Interval{0, kFullLane};
           });
}

// Takes the wild ones out, and what they hide.
Items split_wild(const std::vector<Item>& items, Forest& forest) {
    constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
    Items rest;
    std::uint32_t hidden = kNone;
    for (const Item& item : items) {
        if (item.segment == hidden)
            continue;
        const std::uint32_t rule = item.box->rule;
        if (!is_wild(item)) {
            rest.push_back(&item);
        } else if (item.terminal) {
            forest.wild_terminal.push_back(rule);
            hidden = item.segment;
        } else {
            const std::uint32_t entry = rule | (item.unverified ? Matches::kUnverified : 0);
            std::vector<std::uint32_t>& others = forest.wild_others;
            // Each rule once, however many boxes it has; a verified one says more.
            if (!others.empty() && (others.back() & ~Matches::kUnverified) == rule)
                others.back() &= entry;
            else
                others.push_back(entry);
        }
    }
    return rest;
}

std::vector<Item> make_items(const ForestInput& input) {
    std::vector<Item> items;
    items.reserve(input.boxes.size());
    for (const Box& box : input.boxes) {
        Item item{.box = &box,
                  .segment = input.segments[box.rule],
                  .terminal = box.terminal,
                  .unverified = box.unverified};
        for (const Condition condition : box.conditions) {
            if (condition == 0)
                continue;
            const std::uint32_t bit = input.attributes.bit(condition);
            item.attributes |= bit;
            item.unverified = item.unverified || bit == 0;
        }
        item.terminal = item.terminal && !item.unverified;
        items.push_back(item);
    }
    return items;
}

// A plan is looked over from time to time even if the number of boxes hardly changes.
bool is_still_good(const ForestPlan& plan, std::size_t boxes) {
    constexpr unsigned kMostUses = 64;
    return plan.uses < kMostUses && boxes > kOneTree && boxes >= plan.boxes - plan.boxes / 16 &&
           boxes <= plan.boxes + plan.boxes / 16;
}

}  // namespace

Forest build_forest(const ForestInput& input, ForestPlan& plan, ForestCost& cost) {
    const std::vector<Item> items = make_items(input);
    Forest forest;
    forest.family = input.family;
    cost = {.boxes = input.boxes.size()};
    const Items rest = split_wild(items, forest);
    if (is_still_good(plan, rest.size()))
        ++plan.uses;
    else
        plan = rest.empty() ? ForestPlan{} : choose_plan(input, rest);
    if (rest.empty())
        lay_out({}, forest);
    else
        grow_trees(input, rest, plan, forest, cost);
    cost.bytes = forest.arena.size() + forest.source_filter.size() +
                 forest.destination_filter.size() +
                 (forest.wild_terminal.size() + forest.wild_others.size()) * sizeof(std::uint32_t);
    return forest;
}

}  // namespace sluice::classify
