// Grows one split tree of a forest, before it is laid out for searches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "dataplane/classify/forest.h"
#include "dataplane/classify/rule_boxes.h"

namespace sluice::classify {

// A box, and what has become of its conditions.
struct Item {
    const Box* box = nullptr;
    std::uint32_t attributes = 0;
    std::uint32_t segment = 0;
    bool terminal = false;
    bool unverified = false;
};

using Items = std::vector<const Item*>;
using Space = std::array<Interval, lane::boxed>;

// In a tree that is not laid out a child is the number of a node, or with kGrownLeaf that of a
// block plus one.
inline constexpr Reference kGrownLeaf = 1u << 31;
inline constexpr Reference kGrownEmptyLeaf = kGrownLeaf;

struct GrownNode {
    Node node;
    unsigned lane = 0;
};

struct GrownGrid {
    Grid grid;
    unsigned first_lane = 0, second_lane = 0;
};

// The trees of a forest.
struct Growth {
    std::vector<GrownNode> nodes;
    std::vector<GrownGrid> grids;
    std::vector<std::array<const Item*, kBlockSize>> blocks;  // null: no box
    std::vector<bool> more;                                   // by block: another follows
    unsigned depth = 0;                                       // of the tree being grown
    unsigned longest_leaf = 0;
    bool cut_short = false;
};

struct GrownTree {
    bool has_grid = false;
    Reference root = kGrownEmptyLeaf;  // with a grid: its number
};

// What is tried first for the root of a tree.
enum class Root : std::uint8_t { node, grid };

class TreeGrower {
  public:
    // Boxes are split in some of `lanes`.
    TreeGrower(Growth& growth, std::vector<unsigned> lanes)
        : growth_(growth), lanes_(std::move(lanes)) {}

    // Of some boxes in the order of their rules. Takes `places` for boxes, as about as one can say.
    GrownTree grow(Items items, Root root, double places);

  private:
    // A way to split a node.
    struct Split {
        unsigned lane = 0;
        std::vector<std::uint32_t> pivots;
        double score = std::numeric_limits<double>::infinity();  // less is better
        std::size_t places = 0;                                  // boxes in all children
    };
    enum class Aim { nodes, grid };
    enum class Gaps { apart, filled };

    Reference grow_node(Items items, const Space& space, unsigned depth, double places);
    bool grow_grid(const Items& items, const Space& space, double places);
    Reference make_leaf(const Items& items);
    Reference make_node(const Items& items, const Space& space, unsigned depth, double places,
                        const Split& split);
    Split best_split(const Items& items, const Space& space);
    Split split_in(const Items& items, const Space& space, unsigned lane, Aim aim);
    void choose_pivots(const Items& items, const Interval& range, unsigned lane, Aim aim);
    bool fill_leaves(std::size_t count);
    bool sweep(std::size_t count, Gaps gaps);
    void take_quantiles();

    Growth& growth_;
    const std::vector<unsigned> lanes_;
    // For choose_pivots.
    std::vector<std::uint32_t> firsts_, lasts_, ends_, pivots_;
};

}  // namespace sluice::classify
