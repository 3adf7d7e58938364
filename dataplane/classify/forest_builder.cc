#include "dataplane/classify/forest_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace sluice::classify {

namespace {

constexpr unsigned kMaximumDepth = 24;
// From this many boxes on, pivots are chosen from a sample of them …
constexpr std::size_t kSampledNode = 4096;
// … and the way of spreading them over trees, too.
constexpr std::size_t kSampledForest = 2048;
// So few boxes need no second tree.
constexpr std::size_t kOneTree = 64;
constexpr unsigned kSampleKeys = 512;

struct Item {
    const Box* box = nullptr;
    std::uint32_t attributes = 0;
    std::uint32_t segment = 0;
    bool terminal = false;
    bool unverified = false;
};

using Items = std::vector<const Item*>;
using Space = std::array<Interval, lane::boxed>;

// The trees of a forest before they are laid out: a child is the number of a node, or with
// kGrownLeaf that of a block plus one.
constexpr Reference kGrownLeaf = 1u << 31;
constexpr Reference kGrownEmptyLeaf = kGrownLeaf;

struct GrownNode {
    Node node;
    unsigned lane = 0;
};

struct Growth {
    std::vector<GrownNode> nodes;
    std::vector<std::array<const Item*, kBlockSize>> blocks;  // null: no box
    std::vector<bool> more;                                   // by block: another follows
    unsigned depth = 0;                                       // of the tree being grown
    unsigned longest_leaf = 0;
    bool cut_short = false;
};

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

// A way to split a node.
struct Split {
    unsigned lane = 0;
    std::vector<std::uint32_t> pivots;
    double score = std::numeric_limits<double>::infinity();  // less is better
    std::size_t places = 0;                                  // boxes in all children
};

class TreeGrower {
  public:
    TreeGrower(Growth& growth, std::vector<unsigned> lanes)
        : growth_(growth), lanes_(std::move(lanes)) {}

    Reference grow(Items items, const Space& space, unsigned depth, double places) {
        growth_.depth = std::max(growth_.depth, depth);
        drop_hidden(items, space);
        const std::size_t count = items.size();
        if (count <= kBlockSize || depth >= kMaximumDepth)
            return make_leaf(items);
        const Split split = best_split(items, space);
        constexpr double kWorthwhile = 0.93;
        if (split.score > kWorthwhile * static_cast<double>(count))
            return make_leaf(items);
        if (static_cast<double>(split.places) > places) {
            growth_.cut_short = true;
            return make_leaf(items);
        }
        return make_node(items, space, depth, places, split);
    }

  private:
    Reference make_leaf(const Items& items) {
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

    Reference make_node(const Items& items, const Space& space, unsigned depth, double places,
                        const Split& split) {
        const auto number = static_cast<Reference>(growth_.nodes.size());
        GrownNode grown{.node = {}, .lane = split.lane};
        grown.node.pivots.fill(kFullLane);
        std::copy(split.pivots.begin(), split.pivots.end(), grown.node.pivots.begin());
        grown.node.children.fill(kGrownEmptyLeaf);
        growth_.nodes.push_back(grown);
        Items previous;
        Reference previous_child = kGrownEmptyLeaf;
        for (std::size_t child = 0; child <= split.pivots.size(); ++child) {
            Space part = space;
            if (child > 0)
                part[split.lane].first = split.pivots[child - 1] + 1;
            if (child < split.pivots.size())
                part[split.lane].last = split.pivots[child];
            Items inside;
            for (const Item* item : items)
                if (item->box->lanes[split.lane].first <= part[split.lane].last &&
                    item->box->lanes[split.lane].last >= part[split.lane].first)
                    inside.push_back(item);
            // Neighbours that hold the same few boxes share a leaf.
            if (child == 0 || inside.size() > kBlockSize || inside != previous) {
                const double share =
                    places * static_cast<double>(inside.size()) / static_cast<double>(split.places);
                previous = inside;
                previous_child = grow(std::move(inside), part, depth + 1, share);
            }
            growth_.nodes[number].node.children[child] = previous_child;
        }
        return number;
    }

    Split best_split(const Items& items, const Space& space) {
        Split best;
        for (const unsigned lane : lanes_) {
            if (space[lane].first == space[lane].last)
                continue;
            const std::vector<std::uint32_t> pivots = choose_pivots(items, space[lane], lane);
            if (pivots.empty())
                continue;
            const Split split = weigh(items, space[lane], lane, pivots);
            if (split.score < best.score)
                best = split;
        }
        return best;
    }

    // Quantiles of the places where boxes begin or end.
    const std::vector<std::uint32_t>& choose_pivots(const Items& items, const Interval& range,
                                                    unsigned lane) {
        const std::size_t step =
            items.size() > kSampledNode ? items.size() / (kSampledNode / 2) : 1;
        ends_.clear();
        for (std::size_t i = 0; i < items.size(); i += step) {
            const Interval& interval = items[i]->box->lanes[lane];
            if (interval.first > range.first)
                ends_.push_back(interval.first - 1);
            if (interval.last < range.last)
                ends_.push_back(interval.last);
        }
        pivots_.clear();
        if (ends_.empty())
            return pivots_;
        std::sort(ends_.begin(), ends_.end());
        pivots_ = ends_;
        pivots_.erase(std::unique(pivots_.begin(), pivots_.end()), pivots_.end());
        if (pivots_.size() <= Node::kPivots)
            return pivots_;
        pivots_.clear();
        for (std::size_t q = 1; q <= Node::kPivots; ++q) {
            const std::uint32_t pivot = ends_[ends_.size() * q / (Node::kPivots + 1)];
            if (pivots_.empty() || pivot != pivots_.back())
                pivots_.push_back(pivot);
        }
        return pivots_;
    }

    // The size of the child that a packet meets, between a packet of any header and one of a rule;
    // copies beyond two of each box count against the split.
    Split weigh(const Items& items, const Interval& range, unsigned lane,
                const std::vector<std::uint32_t>& pivots) {
        Split split{.lane = lane, .pivots = pivots};
        std::array<long, Node::kPivots + 2> change{};
        for (const Item* item : items) {
            const Interval& interval = item->box->lanes[lane];
            const auto child_of = [&](std::uint32_t value) {
                return static_cast<std::size_t>(
                    std::lower_bound(pivots.begin(), pivots.end(), value) - pivots.begin());
            };
            const std::size_t first = child_of(std::max(interval.first, range.first)),
                              last = child_of(std::min(interval.last, range.last));
            ++change[first];
            --change[last + 1];
            split.places += last - first + 1;
        }
        const auto count = static_cast<double>(items.size());
        const auto places = static_cast<double>(split.places);
        double squares = 0, largest = 0;
        long inside = 0;
        for (std::size_t child = 0; child <= pivots.size(); ++child) {
            inside += change[child];
            const auto size = static_cast<double>(inside);
            squares += size * size;
            largest = std::max(largest, size);
        }
        const double average = places / static_cast<double>(pivots.size() + 1);
        constexpr double kUseless = 0.9, kPriceOfCopies = 0.15;
        if (largest >= count && average > kUseless * count)
            return split;
        const double copies = std::max(0.0, places / count - 2);
        split.score = 0.5 * (average + squares / places) * (1 + kPriceOfCopies * copies);
        return split;
    }

    Growth& growth_;
    const std::vector<unsigned> lanes_;  // that any box restricts
    std::vector<std::uint32_t> ends_, pivots_;
};

// ---- Layout
// --------------------------------------------------------------------------------------

void put(Spans& spans, unsigned place, const Interval& interval) {
    spans.first[place] = interval.first;
    spans.span[place] = interval.last - interval.first;
}

void put_ports(PortSpans& ports, unsigned place, const Box& box) {
    constexpr std::uint32_t kLastPort = 0xffff;
    const auto put_one = [&](unsigned where, const Interval& interval) {
        ports.first[where] = static_cast<std::uint16_t>(std::min(interval.first, kLastPort));
        ports.last[where] = static_cast<std::uint16_t>(std::min(interval.last, kLastPort));
    };
    put_one(2 * place, box.lanes[lane::source_port]);
    put_one(2 * place + 1, box.lanes[lane::destination_port]);
}

void put_addresses(Block4& block, unsigned place, const Box& box) {
    put(block.source, place, box.lanes[lane::source]);
    put(block.destination, place, box.lanes[lane::destination]);
}

void put_addresses(Block6& block, unsigned place, const Box& box) {
    for (unsigned word = 0; word < 4; ++word) {
        put(block.source[word], place, box.lanes[lane::source + word]);
        put(block.destination[word], place, box.lanes[lane::destination + word]);
    }
}

template <typename Block>
void write_block(Block& block, const std::array<const Item*, kBlockSize>& items, bool more) {
    for (unsigned place = 0; place < kBlockSize; ++place) {
        const Item* item = items[place];
        if (item == nullptr) {
            block.attributes[place] = kNoPacketHas;
            block.rules.values[place] = BoxRules::kIndex;
            continue;
        }
        put_addresses(block, place, *item->box);
        put_ports(block.ports, place, *item->box);
        block.attributes[place] = item->attributes;
        block.rules.values[place] = item->box->rule | (item->terminal ? BoxRules::kTerminal : 0) |
                                    (item->unverified ? BoxRules::kUnverified : 0);
    }
    if (more)
        block.rules.values[0] |= BoxRules::kMore;
}

// Line 0 and those behind it stand for the empty leaf; a search fetches them, but reads nothing.
constexpr std::uint32_t kFirstLine = 4;
// What a search may fetch behind the last leaf.
constexpr std::uint32_t kLinesBehind = 16;

template <typename Block>
void lay_out(const Growth& growth, Forest& forest) {
    constexpr std::uint32_t kNodeLines = sizeof(Node) / Arena::kLine,
                            kBlockLines = sizeof(Block) / Arena::kLine;
    const auto first_block =
        static_cast<std::uint32_t>(kFirstLine + growth.nodes.size() * kNodeLines);
    forest.arena = Arena(first_block + growth.blocks.size() * kBlockLines + kLinesBehind);
    const auto reference_to = [&](Reference grown) -> Reference {
        if (grown == kGrownEmptyLeaf)
            return kEmptyLeaf;
        if ((grown & kGrownLeaf) != 0) {
            const Reference block = (grown & ~kGrownLeaf) - 1;
            return (first_block + block * kBlockLines) * Arena::kLine | kLeaf;
        }
        return (kFirstLine + grown * kNodeLines) * Arena::kLine |
               static_cast<Reference>(growth.nodes[grown].lane * sizeof(std::uint32_t));
    };
    for (std::uint32_t i = 0; i < growth.nodes.size(); ++i) {
        Node node = growth.nodes[i].node;
        for (Reference& child : node.children)
            child = reference_to(child);
        *forest.arena.at<Node>(kFirstLine + i * kNodeLines) = node;
    }
    for (std::uint32_t i = 0; i < growth.blocks.size(); ++i)
        write_block(*forest.arena.at<Block>(first_block + i * kBlockLines), growth.blocks[i],
                    growth.more[i]);
    for (Tree& tree : forest.trees)
        tree.root = reference_to(tree.root);
}

// ---- Trees
// ---------------------------------------------------------------------------------------

// Which of the four kinds of boxes (source wide or not, destination wide or not) share a tree.
struct Spreading {
    std::array<std::uint8_t, 4> tree_of_kind;  // bit 0: wide source, bit 1: wide destination
};
constexpr std::array<Spreading, 5> kSpreadings = {{
    {{0, 1, 2, 3}},
    {{0, 1, 0, 3}},
    {{0, 0, 2, 3}},
    {{0, 1, 0, 1}},
    {{0, 0, 2, 2}},
}};
constexpr Spreading kTogether = {{0, 0, 0, 0}};

// In IPv6 the first 16 bits or so are the same for everybody.
std::uint32_t wide_span(Family family) {
    return family == Family::v6 ? 0xff : 0xffffff;
}

unsigned kind_of(const Box& box, Family family) {
    const auto is_wide = [&](unsigned where) {
        return box.lanes[where].last - box.lanes[where].first >= wide_span(family);
    };
    return (is_wide(lane::source) ? 1u : 0u) | (is_wide(lane::destination) ? 2u : 0u);
}

// Trees whose boxes are narrow come first: what they find saves searches in the others.
std::uint8_t phase_of(std::uint32_t kinds) {
    if ((kinds & 1) != 0)
        return 0;
    return kinds == 1u << 3 ? 2 : 1;
}

// The filter indices that the boxes of a tree can have in one address: ascending, apart.
using Coverage = std::vector<Interval>;

Coverage coverage_of(const Items& items, Family family, unsigned where) {
    constexpr Interval kAll{0, Forest::kFilterSize - 1};
    Coverage parts;
    parts.reserve(items.size());
    for (const Item* item : items) {
        const Interval& word = item->box->lanes[where];
        // Mixed indices of neighbours are not neighbours.
        if (family == Family::v6 && word.first != word.last)
            return {kAll};
        parts.push_back(
            {Forest::filter_index(family, word.first), Forest::filter_index(family, word.last)});
    }
    std::sort(parts.begin(), parts.end(),
              [](const Interval& a, const Interval& b) { return a.first < b.first; });
    Coverage apart;
    for (const Interval& part : parts) {
        if (!apart.empty() && part.first <= apart.back().last + 1)
            apart.back().last = std::max(apart.back().last, part.last);
        else
            apart.push_back(part);
    }
    return apart;
}

bool contains(const Coverage& coverage, std::uint32_t index) {
    const auto behind = std::upper_bound(
        coverage.begin(), coverage.end(), index,
        [](std::uint32_t value, const Interval& part) { return value < part.first; });
    return behind != coverage.begin() && index <= std::prev(behind)->last;
}

void fill_filter(std::vector<std::uint8_t>& filter, const Coverage& coverage, std::uint8_t bit) {
    for (const Interval& part : coverage)
        for (std::uint32_t i = part.first; i <= part.last; ++i)
            filter[i] |= bit;
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

struct Grown {
    Forest forest;
    Growth growth;
    ForestCost cost;
    // By tree. A filter for a handful of boxes would cost more than it saves.
    bool filtered = false;
    std::vector<Coverage> sources, destinations;
};

Grown grow_forest(const ForestInput& input, const Items& items, const Spreading& spreading) {
    Grown grown;
    Forest& forest = grown.forest;
    forest.family = input.family;
    std::array<Items, Forest::kMaximumTrees> parts;
    std::array<std::uint32_t, Forest::kMaximumTrees> kinds{};
    for (const Item* item : items) {
        const unsigned kind = kind_of(*item->box, input.family);
        parts[spreading.tree_of_kind[kind]].push_back(item);
        kinds[spreading.tree_of_kind[kind]] |= 1u << kind;
    }
    grown.filtered = items.size() > kOneTree;
    std::vector<unsigned> order;
    for (unsigned i = 0; i < parts.size(); ++i)
        if (!parts[i].empty())
            order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](unsigned a, unsigned b) {
        return phase_of(kinds[a]) < phase_of(kinds[b]);
    });
    const double spare = (static_cast<double>(input.places_per_box * items.size()) / 2 +
                          static_cast<double>(input.places_on_top)) /
                         std::max<double>(1, static_cast<double>(order.size()));
    const std::vector<unsigned> lanes = restricted_lanes(items);
    Space space;
    space.fill({0, kFullLane});
    for (const unsigned part : order) {
        grown.growth.depth = 0;
        grown.growth.longest_leaf = 0;
        if (grown.filtered) {
            grown.sources.push_back(coverage_of(parts[part], input.family, lane::source));
            grown.destinations.push_back(coverage_of(parts[part], input.family, lane::destination));
        }
        const double places =
            static_cast<double>(input.places_per_box * parts[part].size()) / 2 + spare;
        Tree tree{.first_rule = parts[part].front()->box->rule, .phase = phase_of(kinds[part])};
        tree.root = TreeGrower(grown.growth, lanes).grow(std::move(parts[part]), space, 0, places);
        forest.trees.push_back(tree);
        grown.cost.worst_nodes += grown.growth.depth;
        grown.cost.worst_blocks += grown.growth.longest_leaf;
    }
    grown.cost.trees = static_cast<unsigned>(forest.trees.size());
    grown.cost.cut_short = grown.growth.cut_short;
    return grown;
}

void fill_filters(Grown& grown) {
    Forest& forest = grown.forest;
    forest.source_filter.assign(Forest::kFilterSize, 0);
    forest.destination_filter.assign(Forest::kFilterSize, 0);
    for (std::size_t t = 0; t < forest.trees.size(); ++t) {
        const auto bit = static_cast<std::uint8_t>(1u << t);
        fill_filter(forest.source_filter, grown.sources[t], bit);
        fill_filter(forest.destination_filter, grown.destinations[t], bit);
    }
}

// ---- The choice among ways of spreading
// ----------------------------------------------------------

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
double search_cost(const Grown& grown, const std::vector<HeaderKey>& keys) {
    constexpr double kTree = 3, kNode = 3, kBlock = 4;
    const Forest& forest = grown.forest;
    double cost = 0;
    for (const HeaderKey& key : keys) {
        const auto index = [&](unsigned where) {
            return Forest::filter_index(forest.family, key.lanes[where]);
        };
        for (std::size_t t = 0; t < forest.trees.size(); ++t) {
            if (grown.filtered && (!contains(grown.sources[t], index(lane::source)) ||
                                   !contains(grown.destinations[t], index(lane::destination))))
                continue;
            cost += kTree;
            Reference at = forest.trees[t].root;
            for (; (at & kGrownLeaf) == 0; cost += kNode) {
                const auto& [node, lane] = grown.growth.nodes[at];
                unsigned child = 0;
                while (node.pivots[child] < key.lanes[lane])
                    ++child;
                at = node.children[child];
            }
            if (at == kGrownEmptyLeaf)
                continue;
            for (std::size_t block = (at & ~kGrownLeaf) - 1;; ++block) {
                cost += kBlock;
                if (!grown.growth.more[block])
                    break;
            }
        }
    }
    return cost;
}

Items every(const Items& items, std::size_t step) {
    Items sample;
    for (std::size_t i = 0; i < items.size(); i += step)
        sample.push_back(items[i]);
    return sample;
}

Spreading choose_spreading(const ForestInput& input, const Items& items) {
    if (items.size() <= kOneTree)
        return kTogether;
    const Items sample = every(items, (items.size() + kSampledForest - 1) / kSampledForest);
    const std::vector<HeaderKey> keys = sample_keys(items);
    Spreading best = kTogether;
    double best_cost = std::numeric_limits<double>::infinity();
    const auto consider = [&](const Spreading& spreading) {
        const double cost = search_cost(grow_forest(input, sample, spreading), keys);
        if (cost < best_cost) {
            best_cost = cost;
            best = spreading;
        }
    };
    for (const Spreading& spreading : kSpreadings)
        consider(spreading);
    // Copies of wide boxes in a common tree are only affordable while there are few.
    if (items.size() <= kSampledForest)
        consider(kTogether);
    return best;
}

// ---- Rules that match everything
// -----------------------------------------------------------------

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

}  // namespace

Forest build_forest(const ForestInput& input, ForestCost& cost) {
    const std::vector<Item> items = make_items(input);
    Forest wild;
    const Items rest = split_wild(items, wild);
    Grown grown;
    grown.forest.family = input.family;
    if (!rest.empty())
        grown = grow_forest(input, rest, choose_spreading(input, rest));
    Forest& forest = grown.forest;
    if (grown.filtered)
        fill_filters(grown);
    forest.wild_terminal = std::move(wild.wild_terminal);
    forest.wild_others = std::move(wild.wild_others);
    if (input.family == Family::v6)
        lay_out<Block6>(grown.growth, forest);
    else
        lay_out<Block4>(grown.growth, forest);
    cost = grown.cost;
    cost.boxes = input.boxes.size();
    cost.bytes = forest.arena.size() + forest.source_filter.size() +
                 forest.destination_filter.size() +
                 (forest.wild_terminal.size() + forest.wild_others.size()) * sizeof(std::uint32_t);
    return std::move(grown.forest);
}

}  // namespace sluice::classify
