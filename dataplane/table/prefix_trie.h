// Longest prefix match: a trie of six bits a level that leaves out levels where nothing branches.
//
// Layout. A leaf is one prefix. A node stands for the bits up to `depth`, a multiple of six, which
// it holds in full: a look-up compares them and may so skip levels. It knows the prefixes of
// depth + 1 … depth + 6 bits that begin there: those of six bits in `exact`, the shorter ones in
// `prefixes`, in the order of a heap, so that the highest bit that fits is the longest; and what
// lies behind the next six bits (`children`: nodes and leaves). The empty prefix belongs to depth
// 0. Behind the header stand the references without gaps: children, prefixes, exact ones. So the
// prefixes of 24 bits of one /18, or of 48 bits of one /42, share a node, and a node costs what it
// holds.
// Change. What a reader may see is never changed. A change copies the nodes from the root to the
// place, and the new root is published; what was copied is given back after a grace period. Within
// one transaction nodes that it made itself are changed in place.
// Bounds. A look-up visits at most (bits + 5) / 6 nodes; a change recurses as deep.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "dataplane/table/node_heap.h"

namespace sluice::table {

__extension__ typedef unsigned __int128 Bits128;

inline constexpr unsigned kTrieStride = 6;

// By the six bits of a level: the places in the heap of prefixes that cover them.
constexpr std::array<std::uint64_t, 64> fitting_prefixes() {
    std::array<std::uint64_t, 64> fitting{};
    for (unsigned chunk = 0; chunk < 64; ++chunk)
        for (unsigned extra = 0; extra < kTrieStride; ++extra)
            fitting[chunk] |= std::uint64_t{1} << ((1u << extra) | chunk >> (kTrieStride - extra));
    return fitting;
}

template <typename Key>
class PrefixTrie {
  public:
    static constexpr unsigned kBits = sizeof(Key) * 8;

    // A look-up on its way down.
    struct Search {
        Reference next = 0;  // what to look at; 0: it has ended
        Reference best = 0;  // entry of the longest prefix so far that covers the key; 0: none
    };

    // Looks at one node. REQUIRES: search.next is not 0.
    static void step(const BlockMemory& memory, Search& search, Key key) {
        if (is_leaf(search.next)) {
            const Leaf& leaf = leaf_at(memory, search.next);
            if (((key ^ leaf.bits()) & mask(leaf.length)) == 0)
                search.best = leaf.entry;
            search.next = 0;
            return;
        }
        const Node& node = at(memory, search.next);
        search.next = 0;
        if (((key ^ node.bits()) & mask(node.depth)) != 0)
            return;
        const unsigned chunk = chunk_of(key, node.depth);
        if ((node.has.exact >> chunk & 1) != 0) {
            search.best = node.slots()[node.has.slot({.kind = Kind::exact, .at = chunk})];
        } else if (const std::uint64_t fitting = node.has.prefixes & kFitting[chunk];
                   fitting != 0) {
            const auto longest = static_cast<unsigned>(63 - std::countl_zero(fitting));
            search.best = node.slots()[node.has.slot({.kind = Kind::prefix, .at = longest})];
        }
        if ((node.has.children >> chunk & 1) != 0)
            search.next = node.slots()[rank(node.has.children, chunk)];
    }

    // The entry of the longest prefix that covers the key; 0: none does.
    static Reference find(const BlockMemory& memory, Reference root, Key key) {
        Search search{.next = root};
        while (search.next != 0)
            step(memory, search, key);
        return search.best;
    }

    // Most nodes begin a cache line and end in the next one.
    static void prefetch(const BlockMemory& memory, Reference node) {
        const auto* begin = static_cast<const std::byte*>(memory.at(node & ~kLeaf));
        __builtin_prefetch(begin);
        if (!is_leaf(node))
            __builtin_prefetch(begin + 64);
    }

    // The entry of exactly this prefix.
    static Reference get(const BlockMemory& memory, Reference root, Key key, unsigned length) {
        while (root != 0) {
            if (is_leaf(root)) {
                const Leaf& leaf = leaf_at(memory, root);
                return leaf.length == length && leaf.bits() == key ? leaf.entry : 0;
            }
            const Node& node = at(memory, root);
            if (depth_of(length) < node.depth || ((key ^ node.bits()) & mask(node.depth)) != 0)
                return 0;
            if (depth_of(length) == node.depth) {
                const Place place = place_of(key, length);
                return node.has.contains(place) ? node.slots()[node.has.slot(place)] : 0;
            }
            const unsigned chunk = chunk_of(key, node.depth);
            if ((node.has.children >> chunk & 1) == 0)
                return 0;
            root = node.slots()[rank(node.has.children, chunk)];
        }
        return 0;
    }

    // Puts `entry` at the prefix, in place of what was there, and returns the new root. REQUIRES:
    // the bits of `key` behind `length` are zero. When the heap has failed the result is of no use.
    static Reference put(NodeHeap& heap, Reference root, Key key, unsigned length,
                         Reference entry) {
        if (root == 0)
            return make_leaf(heap, key, length, entry);
        if (is_leaf(root))
            return put_beside(heap, root, key, length, entry);
        const Node& node = at(heap.memory(), root);
        const unsigned common = std::min(common_bits(key, node.bits()), length);
        if (common < node.depth || depth_of(length) < node.depth)
            return branch(heap, common == length ? depth_of(length) : common / kStride * kStride,
                          {.bits = node.bits(), .length = kBits, .value = root, .is_below = true},
                          {.bits = key, .length = length, .value = entry});
        if (depth_of(length) == node.depth) {
            const Place place = place_of(key, length);
            return copy(heap, root, node.has.with(place), node.has.slot(place), entry);
        }
        const Place place{.kind = Kind::child, .at = chunk_of(key, node.depth)};
        const unsigned slot = node.has.slot(place);
        const Reference below = node.has.contains(place) ? node.slots()[slot] : 0;
        const Reference changed = put(heap, below, key, length, entry);
        return changed == below ? root : copy(heap, root, node.has.with(place), slot, changed);
    }

    // Takes the prefix out and returns the new root.
    static Reference remove(NodeHeap& heap, Reference root, Key key, unsigned length) {
        if (root == 0)
            return 0;
        if (is_leaf(root)) {
            const Leaf& leaf = leaf_at(heap.memory(), root);
            if (leaf.length != length || leaf.bits() != key)
                return root;
            release(heap, root);
            return 0;
        }
        const Node& node = at(heap.memory(), root);
        if (depth_of(length) < node.depth || ((key ^ node.bits()) & mask(node.depth)) != 0)
            return root;
        if (depth_of(length) == node.depth) {
            const Place place = place_of(key, length);
            if (!node.has.contains(place))
                return root;
            return shrink(heap, root, place);
        }
        const Place place{.kind = Kind::child, .at = chunk_of(key, node.depth)};
        if (!node.has.contains(place))
            return root;
        const unsigned slot = node.has.slot(place);
        const Reference below = node.slots()[slot];
        const Reference changed = remove(heap, below, key, length);
        if (changed == below)
            return root;
        return changed != 0 ? copy(heap, root, node.has, slot, changed) : shrink(heap, root, place);
    }

    // Gives all of it back and calls `entry(reference)` for each entry.
    template <typename Function>
    static void clear(NodeHeap& heap, Reference root, Function entry) {
        if (root == 0)
            return;
        if (is_leaf(root)) {
            entry(leaf_at(heap.memory(), root).entry);
        } else {
            const Node& node = at(heap.memory(), root);
            for (unsigned slot = 0; slot < node.has.count(); ++slot)
                if (slot < node.has.child_count())
                    clear(heap, node.slots()[slot], entry);
                else
                    entry(node.slots()[slot]);
        }
        release(heap, root);
    }

    // Calls `entry(key, length, reference)` in the order of keys, shorter prefixes first.
    template <typename Function>
    static void each(const BlockMemory& memory, Reference root, Function entry) {
        if (root == 0)
            return;
        if (is_leaf(root)) {
            const Leaf& leaf = leaf_at(memory, root);
            entry(leaf.bits(), leaf.length, leaf.entry);
            return;
        }
        const Node& node = at(memory, root);
        const auto tell = [&](Place place, unsigned chunk, unsigned extra) {
            if (node.has.contains(place))
                entry(with_chunk(node.bits(), node.depth, chunk), node.depth + extra,
                      node.slots()[node.has.slot(place)]);
        };
        for (unsigned chunk = 0; chunk < 64; ++chunk) {
            for (unsigned extra = 0; extra < kStride; ++extra)
                if ((chunk & ((1u << (kStride - extra)) - 1)) == 0)
                    tell({.kind = Kind::prefix, .at = (1u << extra) | chunk >> (kStride - extra)},
                         chunk, extra);
            tell({.kind = Kind::exact, .at = chunk}, chunk, kStride);
            if ((node.has.children >> chunk & 1) != 0)
                each(memory, node.slots()[rank(node.has.children, chunk)], entry);
        }
    }

    // Bytes of all nodes and leaves.
    static std::uint64_t bytes(const BlockMemory& memory, Reference root) {
        if (root == 0)
            return 0;
        std::uint64_t sum = std::uint64_t{units_of(memory, root)} * BlockMemory::kUnit;
        if (is_leaf(root))
            return sum;
        const Node& node = at(memory, root);
        for (unsigned i = 0; i < node.has.child_count(); ++i)
            sum += bytes(memory, node.slots()[i]);
        return sum;
    }

    // What hangs below the upper `length` bits, in pieces: calls `piece(bits, root)` for what lies
    // as a whole below some value of them, `entry(key, length, reference)` for the rest, and gives
    // back the nodes in which they hung together.
    template <typename Piece, typename Function>
    static void take_apart(NodeHeap& heap, Reference root, unsigned length, Piece piece,
                           Function entry) {
        if (root == 0)
            return;
        if (is_leaf(root)) {
            const Leaf& leaf = leaf_at(heap.memory(), root);
            if (leaf.length >= length)
                return piece(leaf.bits(), root);
            entry(leaf.bits(), leaf.length, leaf.entry);
            return release(heap, root);
        }
        const Node& node = at(heap.memory(), root);
        if (node.depth >= length)
            return piece(node.bits(), root);
        for (unsigned extra = 0; extra < kStride; ++extra)
            for (unsigned value = 0; value < 1u << extra; ++value) {
                const Place place{.kind = Kind::prefix, .at = (1u << extra) | value};
                if (node.has.contains(place))
                    entry(with_chunk(node.bits(), node.depth, value << (kStride - extra)),
                          node.depth + extra, node.slots()[node.has.slot(place)]);
            }
        for (unsigned chunk = 0; chunk < 64; ++chunk) {
            if ((node.has.exact >> chunk & 1) != 0)
                entry(with_chunk(node.bits(), node.depth, chunk), node.depth + kStride,
                      node.slots()[node.has.slot({.kind = Kind::exact, .at = chunk})]);
            if ((node.has.children >> chunk & 1) != 0)
                take_apart(heap, node.slots()[rank(node.has.children, chunk)], length, piece,
                           entry);
        }
        release(heap, root);
    }

  private:
    static constexpr unsigned kStride = kTrieStride;
    static constexpr std::array<std::uint64_t, 64> kFitting = fitting_prefixes();
    static constexpr Reference kLeaf = Reference{1} << 31;

    enum class Kind : std::uint8_t { child, prefix, exact };
    struct Place {
        Kind kind = Kind::child;
        unsigned at = 0;  // bit of the word of its kind
    };

    struct Contents {
        std::uint64_t children = 0, prefixes = 0, exact = 0;

        unsigned child_count() const { return static_cast<unsigned>(std::popcount(children)); }
        unsigned count() const {
            return child_count() + static_cast<unsigned>(std::popcount(prefixes)) +
                   static_cast<unsigned>(std::popcount(exact));
        }
        std::uint64_t& word(Kind kind) {
            return kind == Kind::child ? children : kind == Kind::prefix ? prefixes : exact;
        }
        bool contains(Place place) const {
            return (Contents(*this).word(place.kind) >> place.at & 1) != 0;
        }
        Contents with(Place place) const {
            Contents result = *this;
            result.word(place.kind) |= std::uint64_t{1} << place.at;
            return result;
        }
        Contents without(Place place) const {
            Contents result = *this;
            result.word(place.kind) &= ~(std::uint64_t{1} << place.at);
            return result;
        }
        // Which reference it is, or would be.
        unsigned slot(Place place) const {
            if (place.kind == Kind::child)
                return rank(children, place.at);
            if (place.kind == Kind::prefix)
                return child_count() + rank(prefixes, place.at);
            return child_count() + static_cast<unsigned>(std::popcount(prefixes)) +
                   rank(exact, place.at);
        }
    };

    // Blocks are not aligned as a wide key would be.
    struct Words {
        std::uint32_t words[sizeof(Key) / 4];

        Key value() const {
            Key key;
            std::memcpy(&key, words, sizeof key);
            return key;
        }
        void set(Key key) { std::memcpy(words, &key, sizeof key); }
    };

    struct Node : BlockHeader {
        Contents has;
        std::uint32_t depth;
        Words up_to_depth;  // zero behind

        Key bits() const { return up_to_depth.value(); }
        Reference* slots() { return up_to_depth.words + sizeof(Key) / 4; }
        const Reference* slots() const { return up_to_depth.words + sizeof(Key) / 4; }
    };

    struct Leaf : BlockHeader {
        Reference entry;
        std::uint32_t length;
        Words key;

        Key bits() const { return key.value(); }
    };

    static constexpr std::size_t kNodeSize =
        sizeof(BlockHeader) + sizeof(Contents) + sizeof(std::uint32_t) + sizeof(Words);
    static constexpr unsigned kLeafUnits = (sizeof(Leaf) + 7) / 8;

    static bool is_leaf(Reference reference) { return (reference & kLeaf) != 0; }

    static unsigned units_for(unsigned slots) {
        return static_cast<unsigned>((kNodeSize + slots * sizeof(Reference) + 7) / 8);
    }
    static unsigned units_of(const BlockMemory& memory, Reference reference) {
        return is_leaf(reference) ? kLeafUnits : units_for(at(memory, reference).has.count());
    }

    static Node& at(const BlockMemory& memory, Reference node) {
        return *static_cast<Node*>(memory.at(node));
    }
    static Leaf& leaf_at(const BlockMemory& memory, Reference leaf) {
        return *static_cast<Leaf*>(memory.at(leaf & ~kLeaf));
    }

    static Key mask(unsigned length) {
        return length == 0 ? Key{0} : static_cast<Key>(~Key{0} << (kBits - length));
    }

    // The six bits from `depth` on; what lies behind the key is zero.
    static unsigned chunk_of(Key key, unsigned depth) {
        const unsigned left = kBits - depth;
        if (left >= kStride)
            return static_cast<unsigned>(key >> (left - kStride)) & 63;
        return static_cast<unsigned>(key << (kStride - left)) & 63;
    }

    static Key with_chunk(Key bits, unsigned depth, unsigned chunk) {
        const unsigned left = kBits - depth;
        if (left >= kStride)
            return static_cast<Key>(bits | static_cast<Key>(chunk) << (left - kStride));
        return static_cast<Key>(bits | static_cast<Key>(chunk >> (kStride - left)));
    }

    // Of the node that has the prefixes of this length.
    static unsigned depth_of(unsigned length) {
        return length == 0 ? 0 : (length - 1) / kStride * kStride;
    }

    // Of a prefix in its node.
    static Place place_of(Key key, unsigned length) {
        const unsigned extra = length - depth_of(length);
        const unsigned chunk = chunk_of(key, depth_of(length));
        if (extra == kStride)
            return {.kind = Kind::exact, .at = chunk};
        return {.kind = Kind::prefix, .at = (1u << extra) | chunk >> (kStride - extra)};
    }

    static unsigned rank(std::uint64_t bits, unsigned place) {
        return static_cast<unsigned>(std::popcount(bits & ((std::uint64_t{1} << place) - 1)));
    }

    static unsigned common_bits(Key a, Key b) {
        const Key difference = a ^ b;
        if (difference == 0)
            return kBits;
        if constexpr (sizeof(Key) == 16) {
            const auto high = static_cast<std::uint64_t>(difference >> 64);
            return high != 0 ? static_cast<unsigned>(std::countl_zero(high))
                             : 64 + static_cast<unsigned>(
                                        std::countl_zero(static_cast<std::uint64_t>(difference)));
        } else {
            return static_cast<unsigned>(std::countl_zero(difference));
        }
    }

    static Reference make_leaf(NodeHeap& heap, Key key, unsigned length, Reference entry) {
        const Reference reference = heap.take(kLeafUnits);
        if (reference == 0)
            return 0;
        Leaf& leaf = leaf_at(heap.memory(), reference);
        leaf.entry = entry;
        leaf.length = length;
        leaf.key.set(key);
        return reference | kLeaf;
    }

    // A node, with room for its slots, which the caller fills. 0: no memory.
    static Reference make(NodeHeap& heap, const Contents& has, unsigned depth, Key bits) {
        const Reference reference = heap.take(units_for(has.count()));
        if (reference == 0)
            return 0;
        Node& node = at(heap.memory(), reference);
        node.has = has;
        node.depth = depth;
        node.up_to_depth.set(bits);
        return reference;
    }

    static void release(NodeHeap& heap, Reference reference) {
        heap.release(reference & ~kLeaf, units_of(heap.memory(), reference));
    }

    // What comes into a new node: a prefix with its entry, or what lies below it already.
    struct Part {
        Key bits;
        unsigned length;
        Reference value;
        bool is_below = false;

        Place place(unsigned depth) const {
            if (is_below || depth_of(length) != depth)
                return {.kind = Kind::child, .at = chunk_of(bits, depth)};
            return place_of(bits, length);
        }
    };

    // A new node above two parts that it tells apart.
    static Reference branch(NodeHeap& heap, unsigned depth, const Part& first, const Part& second) {
        const Place places[2] = {first.place(depth), second.place(depth)};
        const Contents has = Contents{}.with(places[0]).with(places[1]);
        const Reference made = make(heap, has, depth, static_cast<Key>(first.bits & mask(depth)));
        for (unsigned i = 0; i < 2 && made != 0; ++i) {
            const Part& part = i == 0 ? first : second;
            const bool below = part.is_below || places[i].kind != Kind::child;
            const Reference value =
                below ? part.value : make_leaf(heap, part.bits, part.length, part.value);
            at(heap.memory(), made).slots()[has.slot(places[i])] = value;
        }
        return made;
    }

    // `root` is a leaf.
    static Reference put_beside(NodeHeap& heap, Reference root, Key key, unsigned length,
                                Reference entry) {
        Leaf& leaf = leaf_at(heap.memory(), root);
        const unsigned common = std::min({common_bits(key, leaf.bits()), length, leaf.length});
        if (common == length && common == leaf.length) {
            if (leaf.stamp == heap.stamp()) {
                leaf.entry = entry;
                return root;
            }
            release(heap, root);
            return make_leaf(heap, key, length, entry);
        }
        const unsigned depth = common == length || common == leaf.length
                                   ? depth_of(common)
                                   : common / kStride * kStride;
        Part old{.bits = leaf.bits(), .length = leaf.length, .value = root, .is_below = true};
        if (depth_of(leaf.length) == depth) {
            old = {.bits = leaf.bits(), .length = leaf.length, .value = leaf.entry};
            release(heap, root);
        }
        return branch(heap, depth, old, {.bits = key, .length = length, .value = entry});
    }

    // A copy of the node in which slot `at_slot` (counted in the copy) is `value`. `has` is what
    // the copy has: one thing more, one less, or as many.
    static Reference copy(NodeHeap& heap, Reference reference, const Contents& has,
                          unsigned at_slot, Reference value) {
        const Node& node = at(heap.memory(), reference);
        const unsigned before = node.has.count(), after = has.count();
        if (before == after && node.stamp == heap.stamp()) {
            at(heap.memory(), reference).slots()[at_slot] = value;
            return reference;
        }
        const Reference made = make(heap, has, node.depth, node.bits());
        if (made == 0)
            return reference;
        Node& target = at(heap.memory(), made);
        const Reference* from = node.slots();
        Reference* to = target.slots();
        std::memcpy(to, from, at_slot * sizeof(Reference));
        if (after >= before) {
            to[at_slot] = value;
            const unsigned skipped = after == before ? 1 : 0;
            std::memcpy(to + at_slot + 1, from + at_slot + skipped,
                        (before - at_slot - skipped) * sizeof(Reference));
        } else {
            std::memcpy(to + at_slot, from + at_slot + 1,
                        (before - at_slot - 1) * sizeof(Reference));
        }
        release(heap, reference);
        return made;
    }

    // The node without one thing. A node that only leads on, or has one prefix, is not needed.
    static Reference shrink(NodeHeap& heap, Reference reference, Place gone) {
        const Node& node = at(heap.memory(), reference);
        const Contents left = node.has.without(gone);
        const unsigned slot = node.has.slot(gone);
        if (left.count() > 1)
            return copy(heap, reference, left, slot, 0);
        const Reference rest = left.count() == 0 ? 0 : node.slots()[slot == 0 ? 1 : 0];
        if (rest == 0 || left.child_count() == 1) {
            release(heap, reference);
            return rest;
        }
        const Kind kind = left.prefixes != 0 ? Kind::prefix : Kind::exact;
        const auto bit = static_cast<unsigned>(
            std::countr_zero(kind == Kind::prefix ? left.prefixes : left.exact));
        const unsigned extra =
            kind == Kind::exact ? kStride : static_cast<unsigned>(std::bit_width(bit) - 1);
        const unsigned chunk =
            kind == Kind::exact ? bit : (bit ^ (1u << extra)) << (kStride - extra);
        const Reference leaf =
            make_leaf(heap, with_chunk(node.bits(), node.depth, chunk), node.depth + extra, rest);
        release(heap, reference);
        return leaf;
    }
};

}  // namespace sluice::table
