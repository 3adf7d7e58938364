// The lists of walks that a search keeps, and how they are sorted out with plain instructions. For
// the files search_*.cc only, before their `Vector`: like search_kernel.h, it is compiled once for
// each set of instructions.
#pragma once

namespace sluice::classify {
namespace {

constexpr unsigned kGroup = kSearchedAtOnce;
static_assert(kGroup == 64);  // a bit each
constexpr unsigned kWalks = kGroup * Forest::kMaximumTrees;

// Each walk is one packet in one tree: where it is, and the place of the packet's key among those
// of the group, in bytes. Vectors are written as a whole, so there is room behind the last one.
struct alignas(64) Walks {
    static constexpr std::size_t kRoom = kWalks + 16;
    Reference at[kRoom];
    std::uint32_t key[kRoom];
};

// How many walks are at a node and how many have arrived at a leaf.
struct Progress {
    std::size_t walking = 0, arrived = 0;
};

struct PlainLists {
    // The places of the keys of some packets, bit by bit; how many there are.
    static std::size_t list_keys(std::uint64_t packets, std::uint32_t* keys) {
        std::size_t count = 0;
        for (; packets != 0; packets &= packets - 1)
            keys[count++] = static_cast<std::uint32_t>(__builtin_ctzll(packets)) *
                            static_cast<std::uint32_t>(sizeof(HeaderKey));
        return count;
    }

    // Walks whose keys stand behind those of `walking` have gone on to `next`, from where each
    // belongs to one of the lists: both get it, but only one of them becomes longer.
    static Progress separate(const Reference* next, std::size_t count, Progress progress,
                             Walks& walking, Walks& arrived) {
        const std::uint32_t* keys = walking.key + progress.walking;
        for (std::size_t i = 0; i < count; ++i) {
            const Reference at = next[i];
            const std::uint32_t key = keys[i];
            walking.at[progress.walking] = at;
            walking.key[progress.walking] = key;
            arrived.at[progress.arrived] = at;
            arrived.key[progress.arrived] = key;
            progress.arrived += at & kLeaf;
            progress.walking += ~at & kLeaf;
        }
        return progress;
    }
};

}  // namespace
}  // namespace sluice::classify
