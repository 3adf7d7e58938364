// What a pattern object has found.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace sluice::payload {

// Values that rules ask an object for (`payload NAME,VALUE`): ascending, no more than these.
inline constexpr std::size_t kMaximumAskedValues = 64;
using AskedValues = std::span<const std::uint32_t>;

struct Finding {
    static constexpr std::uint32_t kNothing = 0xffffffff;

    std::uint32_t pattern = kNothing;  // the first one of the object, in its order, that was found
    std::uint32_t value = 0;           // its value
    std::uint64_t asked = 0;           // bit i: one that has the i-th asked value was found

    bool found() const { return pattern != kNothing; }

    void note(std::uint32_t place, std::uint32_t its_value, AskedValues values) {
        if (place < pattern) {
            pattern = place;
            value = its_value;
        }
        const auto at = std::lower_bound(values.begin(), values.end(), its_value);
        if (at != values.end() && *at == its_value)
            asked |= std::uint64_t{1} << (at - values.begin());
    }

    void add(const Finding& more) {
        if (more.pattern < pattern) {
            pattern = more.pattern;
            value = more.value;
        }
        asked |= more.asked;
    }

    bool has_value(std::uint32_t wanted, AskedValues values) const {
        const auto at = std::lower_bound(values.begin(), values.end(), wanted);
        return at != values.end() && *at == wanted && (asked >> (at - values.begin()) & 1) != 0;
    }
};

}  // namespace sluice::payload
