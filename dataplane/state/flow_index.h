// The hash index of a shard: from the hash of a flow to the cells that may hold its state.
//
// Buckets of one cache line: twelve 8-bit tags, compared at once, and twelve cell numbers, whose
// upper bits hold six more bits of the hash, so that a wrong cell is looked at once in sixteen
// thousand times. A bucket that is full sends further entries on to the next one and counts them;
// a look-up goes on only from a bucket that has sent something on. Filled to 60 % at most, which
// makes that rare.
//
// Threads: written by the worker that owns the shard. Other workers may call `find_from_outside`;
// they may miss an entry that is being moved, and must check the cell that they get.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/state/cell.h"
#include "dataplane/state/flow_key.h"

namespace sluice::state {

class FlowIndex {
  public:
    static constexpr unsigned kCellBits = 26;
    static constexpr CellIndex kMaximumCells = CellIndex{1} << kCellBits;
    static constexpr unsigned kBucketEntries = 12;

    struct alignas(64) Bucket {
        std::uint8_t tags[kBucketEntries] = {};  // 0: empty
        std::uint16_t passed_on = 0;             // entries that found this bucket full
        std::uint16_t reserved = 0;
        std::uint32_t cells[kBucketEntries] = {};
    };
    static_assert(sizeof(Bucket) == 64);

    static std::uint64_t buckets_for(CellIndex cells);

    // `buckets` is zeroed memory that outlives the index.
    explicit FlowIndex(std::span<Bucket> buckets) : buckets_(buckets) {}

    void prefetch(FlowHash hash) const { __builtin_prefetch(&buckets_[home(hash)]); }

    // The first cell in the home bucket that fits the hash, or kNoCell: what is worth fetching
    // ahead.
    CellIndex candidate(FlowHash hash) const {
        const Bucket& bucket = buckets_[home(hash)];
        for (unsigned hits = matches(bucket, tag(hash)); hits != 0; hits &= hits - 1) {
            const std::uint32_t entry = bucket.cells[std::countr_zero(hits)];
            if (entry >> kCellBits == check(hash))
                return entry & (kMaximumCells - 1);
        }
        return kNoCell;
    }

    // Calls `wanted` with the cells whose tags fit until it returns true; that cell, or kNoCell.
    template <typename Wanted>
    CellIndex find(FlowHash hash, Wanted wanted) const {
        std::size_t at = home(hash);
        for (unsigned probes = 0; probes < kMaximumProbes; ++probes) {
            const Bucket& bucket = buckets_[at];
            for (unsigned hits = matches(bucket, tag(hash)); hits != 0; hits &= hits - 1) {
                const std::uint32_t entry = bucket.cells[std::countr_zero(hits)];
                const CellIndex cell = entry & (kMaximumCells - 1);
                if (entry >> kCellBits == check(hash) && wanted(cell))
                    return cell;
            }
            if (bucket.passed_on == 0)
                return kNoCell;
            at = next(at);
        }
        return kNoCell;
    }

    // The same for a thread that does not own the shard.
    template <typename Wanted>
    CellIndex find_from_outside(FlowHash hash, Wanted wanted) const {
        std::size_t at = home(hash);
        for (unsigned probes = 0; probes < kMaximumProbes; ++probes) {
            const Bucket& bucket = buckets_[at];
            for (unsigned i = 0; i < kBucketEntries; ++i) {
                if (load(bucket.tags[i]) != tag(hash))
                    continue;
                const std::uint32_t entry = load(bucket.cells[i]);
                const CellIndex cell = entry & (kMaximumCells - 1);
                if (entry >> kCellBits == check(hash) && wanted(cell))
                    return cell;
            }
            if (load(bucket.passed_on) == 0)
                return kNoCell;
            at = next(at);
        }
        return kNoCell;
    }

    // False: there is no room within reach of the home bucket.
    bool insert(FlowHash hash, CellIndex cell);

    // REQUIRES: the cell was inserted with this hash.
    void erase(FlowHash hash, CellIndex cell);

    std::size_t bucket_count() const { return buckets_.size(); }

  private:
    // How far from home an entry may be.
    static constexpr unsigned kMaximumProbes = 16;

    std::size_t home(FlowHash hash) const {
        return static_cast<std::size_t>((hash >> 32) * buckets_.size() >> 32);
    }
    std::size_t next(std::size_t at) const { return at + 1 == buckets_.size() ? 0 : at + 1; }
    static std::uint8_t tag(FlowHash hash) {
        const auto byte = static_cast<std::uint8_t>(hash);
        return byte == 0 ? 1 : byte;
    }
    static std::uint32_t check(FlowHash hash) { return static_cast<std::uint32_t>(hash >> 8 & 63); }

    // Bit i: tag i is equal.
    static unsigned matches(const Bucket& bucket, std::uint8_t tag) {
#if defined(__SSE2__)
        const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags));
        const __m128i same = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
        return static_cast<unsigned>(_mm_movemask_epi8(same)) & ((1u << kBucketEntries) - 1);
#else
        unsigned bits = 0;
        for (unsigned i = 0; i < kBucketEntries; ++i)
            bits |= static_cast<unsigned>(bucket.tags[i] == tag) << i;
        return bits;
#endif
    }

    std::span<Bucket> buckets_;
};

}  // namespace sluice::state
