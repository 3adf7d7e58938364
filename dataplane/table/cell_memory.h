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
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace sluice::table {

using Reference = std::uint32_t;  // 0: nothing

// Pages of a chunk that nobody has written cost nothing.
struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
};

class BlockMemory {
  public:
    static constexpr unsigned kUnit = 8;
    static constexpr unsigned kMaximumUnits = 80;
    static constexpr unsigned kChunkShift = 17;  // units: 1 MB
    static constexpr std::size_t kMaximumChunks = std::size_t{1} << 13;

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
            auto* chunk =
                static_cast<std::uint64_t*>(std::malloc(std::size_t{kUnit} << kChunkShift));
            if (chunk == nullptr)
                return 0;
            owned_.emplace_back(chunk);
            chunks_[chunk_count_].store(chunk, std::memory_order_release);
            // Unit 0 of the first chunk is nothing.
            next_ = static_cast<Reference>(chunk_count_ << kChunkShift) + 1;
            ++chunk_count_;
        }
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
    static constexpr Reference kMask = (Reference{1} << kChunkShift) - 1;

    std::array<std::atomic<std::uint64_t*>, kMaximumChunks> chunks_{};
    std::vector<std::unique_ptr<std::uint64_t, FreeMemory>> owned_;
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
            // Zeroed: a chunk is as good as new cells.
            auto* chunk = static_cast<T*>(std::calloc(kChunkSize, sizeof(T)));
            if (chunk == nullptr)
                return 0;
            chunks_[owned_.size()].store(chunk, std::memory_order_release);
            owned_.emplace_back(chunk);
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
    std::vector<std::unique_ptr<T, FreeMemory>> owned_;
    std::vector<Reference> free_;
    Reference next_ = 1;
    std::size_t used_ = 0;
};

}  // namespace sluice::table
