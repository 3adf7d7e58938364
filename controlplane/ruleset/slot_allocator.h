// Which counters belong to which rule.
//
// A slot is an index into the counters and annotations that the data plane keeps. A rule has its
// slot as long as it lives, so its counters survive every reload. Slot 0 belongs to packets dropped
// before any rule and is never given away. A slot that was given back may still be counted in by a
// worker that has not seen the new snapshot; it rests until `published` says that all have.
//
// A plain value: a copy that is thrown away takes its changes with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::ruleset {

class SlotAllocator {
  public:
    explicit SlotAllocator(std::uint32_t capacity) : capacity_(capacity) {}

    // None: all slots are in use, or rest.
    std::optional<std::uint32_t> allocate();
    void release(std::uint32_t slot);

    // All workers run a snapshot without the released slots: they may be given away again.
    void published();
    // The same, but the released slots go on resting: the snapshot that had them may come back.
    void published_for_now() { fresh_.clear(); }

    // Slots given away since the last `published`. Their counters hold what earlier rules counted:
    // the caller takes a new baseline before the snapshot goes out.
    const std::vector<std::uint32_t>& fresh() const { return fresh_; }

    std::uint32_t capacity() const { return capacity_; }

    // Rebuilds the allocator of a data plane that is running already. REQUIRES: `used` has no
    // doubles, no 0, and nothing that is not below the capacity.
    void restore(const std::vector<std::uint32_t>& used);

  private:
    std::uint32_t capacity_ = 0;
    std::uint32_t next_ = 1;           // never given away yet, this one and those above
    std::vector<std::uint32_t> free_;  // given back and rested
    std::vector<std::uint32_t> resting_;
    std::vector<std::uint32_t> fresh_;
};

}  // namespace sluice::ruleset
