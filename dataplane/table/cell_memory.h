// Memory that readers reach by number while one writer takes and gives back.
//
// Layout. Chunks, made when they are needed and kept until the end, so that a number stays valid
// for a reader whatever the writer does. `BlockMemory` hands out runs of 8-byte units with a free
// list for each size; `CellMemory` hands out cells of one type.
// Threads. One writer, the main thread. A reader may follow a number that was published to it (with
// release) until the writer, after a grace period, gives the number to something else.
// Full. A number of 0 means that there is no memory left; nothing was taken then.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "dataplane/table/zeroed_pages.h"

namespace sluice::table {

using Reference = std::uint32_t;  // 0: nothing

class BlockMemory {
  public:
    static constexpr unsigned kUnit = 8;
    static constexpr unsigned kMaximumUnits = 514;
    static constexpr unsigned kChunkShift = 18;  // units: 2 MB
    static constexpr std::size_t kMaximumChunks = std::size_t{1} << 12;

    explicit BlockMemory(std::size_t maximum_bytes)
        : maximum_chunks_(std::min(maximum_bytes >> (kChunkShift + 3), kMaximumChunks)) {}

    // REQUIRES: 0 < units <= kMaximumUnits.
    Reference take(unsigned units) {
        std::vector<Reference>& free = free_[units];
        if (!free.empty()) {
            const Reference block = free.back();
            free.pop_back();
            used_ += units;
            return block;
        }
        if ((next_ & kMask) + units > kMask + 1 || (next_ & kMask) == 0) {
            if (chunk_count_ == maximum_chunks_)
                return 0;
            ZeroedPages chunk = ZeroedPages::take(std::size_t{kUnit} << kChunkShift);
            if (chunk.get() == nullptr)
                return 0;
            chunks_[chunk_count_].store(static_cast<std::uint64_t*>(chunk.get()),
                                        std::memory_order_release);
            owned_.push_back(std::move(chunk));
            // Unit 0 of the first chunk is nothing.
            next_ = static_cast<Reference>(chunk_count_ << kChunkShift) + 1;
            ++chunk_count_;
        }
        skip_to_line(units);
        const Reference block = next_;
        next_ += units;
        used_ += units;
        return block;
    }

    void give_back(Reference block, unsigned units) {
        free_[units].push_back(block);
        used_ -= units;
    }

    void* at(Reference block) const {
        return chunks_[block >> kChunkShift].load(std::memory_order_acquire) + (block & kMask);
    }

    std::uint64_t used_bytes() const { return used_ * kUnit; }

  private:
    // A block that fits into a cache line shall not need two. What is left out is for smaller ones.
    void skip_to_line(unsigned units) {
        const unsigned left = kLineUnits - next_ % kLineUnits;
        if (left == kLineUnits || units <= left || (next_ & kMask) + left + units > kMask + 1)
            return;
        free_[left].push_back(next_);
        next_ += left;
    }

    static constexpr unsigned kLineUnits = 64 / kUnit;
    static constexpr Reference kMask = (Reference{1} << kChunkShift) - 1;

    std::array<std::atomic<std::uint64_t*>, kMaximumChunks> chunks_{};
    std::vector<ZeroedPages> owned_;
    std::array<std::vector<Reference>, kMaximumUnits + 1> free_;
    std::size_t maximum_chunks_;
    std::size_t chunk_count_ = 0;
    Reference next_ = 0;
    std::uint64_t used_ = 0;
};

template <typename T, unsigned kChunkShift = 12, unsigned kMaximumShift = 27>
class CellMemory {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    static constexpr std::size_t kChunkSize = std::size_t{1} << kChunkShift;
    static constexpr std::size_t kMaximumCells = std::size_t{1} << kMaximumShift;

    CellMemory() : chunks_(kMaximumCells >> kChunkShift) {}

    // Cell 0 is never handed out.
    Reference take() {
        if (!free_.empty()) {
            const Reference cell = free_.back();
            free_.pop_back();
            ++used_;
            return cell;
        }
        if ((next_ >> kChunkShift) >= owned_.size()) {
            if (owned_.size() == chunks_.size())
                return 0;
            ZeroedPages chunk = ZeroedPages::take(kChunkSize * sizeof(T));
            if (chunk.get() == nullptr)
                return 0;
            chunks_[owned_.size()].store(static_cast<T*>(chunk.get()), std::memory_order_release);
            owned_.push_back(std::move(chunk));
        }
        ++used_;
        return next_++;
    }

    void give_back(Reference cell) {
        free_.push_back(cell);
        --used_;
    }

    T& at(Reference cell) const {
        return chunks_[cell >> kChunkShift].load(
            std::memory_order_acquire)[cell & (kChunkSize - 1)];
    }

    // The number that `take` gives when nothing was given back.
    Reference next() const { return next_; }
    std::size_t used() const { return used_; }

  private:
    std::vector<std::atomic<T*>> chunks_;
    std::vector<ZeroedPages> owned_;
    std::vector<Reference> free_;
    Reference next_ = 1;
    std::size_t used_ = 0;
};

}  // namespace sluice::table
