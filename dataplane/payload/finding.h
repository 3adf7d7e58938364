// What a pattern object has found.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::payload {

// Values that rules ask an object for (`payload NAME,VALUE`): ascending, no more than these.
inline constexpr std::size_t kMaximumAskedValues = 256;
using AskedValues = std::span<const std::uint32_t>;

struct Finding {
    static constexpr std::uint32_t kNothing = 0xffffffff;

    std::uint32_t pattern = kNothing;  // the first one of the object, in its order, that was found
    std::uint32_t value = 0;           // its value
    // Bit i % 64 of word i / 64: one that has the i-th asked value was found.
    std::array<std::uint64_t, kMaximumAskedValues / 64> asked{};

    bool found() const { return pattern != kNothing; }

    void note(std::uint32_t place, std::uint32_t its_value, AskedValues values) {
        if (place < pattern) {
            pattern = place;
            value = its_value;
        }
        const std::size_t at = place_of(its_value, values);
        if (at < values.size())
            asked[at / 64] |= std::uint64_t{1} << at % 64;
    }

    void add(const Finding& more) {
        if (more.pattern < pattern) {
            pattern = more.pattern;
            value = more.value;
        }
        for (std::size_t word = 0; word < asked.size(); ++word)
            asked[word] |= more.asked[word];
    }

    bool has_value(std::uint32_t wanted, AskedValues values) const {
        const std::size_t at = place_of(wanted, values);
        return at < values.size() && (asked[at / 64] >> at % 64 & 1) != 0;
    }

  private:
    // values.size(): nobody asks for it.
    static std::size_t place_of(std::uint32_t value, AskedValues values) {
        const auto at = std::lower_bound(values.begin(), values.end(), value);
        return at != values.end() && *at == value ? static_cast<std::size_t>(at - values.begin())
                                                  : values.size();
    }
};

}  // namespace sluice::payload
