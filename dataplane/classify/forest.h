// Split trees: the compiled form of the header tests of one family.
//
// Purpose. Which rules match a packet, in their order, at a cost that does not grow with the rules.
//
// Layout. A rule is one or more boxes in the space of the key's lanes, and a set of attribute bits
// that the packet must have. The boxes are spread over a few trees, so that those with a wide
// source do not have to be copied into every branch that splits by source, and so on. A node has
// 15 pivots in one lane and 16 children; which child is a matter of one comparison of vectors. A
// leaf is a run of blocks of eight boxes, in the order of their rules, lane by lane: a dozen vector
// instructions tell which of the eight match. Nodes and leaves lie in one array of cache lines and
// refer to each other by line. A filter says for the upper bits of both addresses which trees can
// hold a match at all. Rules that match every packet of the family are not in trees.
//
// Immutable once it is built.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/classify/arena.h"
#include "dataplane/classify/header_key.h"

namespace sluice::classify {

// Where a node or a leaf begins in the arena, in bytes, a multiple of a line. The bits below say
// what it is, so that a search knows the lane of a node before the node has come from memory: bit
// 0: a leaf; otherwise the place of the lane in a key, in bytes, is in bits 0 to 5. An empty leaf
// begins at 0.
using Reference = std::uint32_t;
inline constexpr Reference kLeaf = 1;
inline constexpr Reference kEmptyLeaf = kLeaf;
inline constexpr Reference kWhat = Arena::kLine - 1;
static_assert(lane::boxed * sizeof(std::uint32_t) <= kWhat);

// Ascending; part i of a lane has keys above pivot i - 1 and at most pivot i. What is not used, and
// the last one always, is the greatest number, which no key is above.
inline constexpr unsigned kPivots = 15;
inline constexpr unsigned kParts = kPivots + 1;
using Pivots = std::array<std::uint32_t, kParts>;

struct alignas(64) Node {
    Pivots pivots;
    std::array<Reference, kParts> children;
};
static_assert(sizeof(Node) == 128);

// The root of a tree may split in two lanes at once: child 16 * i + j has the keys that are in part
// i of the first lane and in part j of the second.
struct alignas(64) Grid {
    Pivots first_pivots, second_pivots;
    std::array<Reference, kParts * kParts> children;
};
static_assert(sizeof(Grid) == 18 * 64);

inline constexpr unsigned kBlockSize = 8;
template <typename T>
using Eight = std::array<T, kBlockSize>;

// first <= value <= first + span, as unsigned numbers, is value - first <= span.
struct Spans {
    Eight<std::uint32_t> first, span;
};
struct PortSpans {
    // For each box the source port, then the destination port.
    std::array<std::uint16_t, 2 * kBlockSize> first, last;
};

// The rule a box belongs to. Within a leaf they ascend; boxes of one rule may follow each other.
struct BoxRules {
    static constexpr std::uint32_t kTerminal = 1u << 31;    // a match ends the list
    static constexpr std::uint32_t kUnverified = 1u << 30;  // see Matches::kUnverified
    static constexpr std::uint32_t kMore = 1u << 29;        // how many blocks follow, see leaf.h
    static constexpr std::uint32_t kIndex = kMore - 1;

    Eight<std::uint32_t> values;
};

struct alignas(64) Block4 {
    Spans source, destination;
    PortSpans ports;
    Eight<std::uint32_t> attributes;
    BoxRules rules;
};
static_assert(sizeof(Block4) == 4 * 64);

struct alignas(64) Block6 {
    PortSpans ports;
    Eight<std::uint32_t> attributes;
    BoxRules rules;
    std::array<Spans, 4> source, destination;  // word by word
};
static_assert(sizeof(Block6) == 10 * 64);

struct Tree {
    // With a grid: where it begins in the arena, in bytes. Its lanes are below.
    Reference root = kEmptyLeaf;
    bool has_grid = false;
    std::uint8_t first_lane = 0, second_lane = 0;
    std::uint32_t first_rule = 0;  // no rule in it comes before this one
    std::uint8_t phase = 0;        // those of one phase are searched together
};

struct Forest {
    static constexpr unsigned kMaximumTrees = 4;
    static constexpr std::size_t kFilterIndices = 1 << 16;

    Family family = Family::v4;
    Arena arena;
    std::vector<Tree> trees;  // at most kMaximumTrees, by phase
    // Four bits for each filter_index of an address: bit t: tree t may hold a box for it. Empty: no
    // filter.
    std::vector<std::uint8_t> source_filter, destination_filter;
    // Rules that match every packet of the family, ascending. One of the terminal ones is the
    // default rule, the last of all.
    std::vector<std::uint32_t> wild_terminal;
    std::vector<std::uint32_t> wild_others;

    // What matches when nothing has to be searched.
    std::optional<std::uint32_t> only_rule() const {
        if (!trees.empty() || !wild_others.empty())
            return std::nullopt;
        return wild_terminal.front();
    }

    // From the first word of an address. IPv6 networks in use share their first bits, so those
    // are mixed.
    static std::uint32_t filter_index(Family family, std::uint32_t word) {
        return (family == Family::v6 ? word * 0x9e3779b1u : word) >> 16;
    }
    // Above the four bits there may be others.
    static unsigned filtered_trees(const std::uint8_t* filter, std::uint32_t index) {
        return static_cast<unsigned>(filter[index / 2]) >> index % 2 * kMaximumTrees;
    }
};

}  // namespace sluice::classify
