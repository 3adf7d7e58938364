// Network byte order as a type. A Be16 or Be32 is what stands in a packet; arithmetic on it does
// not compile. `.host()` reads it, `from_host` makes one. Both have alignment 1, so that they may
// be laid over packet bytes.
#pragma once

#include <cstdint>

namespace sluice {

struct Be16 {
    std::uint8_t bytes[2]{};

    static constexpr Be16 from_host(std::uint16_t v) {
        return {{static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)}};
    }
    constexpr std::uint16_t host() const {
        return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
    }
    constexpr bool operator==(const Be16&) const = default;
};

struct Be32 {
    std::uint8_t bytes[4]{};

    static constexpr Be32 from_host(std::uint32_t v) {
        return {{static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
                 static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)}};
    }
    constexpr std::uint32_t host() const {
        return static_cast<std::uint32_t>(bytes[0]) << 24 |
               static_cast<std::uint32_t>(bytes[1]) << 16 |
               static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
    }
    constexpr bool operator==(const Be32&) const = default;
};

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

}  // namespace sluice
