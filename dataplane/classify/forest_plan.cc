#include "dataplane/classify/forest_plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "dataplane/classify/filter_coverage.h"

namespace sluice::classify {

namespace {

// Of trees with more boxes than this, a sample of them is tried.
constexpr std::size_t kSample = 1024;
constexpr unsigned kSampleKeys = 512;
constexpr std::uint32_t kNoRule = BoxRules::kIndex;

constexpr std::array<std::array<std::uint8_t, kKinds>, 5> kSpreadings = {{
    {0, 1, 2, 3},
    {0, 1, 0, 3},
    {0, 0, 2, 3},
    {0, 1, 0, 1},
    {0, 0, 2, 2},
}};

// In IPv6 the first 16 bits or so are the same for everybody.
std::uint32_t wide_span(Family family) {
    return family == Family::v6 ? 0xff : 0xffffff;
}

// Cheap numbers for samples; the quality hardly matters, that they repeat does.
class Numbers {
  public:
    std::uint32_t next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::uint32_t>(state_ >> 32);
    }
    std::uint32_t within(const Interval& interval) {
        const std::uint64_t size = std::uint64_t{interval.last} - interval.first + 1;
        return interval.first + static_cast<std::uint32_t>(next() % size);
    }

  private:
    std::uint64_t state_ = 1;
};

// Keys that rules match, and keys of any header.
std::vector<HeaderKey> sample_keys(const Items& items) {
    Numbers numbers;
    std::vector<HeaderKey> keys(kSampleKeys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const Box& box = *items[numbers.next() % items.size()]->box;
        const bool any = i % 2 == 1;
        for (unsigned lane = 0; lane < lane::boxed; ++lane) {
            const bool is_port = lane == lane::source_port || lane == lane::destination_port;
            const bool is_address = lane < lane::source_port;
            const Interval full{0, is_port ? 0xffffu : kFullLane};
            Interval interval = any && (is_address || is_port) ? full : box.lanes[lane];
            interval.last = std::min(interval.last, full.last);
            keys[i].lanes[lane] = numbers.within(interval);
        }
    }
    return keys;
}

// In units of about a nanosecond.
struct Prices {
    static constexpr double tree = 2, grid = 3, node = 3, block = 4;
};

// The leaf that a key comes to, and what the way costs.
Reference walk(const Growth& growth, const GrownTree& tree, const HeaderKey& key, double& cost) {
    const auto part_of = [&](const Pivots& pivots, unsigned lane) {
        unsigned part = 0;
        while (pivots[part] < key.lanes[lane])
            ++part;
        return part;
    };
    cost += Prices::tree;
    Reference at = tree.root;
    if (tree.has_grid) {
        const auto& [grid, first_lane, second_lane] = growth.grids[at];
        at = grid.children[part_of(grid.first_pivots, first_lane) * kParts +
                           part_of(grid.second_pivots, second_lane)];
        cost += Prices::grid;
    }
    for (; (at & kGrownLeaf) == 0; cost += Prices::node) {
        const auto& [node, lane] = growth.nodes[at];
        at = node.children[part_of(node.pivots, lane)];
    }
    return at;
}

bool contains(const Box& box, const HeaderKey& key) {
    for (unsigned lane = 0; lane < lane::boxed; ++lane)
        if (key.lanes[lane] < box.lanes[lane].first || key.lanes[lane] > box.lanes[lane].last)
            return false;
    return true;
}

// Looks through a leaf as far as a search would; the rule that ends the list there.
std::uint32_t look_through(const Growth& growth, Reference leaf, const HeaderKey& key,
                           double& cost) {
    for (std::size_t block = (leaf & ~kGrownLeaf) - 1;; ++block) {
        cost += Prices::block;
        for (const Item* item : growth.blocks[block])
            if (item != nullptr && item->terminal && contains(*item->box, key))
                return item->box->rule;
        if (!growth.more[block])
            return kNoRule;
    }
}

// A tree of the boxes of some kinds, and what searching it is like.
struct Trial {
    struct Search {
        double cost = 0;  // 0: the filter keeps the packet out
        std::uint32_t found = kNoRule;
    };
    Root root = Root::node;
    std::uint32_t first_rule = kNoRule;  // none: there are no boxes
    std::vector<Search> searches;        // by key
};

class Trials {
  public:
    Trials(const ForestInput& input, const Items& items)
        : input_(input), items_(items), lanes_(restricted_lanes(items)), keys_(sample_keys(items)) {
        kinds_.reserve(items.size());
        for (const Item* item : items)
            kinds_.push_back(static_cast<std::uint8_t>(kind_of(*item->box, input.family)));
    }

    // What all keys cost together, and the roots of the trees. None: a tree of several kinds has so
    // many boxes that a sample would not tell what the copies of the wide ones cost.
    std::optional<double> try_out(ForestPlan& plan) {
        std::array<unsigned, kKinds> kinds{};
        for (unsigned kind = 0; kind < kKinds; ++kind)
            kinds[plan.tree_of_kind[kind]] |= 1u << kind;
        for (const unsigned some : kinds)
            if ((some & (some - 1)) != 0 && count_of(some) > kSample)
                return std::nullopt;
        std::array<const Trial*, kKinds> trials{};
        for (unsigned tree = 0; tree < kKinds; ++tree) {
            if (kinds[tree] == 0)
                continue;
            trials[tree] = &trial_of(kinds[tree]);
            plan.roots[tree] = trials[tree]->root;
        }
        double cost = 0;
        for (std::size_t key = 0; key < keys_.size(); ++key) {
            std::uint32_t best = kNoRule;
            for (std::uint8_t phase = 0; phase < 3; ++phase) {
                std::uint32_t found = best;
                for (unsigned tree = 0; tree < kKinds; ++tree) {
                    if (kinds[tree] == 0 || phase_of(kinds[tree]) != phase ||
                        trials[tree]->first_rule >= best)
                        continue;
                    const Trial::Search& search = trials[tree]->searches[key];
                    cost += search.cost;
                    found = std::min(found, search.found);
                }
                best = found;
            }
        }
        return cost;
    }

  private:
    bool has_kind(unsigned kinds, std::size_t item) const {
        return (kinds >> kinds_[item] & 1) != 0;
    }

    std::size_t count_of(unsigned kinds) const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < kinds_.size(); ++i)
            count += has_kind(kinds, i) ? 1 : 0;
        return count;
    }

    const Trial& trial_of(unsigned kinds) {
        const auto [known, is_new] = trials_.try_emplace(kinds);
        if (is_new)
            known->second = make_trial(kinds);
        return known->second;
    }

    Trial make_trial(unsigned kinds) const {
        const std::size_t step = (count_of(kinds) + kSample - 1) / kSample;
        Items items;
        std::size_t seen = 0;
        for (std::size_t i = 0; i < items_.size(); ++i)
            if (has_kind(kinds, i) && seen++ % step == 0)
                items.push_back(items_[i]);
        if (items.empty())
            return {};
        Trial best;
        double least = std::numeric_limits<double>::infinity();
        for (const Root root : {Root::node, Root::grid}) {
            std::vector<Trial::Search> searches = search(items, root);
            double cost = 0;
            for (const Trial::Search& search : searches)
                cost += search.cost;
            if (cost < least)
                best = {root, items.front()->box->rule, std::move(searches)};
            least = std::min(least, cost);
        }
        return best;
    }

    std::vector<Trial::Search> search(const Items& items, Root root) const {
        Growth growth;
        const GrownTree tree =
            TreeGrower(growth, lanes_)
                .grow(items, root, places_for(input_, items.size(), items.size(), kKinds));
        const bool filtered = items_.size() > kOneTree;
        Coverage sources, destinations;
        if (filtered) {
            sources = coverage_of(items, input_.family, lane::source);
            destinations = coverage_of(items, input_.family, lane::destination);
        }
        std::vector<Trial::Search> searches(keys_.size());
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const HeaderKey& key = keys_[i];
            const auto index = [&](unsigned where) {
                return Forest::filter_index(input_.family, key.lanes[where]);
            };
            if (filtered && (!classify::contains(sources, index(lane::source)) ||
                             !classify::contains(destinations, index(lane::destination))))
                continue;
            const Reference leaf = walk(growth, tree, key, searches[i].cost);
            if (leaf != kGrownEmptyLeaf)
                searches[i].found = look_through(growth, leaf, key, searches[i].cost);
        }
        return searches;
    }

    const ForestInput& input_;
    const Items& items_;
    std::vector<std::uint8_t> kinds_;  // by item
    const std::vector<unsigned> lanes_;
    const std::vector<HeaderKey> keys_;
    std::map<unsigned, Trial> trials_;  // by kinds
};

}  // namespace

unsigned kind_of(const Box& box, Family family) {
    const auto is_wide = [&](unsigned where) {
        return box.lanes[where].last - box.lanes[where].first >= wide_span(family);
    };
    return (is_wide(lane::source) ? 1u : 0u) | (is_wide(lane::destination) ? 2u : 0u);
}

// Trees whose boxes are narrow come first: what they find saves searches in the others.
std::uint8_t phase_of(unsigned kinds) {
    if ((kinds & 1) != 0)
        return 0;
    return kinds == 1u << 3 ? 2 : 1;
}

double places_for(const ForestInput& input, std::size_t boxes, std::size_t of_all, unsigned trees) {
    const auto places = [&](std::size_t count) {
        return static_cast<double>(input.places_per_box * count) / 2;
    };
    return places(boxes) + (places(of_all) + static_cast<double>(input.places_on_top)) / trees;
}

std::vector<unsigned> restricted_lanes(const Items& items) {
    std::vector<unsigned> lanes;
    for (unsigned i = 0; i < lane::boxed; ++i)
        if (std::any_of(items.begin(), items.end(), [&](const Item* item) {
                return item->box->lanes[i] != Interval{0, kFullLane};
            }))
            lanes.push_back(i);
    return lanes;
}

ForestPlan choose_plan(const ForestInput& input, const Items& items) {
    const ForestPlan together{.tree_of_kind = {}, .roots = {}, .boxes = items.size()};
    Trials trials(input, items);
    ForestPlan best = together;
    double best_cost = std::numeric_limits<double>::infinity();
    const auto consider = [&](ForestPlan plan) {
        const std::optional<double> cost = trials.try_out(plan);
        if (cost && *cost < best_cost) {
            best_cost = *cost;
            best = plan;
        }
    };
    if (items.size() > kOneTree)
        for (const auto& spreading : kSpreadings)
            consider({.tree_of_kind = spreading, .roots = {}, .boxes = items.size()});
    consider(together);
    return best;
}

}  // namespace sluice::classify
