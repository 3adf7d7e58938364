// Longest prefix match: a trie of six bits a level that leaves out levels where nothing branches.
//
// Layout. A node stands for the bits up to `depth`, a multiple of six, which it holds in full: a
// look-up compares them and may so skip levels. It knows the prefixes of depth…depth + 5 bits that
// begin there (one bit of `prefixes` for each, in the order of a heap, so the highest bit that fits
// is the longest) and the nodes of the next six bits (`children`). Behind the header stand the
// references, children first, without gaps. So a node costs what it holds: in a table of a million
// routes some 16 bytes for each.
// Change. Nodes that a reader may see are never changed. A change copies the nodes from the root to
// the place, and the new root is published; what was copied is given back after a grace period.
// Within one transaction nodes that it made itself are changed in place.
// Bounds. A look-up visits at most (bits + 5) / 6 nodes; a change recurses as deep.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "dataplane/table/cell_memory.h"

namespace sluice::table {

__extension__ typedef unsigned __int128 Bits128;

// What every node begins with.
struct NodeHeader {
    std::uint64_t children;
    std::uint64_t prefixes;
    std::uint64_t stamp;  // of the transaction that made it; 0: given back
};

// Where transactions take nodes and give them back.
class NodeHeap {
  public:
    explicit NodeHeap(std::size_t maximum_bytes) : memory_(maximum_bytes) {}

    struct Block {
        Reference reference = 0;
        std::uint32_t units = 0;
    };

    const BlockMemory& memory() const { return memory_; }
    std::uint64_t stamp() const { return stamp_; }

    Reference take(unsigned units) {
        const Reference block = memory_.take(units);
        if (block == 0)
            failed_ = true;
        else
            made_.push_back({block, units});
        return block;
    }

    // A node of this transaction is free at once, one that readers may see when it is over.
    void release(Reference block, unsigned units) {
        NodeHeader& node = header(block);
        if (node.stamp != stamp_) {
            retired_.push_back({block, units});
            return;
        }
        node.stamp = 0;
        memory_.give_back(block, units);
    }

    // True: memory ran out; the transaction cannot be published.
    bool failed() const { return failed_; }

    // Ends the transaction. What it replaced, to be given back when nobody reads it any more.
    std::vector<Block> commit() {
        made_.clear();
        ++stamp_;
        return std::exchange(retired_, {});
    }

    // Ends it as if it had not been. A block may have been taken and given back several times.
    void discard() {
        for (const Block& block : made_) {
            NodeHeader& node = header(block.reference);
            if (node.stamp != stamp_)
                continue;
            node.stamp = 0;
            memory_.give_back(block.reference, block.units);
        }
        made_.clear();
        retired_.clear();
        failed_ = false;
        ++stamp_;
    }

    void give_back(const std::vector<Block>& blocks) {
        for (const Block& block : blocks)
            memory_.give_back(block.reference, block.units);
    }

  private:
    NodeHeader& header(Reference block) const {
        return *static_cast<NodeHeader*>(memory_.at(block));
    }

    BlockMemory memory_;
    std::uint64_t stamp_ = 1;
    bool failed_ = false;
    std::vector<Block> made_, retired_;
};

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

    struct Change {
        Reference root = 0;
        Reference before = 0;  // what the prefix had before
    };

    // The entry of the longest prefix that covers the key; 0: none does.
    static Reference find(const BlockMemory& memory, Reference root, Key key) {
        Reference best = 0;
        while (root != 0) {
            const Node& node = at(memory, root);
            if (((key ^ node.bits()) & mask(node.depth)) != 0)
                break;
            const unsigned chunk = chunk_of(key, node.depth);
            if (const std::uint64_t fitting = node.prefixes & kFitting[chunk]; fitting != 0) {
                const auto longest = static_cast<unsigned>(63 - std::countl_zero(fitting));
                best = node.slots()[node.child_count() + rank(node.prefixes, longest)];
            }
            if ((node.children >> chunk & 1) == 0)
                break;
            root = node.slots()[rank(node.children, chunk)];
        }
        return best;
    }

    // The entry of exactly this prefix.
    static Reference get(const BlockMemory& memory, Reference root, Key key, unsigned length) {
        while (root != 0) {
            const Node& node = at(memory, root);
            if (length < node.depth || ((key ^ node.bits()) & mask(node.depth)) != 0)
                return 0;
            if (length < node.depth + kStride) {
                const unsigned place = heap_place(key, node.depth, length);
                if ((node.prefixes >> place & 1) == 0)
                    return 0;
                return node.slots()[node.child_count() + rank(node.prefixes, place)];
            }
            const unsigned chunk = chunk_of(key, node.depth);
            if ((node.children >> chunk & 1) == 0)
                return 0;
            root = node.slots()[rank(node.children, chunk)];
        }
        return 0;
    }

    // Puts `entry` at the prefix, in place of what was there. REQUIRES: the bits of `key` behind
    // `length` are zero. When the heap has failed the result is of no use.
    static Change put(NodeHeap& heap, Reference root, Key key, unsigned length, Reference entry) {
        Change change;
        change.root = put_below(heap, root, key, length, entry, change.before);
        return change;
    }

    static Change remove(NodeHeap& heap, Reference root, Key key, unsigned length) {
        Change change;
        change.root = remove_below(heap, root, key, length, change.before);
        return change;
    }

    // Gives all nodes back and calls `entry(reference)` for each entry.
    template <typename Function>
    static void clear(NodeHeap& heap, Reference root, Function entry) {
        if (root == 0)
            return;
        const Node& node = at(heap.memory(), root);
        const unsigned children = node.child_count();
        for (unsigned i = 0; i < children; ++i)
            clear(heap, node.slots()[i], entry);
        for (unsigned i = 0; i < node.prefix_count(); ++i)
            entry(node.slots()[children + i]);
        release(heap, root);
    }

    // Calls `entry(key, length, reference)` in the order of keys, shorter prefixes first.
    template <typename Function>
    static void each(const BlockMemory& memory, Reference root, Function entry) {
        if (root == 0)
            return;
        const Node& node = at(memory, root);
        for (unsigned chunk = 0; chunk < 64; ++chunk) {
            for (unsigned extra = 0; extra < kStride; ++extra) {
                if ((chunk & ((1u << (kStride - extra)) - 1)) != 0)
                    continue;
                const unsigned place = (1u << extra) | chunk >> (kStride - extra);
                if ((node.prefixes >> place & 1) != 0)
                    entry(with_chunk(node.bits(), node.depth, chunk), node.depth + extra,
                          node.slots()[node.child_count() + rank(node.prefixes, place)]);
            }
            if ((node.children >> chunk & 1) != 0)
                each(memory, node.slots()[rank(node.children, chunk)], entry);
        }
    }

    // Bytes of all nodes.
    static std::uint64_t bytes(const BlockMemory& memory, Reference root) {
        if (root == 0)
            return 0;
        const Node& node = at(memory, root);
        std::uint64_t sum = std::uint64_t{node.units()} * BlockMemory::kUnit;
        for (unsigned i = 0; i < node.child_count(); ++i)
            sum += bytes(memory, node.slots()[i]);
        return sum;
    }

  private:
    static constexpr unsigned kStride = kTrieStride;
    static constexpr std::array<std::uint64_t, 64> kFitting = fitting_prefixes();

    struct alignas(8) Node : NodeHeader {
        std::uint32_t depth;
        std::uint32_t words[sizeof(Key) / 4];  // blocks are not aligned as a wide key would be

        // Up to depth, zero behind.
        Key bits() const {
            Key key;
            std::memcpy(&key, words, sizeof key);
            return key;
        }
        unsigned child_count() const { return static_cast<unsigned>(std::popcount(children)); }
        unsigned prefix_count() const { return static_cast<unsigned>(std::popcount(prefixes)); }
        unsigned units() const { return units_for(child_count() + prefix_count()); }
        Reference* slots() { return reinterpret_cast<Reference*>(this + 1); }
        const Reference* slots() const { return reinterpret_cast<const Reference*>(this + 1); }
    };

    static unsigned units_for(unsigned slots) {
        return static_cast<unsigned>((sizeof(Node) + slots * sizeof(Reference) + 7) / 8);
    }

    static Node& at(const BlockMemory& memory, Reference node) {
        return *static_cast<Node*>(memory.at(node));
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

    static unsigned heap_place(Key key, unsigned depth, unsigned length) {
        const unsigned extra = length - depth;
        return (1u << extra) | chunk_of(key, depth) >> (kStride - extra);
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

    // A node, with room for its slots, which the caller fills. 0: no memory.
    static Reference make(NodeHeap& heap, std::uint64_t children, std::uint64_t prefixes,
                          unsigned depth, Key bits) {
        const auto slots = static_cast<unsigned>(std::popcount(children) + std::popcount(prefixes));
        const Reference reference = heap.take(units_for(slots));
        if (reference != 0) {
            Node& node = at(heap.memory(), reference);
            node.children = children;
            node.prefixes = prefixes;
            node.stamp = heap.stamp();
            node.depth = depth;
            std::memcpy(node.words, &bits, sizeof bits);
        }
        return reference;
    }

    static void release(NodeHeap& heap, Reference reference) {
        heap.release(reference, at(heap.memory(), reference).units());
    }

    // A copy of the node in which slot `at_slot` (counted in the copy) is `value`. `children` and
    // `prefixes` are those of the copy, which has one slot more, one less, or as many.
    static Reference copy(NodeHeap& heap, Reference reference, std::uint64_t children,
                          std::uint64_t prefixes, unsigned at_slot, Reference value) {
        const Node& node = at(heap.memory(), reference);
        const unsigned before = node.child_count() + node.prefix_count();
        const auto after = static_cast<unsigned>(std::popcount(children) + std::popcount(prefixes));
        if (before == after && node.stamp == heap.stamp()) {
            at(heap.memory(), reference).slots()[at_slot] = value;
            return reference;
        }
        const Reference made = make(heap, children, prefixes, node.depth, node.bits());
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

    static Reference put_below(NodeHeap& heap, Reference reference, Key key, unsigned length,
                               Reference entry, Reference& replaced) {
        if (reference == 0) {
            const unsigned depth = length / kStride * kStride;
            const Reference made = make(heap, 0, std::uint64_t{1} << heap_place(key, depth, length),
                                        depth, static_cast<Key>(key & mask(depth)));
            if (made != 0)
                at(heap.memory(), made).slots()[0] = entry;
            return made;
        }
        const Node& node = at(heap.memory(), reference);
        const unsigned common = std::min(common_bits(key, node.bits()), length);
        if (common < node.depth)
            return branch(heap, reference, key, length, entry, common / kStride * kStride);
        const unsigned children = node.child_count();
        if (length < node.depth + kStride) {
            const unsigned place = heap_place(key, node.depth, length);
            const unsigned slot = children + rank(node.prefixes, place);
            if ((node.prefixes >> place & 1) != 0)
                replaced = node.slots()[slot];
            return copy(heap, reference, node.children, node.prefixes | std::uint64_t{1} << place,
                        slot, entry);
        }
        const unsigned chunk = chunk_of(key, node.depth);
        const unsigned slot = rank(node.children, chunk);
        const bool there = (node.children >> chunk & 1) != 0;
        const Reference below = there ? node.slots()[slot] : 0;
        const Reference changed = put_below(heap, below, key, length, entry, replaced);
        if (changed == below)
            return reference;
        return copy(heap, reference, node.children | std::uint64_t{1} << chunk, node.prefixes, slot,
                    changed);
    }

    // A new node at `depth`, above the one that is there, where the prefix leaves its way or ends.
    static Reference branch(NodeHeap& heap, Reference reference, Key key, unsigned length,
                            Reference entry, unsigned depth) {
        const Node& node = at(heap.memory(), reference);
        const unsigned old_chunk = chunk_of(node.bits(), depth);
        std::uint64_t children = std::uint64_t{1} << old_chunk;
        const Key bits = static_cast<Key>(key & mask(depth));
        if (length < depth + kStride) {
            const Reference made = make(
                heap, children, std::uint64_t{1} << heap_place(key, depth, length), depth, bits);
            if (made == 0)
                return reference;
            at(heap.memory(), made).slots()[0] = reference;
            at(heap.memory(), made).slots()[1] = entry;
            return made;
        }
        Reference ignored = 0;
        const Reference leaf = put_below(heap, 0, key, length, entry, ignored);
        const unsigned new_chunk = chunk_of(key, depth);
        children |= std::uint64_t{1} << new_chunk;
        const Reference made = leaf == 0 ? 0 : make(heap, children, 0, depth, bits);
        if (made == 0)
            return reference;
        at(heap.memory(), made).slots()[new_chunk < old_chunk ? 0 : 1] = leaf;
        at(heap.memory(), made).slots()[new_chunk < old_chunk ? 1 : 0] = reference;
        return made;
    }

    static Reference remove_below(NodeHeap& heap, Reference reference, Key key, unsigned length,
                                  Reference& removed) {
        if (reference == 0)
            return 0;
        const Node& node = at(heap.memory(), reference);
        if (length < node.depth || ((key ^ node.bits()) & mask(node.depth)) != 0)
            return reference;
        const unsigned children = node.child_count();
        if (length < node.depth + kStride) {
            const unsigned place = heap_place(key, node.depth, length);
            if ((node.prefixes >> place & 1) == 0)
                return reference;
            const unsigned slot = children + rank(node.prefixes, place);
            removed = node.slots()[slot];
            return shrink(heap, reference, node.children,
                          node.prefixes & ~(std::uint64_t{1} << place), slot);
        }
        const unsigned chunk = chunk_of(key, node.depth);
        if ((node.children >> chunk & 1) == 0)
            return reference;
        const unsigned slot = rank(node.children, chunk);
        const Reference below = node.slots()[slot];
        const Reference changed = remove_below(heap, below, key, length, removed);
        if (changed == below)
            return reference;
        if (changed != 0)
            return copy(heap, reference, node.children, node.prefixes, slot, changed);
        return shrink(heap, reference, node.children & ~(std::uint64_t{1} << chunk), node.prefixes,
                      slot);
    }

    // The node without one slot; a node that only leads on, or holds nothing, is not needed.
    static Reference shrink(NodeHeap& heap, Reference reference, std::uint64_t children,
                            std::uint64_t prefixes, unsigned slot) {
        if (prefixes == 0 && std::popcount(children) <= 1) {
            const Node& node = at(heap.memory(), reference);
            const unsigned other = slot == 0 ? 1 : 0;
            const Reference rest = children == 0 ? 0
                                   : node.prefixes == 0
                                       ? node.slots()[other]
                                       : node.slots()[0];  // the only child stands first
            release(heap, reference);
            return rest;
        }
        return copy(heap, reference, children, prefixes, slot, 0);
    }
};

}  // namespace sluice::table
