// Addresses as values, always in network byte order, and their text. Reading is strict: octal,
// short and hexadecimal IPv4 forms that inet_aton takes are refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/byte_order.h"

namespace sluice {

struct Ipv4 {
    Be32 value;

    static constexpr Ipv4 from_host(std::uint32_t v) { return {Be32::from_host(v)}; }
    constexpr std::uint32_t host() const { return value.host(); }
    constexpr bool operator==(const Ipv4&) const = default;
};

struct Ipv6 {
    std::array<std::uint8_t, 16> bytes{};

    constexpr bool operator==(const Ipv6&) const = default;
};

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    constexpr bool operator==(const MacAddress&) const = default;
};

static_assert(sizeof(Ipv4) == 4 && sizeof(Ipv6) == 16 && sizeof(MacAddress) == 6);

std::optional<Ipv4> parse_ipv4(std::string_view text);
std::optional<Ipv6> parse_ipv6(std::string_view text);
std::optional<MacAddress> parse_mac(std::string_view text);

std::string to_string(Ipv4 address);
std::string to_string(const Ipv6& address);
std::string to_string(const MacAddress& address);

// The mask with `length` leading ones. REQUIRES: length <= 32 (128).
Ipv4 ipv4_mask(unsigned length);
Ipv6 ipv6_mask(unsigned length);

// The number of leading ones if the mask is contiguous.
std::optional<unsigned> mask_length(Ipv4 mask);
std::optional<unsigned> mask_length(const Ipv6& mask);

Ipv4 operator&(Ipv4 a, Ipv4 b);
Ipv6 operator&(const Ipv6& a, const Ipv6& b);

}  // namespace sluice
