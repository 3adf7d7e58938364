#include "dataplane/classify/tree_grower.h"

#include <algorithm>

namespace sluice::classify {

namespace {

constexpr unsigned kMaximumDepth = 24;
// From this many boxes on, pivots are chosen from a sample of them.
constexpr std::size_t kSampledNode = 4096;
// A split whose children are not smaller than this share of the boxes is not made.
constexpr double kWorthwhile = 0.93;

bool covers(const Item& item, const Space& space) {
    if (!item.terminal || !item.box->lanes_suffice)
        return false;
    for (unsigned i = 0; i < lane::boxed; ++i)
        if (item.box->lanes[i].first > space[i].first || item.box->lanes[i].last < space[i].last)
            return false;
    return true;
}

// Leaves out what no walk can reach: behind a terminal rule that covers the space.
void drop_hidden(Items& items, const Space& space) {
    constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t hidden = kNone;
    std::size_t kept = 0;
    for (const Item* item : items) {
        if (item->segment == hidden)
            continue;
        items[kept++] = item;
        if (covers(*item, space))
            hidden = item->segment;
    }
    items.resize(kept);
}

using PivotList = std::vector<std::uint32_t>;

// The parts of a lane that a box lies in.
struct PartRange {
    std::size_t first, last;
};
PartRange parts_of(const Item& item, unsigned lane, const PivotList& pivots) {
    const Interval& interval = item.box->lanes[lane];
    const auto part_of = [&](std::uint32_t value) {
        return static_cast<std::size_t>(std::lower_bound(pivots.begin(), pivots.end(), value) -
                                        pivots.begin());
    };
    const std::size_t first = part_of(interval.first);
    return {first, first < pivots.size() && interval.last > pivots[first] ? part_of(interval.last)
                                                                          : first};
}

using PartLists = std::array<Items, kParts>;

PartLists spread(const Items& items, unsigned lane, const PivotList& pivots) {
    PartLists lists;
    for (const Item* item : items) {
        const PartRange parts = parts_of(*item, lane, pivots);
        for (std::size_t i = parts.first; i <= parts.last; ++i)
            lists[i].push_back(item);
    }
    return lists;
}

Space narrowed(const Space& space, unsigned lane, const PivotList& pivots, std::size_t part) {
    Space result = space;
    if (part > 0)
        result[lane].first = pivots[part - 1] + 1;
    if (part < pivots.size())
        result[lane].last = pivots[part];
    return result;
}

Pivots filled_up(const PivotList& pivots) {
    Pivots result;
    result.fill(kFullLane);
    std::copy(pivots.begin(), pivots.end(), result.begin());
    return result;
}

}  // namespace

GrownTree TreeGrower::grow(Items items, Root root, double places) {
    growth_.depth = 0;
    growth_.longest_leaf = 0;
    Space space;
    space.fill({0, kFullLane});
    drop_hidden(items, space);
    if (root == Root::grid && items.size() > kBlockSize && grow_grid(items, space, places))
        return {.has_grid = true, .root = static_cast<Reference>(growth_.grids.size() - 1)};
    return {.root = grow_node(std::move(items), space, 0, places)};
}

Reference TreeGrower::grow_node(Items items, const Space& space, unsigned depth, double places) {
    growth_.depth = std::max(growth_.depth, depth);
    const std::size_t count = items.size();
    if (count <= kBlockSize || depth >= kMaximumDepth)
        return make_leaf(items);
    const Split split = best_split(items, space);
    if (split.score > kWorthwhile * static_cast<double>(count))
        return make_leaf(items);
    if (static_cast<double>(split.places) > places) {
        growth_.cut_short = true;
        return make_leaf(items);
    }
    return make_node(items, space, depth, places, split);
}

Reference TreeGrower::make_leaf(const Items& items) {
    if (items.empty())
        return kGrownEmptyLeaf;
    const std::size_t first = growth_.blocks.size();
    for (std::size_t i = 0; i < items.size(); i += kBlockSize) {
        std::array<const Item*, kBlockSize> block{};
        for (std::size_t k = 0; k < kBlockSize && i + k < items.size(); ++k)
            block[k] = items[i + k];
        growth_.blocks.push_back(block);
        growth_.more.push_back(i + kBlockSize < items.size());
    }
    growth_.longest_leaf =
        std::max(growth_.longest_leaf, static_cast<unsigned>(growth_.blocks.size() - first));
    return kGrownLeaf | static_cast<Reference>(first + 1);
}

Reference TreeGrower::make_node(const Items& items, const Space& space, unsigned depth,
                                double places, const Split& split) {
    const auto number = static_cast<Reference>(growth_.nodes.size());
    GrownNode grown{.node = {}, .lane = split.lane};
    grown.node.pivots = filled_up(split.pivots);
    grown.node.children.fill(kGrownEmptyLeaf);
    growth_.nodes.push_back(grown);
    PartLists lists = spread(items, split.lane, split.pivots);
    Items previous;
    Reference previous_child = kGrownEmptyLeaf;
    for (std::size_t part = 0; part <= split.pivots.size(); ++part) {
        Items& inside = lists[part];
        const double share =
            places * static_cast<double>(inside.size()) / static_cast<double>(split.places);
        const Space part_space = narrowed(space, split.lane, split.pivots, part);
        drop_hidden(inside, part_space);
        // Neighbours that hold the same few boxes share a leaf.
        if (inside.size() > kBlockSize || inside != previous) {
            previous = inside;
            previous_child = grow_node(std::move(inside), part_space, depth + 1, share);
        }
        growth_.nodes[number].node.children[part] = previous_child;
    }
    return number;
}

// A tree whose root is a grid in the two lanes that split best. False: that is not worthwhile.
bool TreeGrower::grow_grid(const Items& items, const Space& space, double places) {
    Split rows, columns;
    for (const unsigned lane : lanes_) {
        Split split = split_in(items, space, lane, Aim::grid);
        if (split.score < rows.score)
            std::swap(split, rows);
        if (split.score < columns.score)
            std::swap(split, columns);
    }
    if (columns.score > kWorthwhile * static_cast<double>(items.size()))
        return false;
    std::size_t all = 0;
    for (const Item* item : items) {
        const PartRange row = parts_of(*item, rows.lane, rows.pivots),
                        column = parts_of(*item, columns.lane, columns.pivots);
        all += (row.last - row.first + 1) * (column.last - column.first + 1);
    }
    if (static_cast<double>(all) > places)
        return false;
    const std::size_t number = growth_.grids.size();
    growth_.grids.push_back({.grid = {}, .first_lane = rows.lane, .second_lane = columns.lane});
    Grid grid{.first_pivots = filled_up(rows.pivots),
              .second_pivots = filled_up(columns.pivots),
              .children = {}};
    grid.children.fill(kGrownEmptyLeaf);
    std::map<Items, Reference> leaves;
    const PartLists row_lists = spread(items, rows.lane, rows.pivots);
    for (std::size_t row = 0; row <= rows.pivots.size(); ++row) {
        const Space row_space = narrowed(space, rows.lane, rows.pivots, row);
        PartLists cells = spread(row_lists[row], columns.lane, columns.pivots);
        for (std::size_t column = 0; column <= columns.pivots.size(); ++column) {
            Items& inside = cells[column];
            const double share =
                places * static_cast<double>(inside.size()) / static_cast<double>(all);
            const Space cell_space = narrowed(row_space, columns.lane, columns.pivots, column);
            drop_hidden(inside, cell_space);
            Reference& child = grid.children[row * kParts + column];
            if (inside.size() > kBlockSize) {
                child = grow_node(std::move(inside), cell_space, 1, share);
                continue;
            }
            const auto [known, is_new] = leaves.try_emplace(inside, kGrownEmptyLeaf);
            if (is_new)
                known->second = make_leaf(inside);
            child = known->second;
        }
    }
    growth_.grids[number].grid = grid;
    growth_.depth = std::max(growth_.depth, 1u);
    return true;
}

TreeGrower::Split TreeGrower::best_split(const Items& items, const Space& space) {
    Split best;
    for (const unsigned lane : lanes_) {
        Split split = split_in(items, space, lane, Aim::nodes);
        if (split.score < best.score)
            best = std::move(split);
    }
    return best;
}

// Its score is the size of the child that a packet meets, between a packet of any header and one of
// a rule; copies beyond two of each box count against it.
TreeGrower::Split TreeGrower::split_in(const Items& items, const Space& space, unsigned lane,
                                       Aim aim) {
    Split split;
    split.lane = lane;
    if (space[lane].first == space[lane].last)
        return split;
    choose_pivots(items, space[lane], lane, aim);
    if (pivots_.empty())
        return split;
    split.pivots = pivots_;
    std::array<long, kParts + 1> change{};
    for (const Item* item : items) {
        const PartRange parts = parts_of(*item, lane, split.pivots);
        ++change[parts.first];
        --change[parts.last + 1];
        split.places += parts.last - parts.first + 1;
    }
    const auto count = static_cast<double>(items.size());
    const auto places = static_cast<double>(split.places);
    const auto children = static_cast<double>(split.pivots.size() + 1);
    double squares = 0, largest = 0;
    long inside = 0;
    for (std::size_t part = 0; part <= split.pivots.size(); ++part) {
        inside += change[part];
        const auto size = static_cast<double>(inside);
        squares += size * size;
        largest = std::max(largest, size);
    }
    const double average = places / children;
    constexpr double kUseless = 0.9, kPriceOfCopies = 0.15;
    if (largest >= count && average > kUseless * count)
        return split;
    if (largest <= kBlockSize) {
        // Nothing is better than leaves of one block but fewer of them.
        split.score = 0.5 * children / kParts;
        return split;
    }
    const double copies = std::max(0.0, places / count - 2);
    split.score = 0.5 * (average + squares / places) * (1 + kPriceOfCopies * copies);
    return split;
}

void TreeGrower::choose_pivots(const Items& items, const Interval& range, unsigned lane, Aim aim) {
    const std::size_t step = items.size() > kSampledNode ? items.size() / (kSampledNode / 2) : 1;
    firsts_.clear();
    lasts_.clear();
    for (std::size_t i = 0; i < items.size(); i += step) {
        const Interval& interval = items[i]->box->lanes[lane];
        if (interval.first > range.first)
            firsts_.push_back(interval.first - 1);
        if (interval.last < range.last)
            lasts_.push_back(interval.last);
    }
    pivots_.clear();
    if (firsts_.empty() && lasts_.empty())
        return;
    std::sort(firsts_.begin(), firsts_.end());
    std::sort(lasts_.begin(), lasts_.end());
    if (aim == Aim::grid || !fill_leaves(items.size()))
        take_quantiles();
}

// Pivots so that each child is a leaf of one block, as full as can be, but with stretches apart in
// which nothing lies, if there are pivots enough. False: there are too many boxes for that.
bool TreeGrower::fill_leaves(std::size_t count) {
    return count <= kBlockSize * kParts &&
           (sweep(count, Gaps::apart) || sweep(count, Gaps::filled));
}

// Goes over the stretches between the places where boxes begin or end, and puts a pivot before the
// one that would make the child too large.
bool TreeGrower::sweep(std::size_t count, Gaps gaps) {
    pivots_.clear();
    const std::size_t early = count - firsts_.size();  // boxes that begin before all places
    std::size_t begun = 0, ended = 0;                  // boxes, up to the stretch
    std::size_t gone = 0;                              // had ended before the child began
    std::size_t before = early;                        // boxes in the last stretch
    while (before <= kBlockSize && (begun < firsts_.size() || ended < lasts_.size())) {
        const bool begins =
            ended == lasts_.size() || (begun < firsts_.size() && firsts_[begun] < lasts_[ended]);
        const std::uint32_t place = begins ? firsts_[begun] : lasts_[ended];
        while (begun < firsts_.size() && firsts_[begun] == place)
            ++begun;
        while (ended < lasts_.size() && lasts_[ended] == place)
            ++ended;
        const std::size_t here = early + begun - ended;
        const bool at_gap = gaps == Gaps::apart && (here == 0) != (before == 0);
        before = here;
        if (early + begun - gone <= kBlockSize && !at_gap)
            continue;
        if (pivots_.size() == kPivots)
            return false;
        pivots_.push_back(place);
        gone = ended;
    }
    return before <= kBlockSize;
}

// Quantiles of the places where boxes begin or end.
void TreeGrower::take_quantiles() {
    ends_.resize(firsts_.size() + lasts_.size());
    std::merge(firsts_.begin(), firsts_.end(), lasts_.begin(), lasts_.end(), ends_.begin());
    pivots_ = ends_;
    pivots_.erase(std::unique(pivots_.begin(), pivots_.end()), pivots_.end());
    if (pivots_.size() <= kPivots)
        return;
    pivots_.clear();
    for (std::size_t q = 1; q <= kPivots; ++q) {
        const std::uint32_t pivot = ends_[ends_.size() * q / kParts];
        if (pivots_.empty() || pivot != pivots_.back())
            pivots_.push_back(pivot);
    }
}

}  // namespace sluice::classify
