#include "common/address.h"

#include <arpa/inet.h>

#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "common/hex_digit.h"

namespace sluice {

namespace {

template <std::size_t N>
std::optional<unsigned> leading_ones(const std::array<std::uint8_t, N>& bytes) {
    unsigned length = 0;
    std::size_t i = 0;
    for (; i < N && bytes[i] == 0xff; ++i)
        length += 8;
    if (i < N) {
        unsigned ones = static_cast<unsigned>(std::countl_one(bytes[i]));
        if (static_cast<std::uint8_t>(bytes[i] << ones) != 0)
            return std::nullopt;
        length += ones;
        for (++i; i < N; ++i)
            if (bytes[i] != 0)
                return std::nullopt;
    }
    return length;
}

// inet_pton wants a terminated string; addresses are short.
template <typename Address>
std::optional<Address> parse(int family, std::string_view text) {
    char buffer[INET6_ADDRSTRLEN + 1];
    if (text.size() >= sizeof buffer || text.find('\0') != text.npos)
        return std::nullopt;
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    Address address;
    if (inet_pton(family, buffer, &address) != 1)
        return std::nullopt;
    return address;
}

}  // namespace

std::optional<Ipv4> parse_ipv4(std::string_view text) {
    return parse<Ipv4>(AF_INET, text);
}

std::optional<Ipv6> parse_ipv6(std::string_view text) {
    return parse<Ipv6>(AF_INET6, text);
}

std::optional<MacAddress> parse_mac(std::string_view text) {
    MacAddress mac;
    std::size_t at = 0;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        if (i > 0 && (at >= text.size() || text[at++] != ':'))
            return std::nullopt;
        unsigned value = 0;
        std::size_t digits = 0;
        for (; at < text.size() && digits < 2 && hex_digit(text[at]) >= 0; ++at, ++digits)
            value = value * 16 + static_cast<unsigned>(hex_digit(text[at]));
        if (digits == 0)
            return std::nullopt;
        mac.bytes[i] = static_cast<std::uint8_t>(value);
    }
    if (at != text.size())
        return std::nullopt;
    return mac;
}

std::string to_string(Ipv4 address) {
    // By hand: a large ruleset is printed faster than inet_ntop would do a tenth of it.
    char buffer[INET_ADDRSTRLEN];
    char* end = buffer;
    for (unsigned shift = 32; shift > 0;) {
        shift -= 8;
        end = std::to_chars(end, buffer + sizeof buffer, address.host() >> shift & 0xff).ptr;
        *end++ = '.';
    }
    return {buffer, end - 1};
}

std::string to_string(const Ipv6& address) {
    char buffer[INET6_ADDRSTRLEN];
    return inet_ntop(AF_INET6, &address, buffer, sizeof buffer);
}

std::string to_string(const MacAddress& address) {
    char buffer[18];
    const auto& b = address.bytes;
    std::snprintf(buffer, sizeof buffer, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
                  b[4], b[5]);
    return buffer;
}

Ipv4 ipv4_mask(unsigned length) {
    return Ipv4::from_host(length == 0 ? 0 : ~std::uint32_t{0} << (32 - length));
}

Ipv6 ipv6_mask(unsigned length) {
    Ipv6 mask;
    for (unsigned i = 0; i < length / 8; ++i)
        mask.bytes[i] = 0xff;
    if (length % 8 != 0)
        mask.bytes[length / 8] = static_cast<std::uint8_t>(0xff << (8 - length % 8));
    return mask;
}

std::optional<unsigned> mask_length(Ipv4 mask) {
    return leading_ones(std::bit_cast<std::array<std::uint8_t, 4>>(mask));
}

std::optional<unsigned> mask_length(const Ipv6& mask) {
    return leading_ones(mask.bytes);
}

Ipv4 operator&(Ipv4 a, Ipv4 b) {
    return Ipv4::from_host(a.host() & b.host());
}

Ipv6 operator&(const Ipv6& a, const Ipv6& b) {
    Ipv6 result;
    for (std::size_t i = 0; i < result.bytes.size(); ++i)
        result.bytes[i] = a.bytes[i] & b.bytes[i];
    return result;
}

}  // namespace sluice
