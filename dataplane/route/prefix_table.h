// From an address to a word, by the longest prefix; read while it changes.
//
// Layout. A root with a slot for each value of the first 24 bits, then groups of 256 slots, one
// level for each further byte: 24,8 for IPv4 and 24,8,8,… for IPv6. A slot holds
//   bit 31      a group follows: bits 0–24 are its number;
//   bits 25–29  how many bits of this level the prefix has that the slot took its value from; 0: it
//               comes from above the level, or from nowhere. Of a slot with a group this is about
//               the value that the group was filled with;
//   bits 0–24, 30  else the value, opaque here; 0: none.
// Values are pushed down: a reader never needs to remember one from an upper level. The default
// route is kept apart, as a change of it would otherwise touch all slots.
// Threads. One writer. A reader may see the slots of a range before and after a change, each of
// them whole; a group is given back only after a grace period.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/route/pool.h"
#include "dataplane/route/reserved_memory.h"

namespace sluice::route {

using Word = std::uint32_t;

inline constexpr Word kChild = Word{1} << 31;
inline constexpr Word kDepthMask = Word{31} << 25;
inline constexpr unsigned kDepthShift = 25;
inline constexpr Word kIndexMask = (Word{1} << kDepthShift) - 1;
inline constexpr unsigned kRootBits = 24;
inline constexpr unsigned kRootBytes = 3;
inline constexpr std::size_t kGroupSlots = 256;

inline Word load(const Word* slot) {
    return std::atomic_ref<Word>(*const_cast<Word*>(slot)).load(std::memory_order_acquire);
}
inline void store(Word* slot, Word word) {
    std::atomic_ref<Word>(*slot).store(word, std::memory_order_release);
}

// The groups of both families.
class GroupPool {
  public:
    explicit GroupPool(std::size_t maximum_groups)
        : memory_((maximum_groups + 1) * kGroupSlots * sizeof(Word)),
          slots_(memory_.as<Word>()),
          maximum_(maximum_groups),
          numbers_(maximum_groups + 1) {}

    bool ready() const { return slots_ != nullptr; }
    Word* at(Word group) const { return slots_ + std::size_t{group} * kGroupSlots; }

    // -- writer --
    // REQUIRES: available() > 0.
    Word take() {
        const Word group = numbers_.take();
        if (group >= own_.size())
            own_.resize(group + 1);
        own_[group] = 0;
        return group;
    }
    std::size_t available() const { return numbers_.available(); }
    std::size_t maximum() const { return maximum_; }
    Pool& numbers() { return numbers_; }
    const Pool& numbers() const { return numbers_; }
    const ReservedMemory& memory() const { return memory_; }
    // How many slots of a group have a value of their own level or a group below.
    std::uint16_t& own(Word group) { return own_[group]; }

  private:
    ReservedMemory memory_;
    Word* slots_;
    std::size_t maximum_;
    Pool numbers_;
    std::vector<std::uint16_t> own_;
};

// `kBytes` is the length of an address: 4 or 16. Addresses are bytes as on the wire.
template <unsigned kBytes>
class PrefixTable {
  public:
    static constexpr unsigned kBits = kBytes * 8;

    PrefixTable() : root_memory_((std::size_t{1} << kRootBits) * sizeof(Word)) {}
    bool ready() const { return static_cast<bool>(root_memory_); }

    // -- readers --
    const Word* root() const { return root_memory_.as<const Word>(); }
    static std::size_t root_index(const std::uint8_t* address) {
        std::uint32_t head = 0;  // one load, and no address is shorter
        std::memcpy(&head, address, sizeof head);
        return __builtin_bswap32(head) >> (32 - kRootBits);
    }
    // 0: none but the default route.
    Word find(const GroupPool& groups, const std::uint8_t* address) const {
        Word word = load(root() + root_index(address));
        for (unsigned byte = kRootBytes; (word & kChild) != 0; ++byte)
            word = load(groups.at(word & kIndexMask) + address[byte]);
        return word & ~kDepthMask;
    }

    // The root is no longer in the cache as a whole, so it is worth asking for slots in advance.
    bool is_large() const { return is_large_.load(std::memory_order_relaxed); }

    // -- writer --
    void set_large() { is_large_.store(true, std::memory_order_relaxed); }
    // Adds or replaces. False: the groups are used up, and nothing has changed.
    // REQUIRES: 0 < length <= kBits, value != 0.
    bool set(GroupPool& groups, const std::uint8_t* prefix, unsigned length, Word value);
    // `cover` is the value of the longest prefix that covers this one, or 0, and `cover_length` its
    // length. REQUIRES: the prefix is set.
    void remove(GroupPool& groups, const std::uint8_t* prefix, unsigned length, Word cover,
                unsigned cover_length);

    const ReservedMemory& memory() const { return root_memory_; }

  private:
    static constexpr unsigned kLevels = 1 + kBytes - kRootBytes;

    struct Range {
        std::size_t first = 0;
        std::size_t count = 0;
    };

    static unsigned level_of(unsigned length) {
        return length <= kRootBits ? 0 : (length - kRootBits + 7) / 8;
    }
    // Bits that lie above a level.
    static unsigned base(unsigned level) { return level == 0 ? 0 : kRootBits + 8 * (level - 1); }
    static Word depth_at(unsigned level, unsigned length) {
        return length > base(level) ? length - base(level) : 0;
    }
    static Word depth(Word word) { return (word & kDepthMask) >> kDepthShift; }
    static Range range_at(unsigned level, const std::uint8_t* prefix, Word depth) {
        const unsigned width = level == 0 ? kRootBits : 8;
        const std::size_t slot = level == 0 ? root_index(prefix) : prefix[kRootBytes + level - 1];
        const std::size_t count = std::size_t{1} << (width - depth);
        return {.first = slot & ~(count - 1), .count = count};
    }
    std::size_t slot_at(unsigned level, const std::uint8_t* prefix) const {
        return level == 0 ? root_index(prefix) : prefix[kRootBytes + level - 1];
    }

    static void push_down(GroupPool& groups, Word group, Word value) {
        Word* slots = groups.at(group);
        for (std::size_t i = 0; i < kGroupSlots; ++i) {
            const Word word = load(slots + i);
            if (depth(word) != 0)
                continue;
            if ((word & kChild) != 0)
                push_down(groups, word & kIndexMask, value);
            else
                store(slots + i, value);
        }
    }

    ReservedMemory root_memory_;
    std::atomic<bool> is_large_ = false;
};

template <unsigned kBytes>
bool PrefixTable<kBytes>::set(GroupPool& groups, const std::uint8_t* prefix, unsigned length,
                              Word value) {
    const unsigned level = level_of(length);
    Word* slots = root_memory_.as<Word>();
    Word* counted = nullptr;
    Word containing = 0;
    bool in_group = false;
    unsigned at = 0;
    for (; at < level; ++at) {
        const Word word = load(slots + slot_at(at, prefix));
        if ((word & kChild) == 0)
            break;
        containing = word & kIndexMask;
        in_group = true;
        slots = groups.at(containing);
    }
    if (level - at > groups.available())
        return false;
    for (; at < level; ++at) {
        counted = slots + slot_at(at, prefix);
        const Word word = load(counted);
        const Word group = groups.take();
        Word* below = groups.at(group);
        for (std::size_t i = 0; i < kGroupSlots; ++i)
            store(below + i, word & ~kDepthMask);
        if (in_group && depth(word) == 0)
            ++groups.own(containing);
        store(counted, kChild | (word & kDepthMask) | group);
        containing = group;
        in_group = true;
        slots = below;
    }
    const Word own_depth = depth_at(level, length);
    const Range range = range_at(level, prefix, own_depth);
    for (Word* slot = slots + range.first; slot < slots + range.first + range.count; ++slot) {
        const Word word = load(slot);
        if (depth(word) > own_depth)
            continue;
        if ((word & kChild) != 0) {
            push_down(groups, word & kIndexMask, value);
            store(slot, kChild | own_depth << kDepthShift | (word & kIndexMask));
        } else {
            if (in_group && depth(word) == 0)
                ++groups.own(containing);
            store(slot, value | own_depth << kDepthShift);
        }
    }
    return true;
}

template <unsigned kBytes>
void PrefixTable<kBytes>::remove(GroupPool& groups, const std::uint8_t* prefix, unsigned length,
                                 Word cover, unsigned cover_length) {
    const unsigned level = level_of(length);
    std::array<Word*, kLevels> levels{};
    std::array<Word, kLevels> numbers{};
    levels[0] = root_memory_.as<Word>();
    for (unsigned at = 0; at < level; ++at) {
        numbers[at + 1] = load(levels[at] + slot_at(at, prefix)) & kIndexMask;
        levels[at + 1] = groups.at(numbers[at + 1]);
    }
    const Word own_depth = depth_at(level, length);
    const Word next_depth = depth_at(level, cover_length);
    const Range range = range_at(level, prefix, own_depth);
    Word* slots = levels[level];
    for (Word* slot = slots + range.first; slot < slots + range.first + range.count; ++slot) {
        const Word word = load(slot);
        if (depth(word) != own_depth)
            continue;
        if ((word & kChild) != 0) {
            push_down(groups, word & kIndexMask, cover);
            store(slot, kChild | next_depth << kDepthShift | (word & kIndexMask));
        } else {
            if (level != 0 && next_depth == 0)
                --groups.own(numbers[level]);
            store(slot, cover | next_depth << kDepthShift);
        }
    }
    // A group in which all comes from above is not needed.
    for (unsigned at = level; at > 0 && groups.own(numbers[at]) == 0; --at) {
        Word* above = levels[at - 1] + slot_at(at - 1, prefix);
        const Word inherited = load(levels[at]) & ~kDepthMask;
        const Word word_depth = load(above) & kDepthMask;
        store(above, inherited | word_depth);
        groups.numbers().retire(numbers[at]);
        if (at - 1 > 0 && word_depth == 0)
            --groups.own(numbers[at - 1]);
    }
}

}  // namespace sluice::route
