#include "controlplane/ruleset/slot_allocator.h"

#include <algorithm>

namespace sluice::ruleset {

std::optional<std::uint32_t> SlotAllocator::allocate() {
    std::uint32_t slot = 0;
    if (!free_.empty()) {
        slot = free_.back();
        free_.pop_back();
    } else if (next_ < capacity_) {
        slot = next_++;
    } else {
        return std::nullopt;
    }
    fresh_.push_back(slot);
    return slot;
}

void SlotAllocator::release(std::uint32_t slot) {
    resting_.push_back(slot);
}

void SlotAllocator::published() {
    free_.insert(free_.end(), resting_.begin(), resting_.end());
    resting_.clear();
    fresh_.clear();
}

void SlotAllocator::restore(const std::vector<std::uint32_t>& used) {
    std::vector<std::uint32_t> sorted = used;
    std::sort(sorted.begin(), sorted.end());
    free_.clear();
    resting_.clear();
    fresh_.clear();
    next_ = 1;
    for (const std::uint32_t slot : sorted) {
        for (; next_ < slot; ++next_)
            free_.push_back(next_);
        next_ = slot + 1;
    }
}

}  // namespace sluice::ruleset
