// A trie (prefix_trie.h) that stays as fast when it is large.
//
// Layout. A small one is one trie. A large one has an array of 2^18 small tries in front, for the
// prefixes of `kLong` bits or more; which of them is the upper kLong bits of the key, or a hash of
// those when they have more than 18 bits. Whatever covers a key and is that long lies in the key's
// own trie; tries hold whole keys, so that different upper bits may meet in one. The shorter
// prefixes have one trie for all, that is asked when the other has found nothing. So a look-up
// among a million prefixes goes through the array and one or two nodes.
// The array comes in pages of 512, as many as are in use, and is changed as nodes are: by copies of
// a page and of the list of pages, once for each transaction.
// Bounds. The pages take 1 MB at most, for each family of a table.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dataplane/table/prefix_trie.h"

namespace sluice::table {

template <typename Key, unsigned kLong>
class PrefixIndex {
    using Trie = PrefixTrie<Key>;

    static constexpr unsigned kPageBits = kLong <= 18 ? 9 : 10, kIndexBits = 2 * kPageBits;
    static constexpr unsigned kPages = 1u << kPageBits;
    // From so many prefixes on the array is worth its memory: it has 64 bytes for each, at most.
    static constexpr std::uint32_t kEnlargeFrom = 1u << (kIndexBits - 4);

  public:
    static Reference find(const BlockMemory& memory, Reference root, Key key) {
        if (!is_large(root))
            return Trie::find(memory, root, key);
        const Top& top = top_at(memory, root);
        const Reference found = Trie::find(memory, trie_of(memory, top, index_of(key)), key);
        return found != 0 || top.shorter == 0 ? found : Trie::find(memory, top.shorter, key);
    }

    static constexpr std::size_t kMany = 64;

    // The same for many keys: they go down side by side, so that the memory that one waits for
    // comes while others are looked at. REQUIRES: keys.size() <= kMany, as long as `found`.
    static void find_many(const BlockMemory& memory, Reference root, std::span<const Key> keys,
                          std::span<Reference> found) {
        using Search = typename Trie::Search;
        const std::size_t count = keys.size();
        Search searches[kMany];
        Reference shorter = 0;
        if (is_large(root)) {
            const Top& top = top_at(memory, root);
            shorter = top.shorter;
            for (std::size_t i = 0; i < count; ++i) {
                const unsigned index = index_of(keys[i]);
                if (const Reference page = top.pages[index >> kPageBits]; page != 0)
                    __builtin_prefetch(&page_at(memory, page).tries[index & (kPages - 1)]);
            }
            for (std::size_t i = 0; i < count; ++i)
                searches[i].next = trie_of(memory, top, index_of(keys[i]));
        } else {
            for (std::size_t i = 0; i < count; ++i)
                searches[i].next = root;
        }
        walk_down(memory, keys, searches);
        for (std::size_t i = 0; i < count; ++i) {
            found[i] = searches[i].best;
            if (found[i] == 0 && shorter != 0)
                found[i] = Trie::find(memory, shorter, keys[i]);
        }
    }

    static Reference get(const BlockMemory& memory, Reference root, Key key, unsigned length) {
        if (!is_large(root))
            return Trie::get(memory, root, key, length);
        const Top& top = top_at(memory, root);
        return Trie::get(memory, length < kLong ? top.shorter : trie_of(memory, top, index_of(key)),
                         key, length);
    }

    // As of PrefixTrie. `count`: how many prefixes there are, about.
    static Reference put(NodeHeap& heap, Reference root, Key key, unsigned length, Reference entry,
                         std::uint32_t count) {
        if (!is_large(root) && count >= kEnlargeFrom)
            root = enlarge(heap, root);
        const auto changed = [&](Reference trie) {
            return Trie::put(heap, trie, key, length, entry);
        };
        return is_large(root) ? change_in(heap, root, key, length, changed) : changed(root);
    }

    static Reference remove(NodeHeap& heap, Reference root, Key key, unsigned length) {
        const auto changed = [&](Reference trie) { return Trie::remove(heap, trie, key, length); };
        return is_large(root) ? change_in(heap, root, key, length, changed) : changed(root);
    }

    // Gives all of it back and calls `entry(reference)` for each entry.
    template <typename Function>
    static void clear(NodeHeap& heap, Reference root, Function entry) {
        if (!is_large(root))
            return Trie::clear(heap, root, entry);
        const Top& top = top_at(heap.memory(), root);
        Trie::clear(heap, top.shorter, entry);
        for (const Reference page : top.pages)
            if (page != 0) {
                for (const Reference trie : page_at(heap.memory(), page).tries)
                    Trie::clear(heap, trie, entry);
                heap.release(page, kPageUnits);
            }
        heap.release(root & ~kLarge, kTopUnits);
    }

    // Calls `entry(key, length, reference)`, in the order of keys, shorter prefixes first.
    template <typename Function>
    static void each(const BlockMemory& memory, Reference root, Function entry) {
        if (!is_large(root))
            return Trie::each(memory, root, entry);
        struct Found {
            Key key;
            unsigned length;
            Reference entry;
        };
        std::vector<Found> all;
        each_unordered(memory, root, [&](Key key, unsigned length, Reference reference) {
            all.push_back({key, length, reference});
        });
        std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
            return a.key != b.key ? a.key < b.key : a.length < b.length;
        });
        for (const Found& found : all)
            entry(found.key, found.length, found.entry);
    }

    template <typename Function>
    static void each_unordered(const BlockMemory& memory, Reference root, Function entry) {
        if (!is_large(root))
            return Trie::each(memory, root, entry);
        const Top& top = top_at(memory, root);
        Trie::each(memory, top.shorter, entry);
        for (const Reference page : top.pages)
            if (page != 0)
                for (const Reference trie : page_at(memory, page).tries)
                    Trie::each(memory, trie, entry);
    }

    static std::uint64_t bytes(const BlockMemory& memory, Reference root) {
        if (!is_large(root))
            return Trie::bytes(memory, root);
        const Top& top = top_at(memory, root);
        std::uint64_t units = kTopUnits, sum = Trie::bytes(memory, top.shorter);
        for (const Reference page : top.pages)
            if (page != 0) {
                units += kPageUnits;
                for (const Reference trie : page_at(memory, page).tries)
                    sum += Trie::bytes(memory, trie);
            }
        return sum + units * BlockMemory::kUnit;
    }

  private:
    static constexpr Reference kLarge = Reference{1} << 30;

    struct Top : BlockHeader {
        Reference shorter;   // trie of what is shorter than kLong bits
        std::uint32_t used;  // pages
        Reference pages[kPages];
    };
    struct Page : BlockHeader {
        std::uint32_t used;  // tries
        std::uint32_t reserved;
        Reference tries[kPages];
    };
    static constexpr unsigned kTopUnits = sizeof(Top) / BlockMemory::kUnit;
    static constexpr unsigned kPageUnits = sizeof(Page) / BlockMemory::kUnit;
    static_assert(kTopUnits <= BlockMemory::kMaximumUnits);
    static_assert(kPageUnits <= BlockMemory::kMaximumUnits);

    static bool is_large(Reference root) {
        return (root & (kLarge | Reference{1} << 31)) == kLarge;
    }

    static unsigned index_of(Key key) {
        const auto upper = static_cast<std::uint64_t>(key >> (Trie::kBits - kLong));
        if constexpr (kLong <= kIndexBits)
            return static_cast<unsigned>(upper << (kIndexBits - kLong));
        return static_cast<unsigned>((upper * 0x9e3779b97f4a7c15) >> (64 - kIndexBits));
    }

    // Ends when the longest way has ended: a node for every six bits at most.
    static void walk_down(const BlockMemory& memory, std::span<const Key> keys,
                          typename Trie::Search* searches) {
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (searches[i].next != 0)
                Trie::prefetch(memory, searches[i].next);
        for (bool more = true; more;) {
            more = false;
            for (std::size_t i = 0; i < keys.size(); ++i) {
                if (searches[i].next == 0)
                    continue;
                Trie::step(memory, searches[i], keys[i]);
                if (searches[i].next == 0)
                    continue;
                Trie::prefetch(memory, searches[i].next);
                more = true;
            }
        }
    }

    static Top& top_at(const BlockMemory& memory, Reference root) {
        return *static_cast<Top*>(memory.at(root & ~kLarge));
    }
    static Page& page_at(const BlockMemory& memory, Reference page) {
        return *static_cast<Page*>(memory.at(page));
    }

    static Reference trie_of(const BlockMemory& memory, const Top& top, unsigned index) {
        const Reference page = top.pages[index >> kPageBits];
        return page == 0 ? 0 : page_at(memory, page).tries[index & (kPages - 1)];
    }

    // The block itself, if this transaction made it, or a copy. 0: no memory.
    template <typename Block>
    static Reference own(NodeHeap& heap, Reference block) {
        constexpr unsigned kUnits = sizeof(Block) / BlockMemory::kUnit;
        if (block != 0 && static_cast<Block*>(heap.memory().at(block))->stamp == heap.stamp())
            return block;
        const Reference made = heap.take(kUnits);
        if (made == 0)
            return 0;
        auto* to = static_cast<std::byte*>(heap.memory().at(made)) + sizeof(BlockHeader);
        constexpr std::size_t kRest = sizeof(Block) - sizeof(BlockHeader);
        if (block == 0) {
            std::memset(to, 0, kRest);
            return made;
        }
        std::memcpy(to, static_cast<std::byte*>(heap.memory().at(block)) + sizeof(BlockHeader),
                    kRest);
        heap.release(block, kUnits);
        return made;
    }

    // Puts another trie in place of one. Null: no memory.
    static void set_trie(NodeHeap& heap, Top& top, unsigned index, Reference trie) {
        Reference& page_reference = top.pages[index >> kPageBits];
        const Reference owned = own<Page>(heap, page_reference);
        if (owned == 0)
            return;
        top.used += page_reference == 0 ? 1 : 0;
        page_reference = owned;
        Page& page = page_at(heap.memory(), owned);
        Reference& slot = page.tries[index & (kPages - 1)];
        page.used += (trie != 0 ? 1u : 0u) - (slot != 0 ? 1u : 0u);
        slot = trie;
        if (page.used != 0)
            return;
        heap.release(owned, kPageUnits);
        page_reference = 0;
        --top.used;
    }

    // `changed(trie)` gives what comes in place of the trie of the key.
    template <typename Function>
    static Reference change_in(NodeHeap& heap, Reference root, Key key, unsigned length,
                               Function changed) {
        const bool is_long = length >= kLong;
        const unsigned index = index_of(key);
        const Top& before = top_at(heap.memory(), root);
        const Reference old = is_long ? trie_of(heap.memory(), before, index) : before.shorter;
        const Reference trie = changed(old);
        if (trie == old)
            return root;
        const Reference owned = own<Top>(heap, root & ~kLarge);
        if (owned == 0)
            return root;
        Top& top = top_at(heap.memory(), owned);
        if (is_long)
            set_trie(heap, top, index, trie);
        else
            top.shorter = trie;
        if (top.used != 0 || top.shorter != 0)
            return owned | kLarge;
        heap.release(owned, kTopUnits);
        return 0;
    }

    // Most of what hangs below the upper bits stays as it is.
    static Reference enlarge(NodeHeap& heap, Reference root) {
        const Reference owned = own<Top>(heap, 0);
        if (owned == 0)
            return root;
        Top& top = top_at(heap.memory(), owned);
        const auto put_in = [&](Key key, unsigned length, Reference entry) {
            if (length < kLong) {
                top.shorter = Trie::put(heap, top.shorter, key, length, entry);
                return;
            }
            const unsigned index = index_of(key);
            set_trie(heap, top, index,
                     Trie::put(heap, trie_of(heap.memory(), top, index), key, length, entry));
        };
        const auto put_all = [&](Key bits, Reference piece) {
            const unsigned index = index_of(bits);
            if (trie_of(heap.memory(), top, index) == 0)
                return set_trie(heap, top, index, piece);
            Trie::each(heap.memory(), piece, put_in);
            Trie::clear(heap, piece, [](Reference) {});
        };
        Trie::take_apart(heap, root, kLong, put_all, put_in);
        return owned | kLarge;
    }
};

}  // namespace sluice::table
