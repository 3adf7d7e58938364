// A first look at a frame: enough to judge what most traffic is made of, in a few instructions.
//
// A frame is common when it is Ethernet with at most one VLAN tag, IPv4 without options or IPv6
// without extension headers, no fragment, TCP, UDP or the ICMP of its version, and all lengths are
// as they should be. Everything else is left to parse_frame, which knows all of it; for common
// frames it would find the same values and no reason to drop (tests compare the two).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::packet {

struct Glance {
    const std::byte* network = nullptr;  // the IP header
    std::uint32_t ports = 0;             // the source port, and the destination port above it
    std::uint16_t ip_length = 0;         // that a rule counts
    std::uint8_t ip_version = 0;         // 4 or 6; 0: the frame is not common
    std::uint8_t protocol = 0;

    const wire::Ip4& ip4() const { return *reinterpret_cast<const wire::Ip4*>(network); }
    const wire::Ip6& ip6() const { return *reinterpret_cast<const wire::Ip6*>(network); }
    const std::byte* transport() const {
        return network + (ip_version == 4 ? sizeof(wire::Ip4) : sizeof(wire::Ip6));
    }
    // REQUIRES: the protocol is TCP.
    const wire::Tcp& tcp() const { return *reinterpret_cast<const wire::Tcp*>(transport()); }
    // REQUIRES: the protocol is an ICMP.
    std::uint8_t icmp_type() const { return static_cast<std::uint8_t>(transport()[0]); }
    std::uint8_t traffic_class() const {
        return ip_version == 4 ? ip4().tos
                               : static_cast<std::uint8_t>(ip6().version_class_label.host() >> 20);
    }
    std::uint8_t ttl() const { return ip_version == 4 ? ip4().ttl : ip6().hop_limit; }
    // ip_flag; always 0 for version 6.
    std::uint8_t ip_flags() const {
        return ip_version == 4 ? static_cast<std::uint8_t>(ip4().flags_offset.bytes[0] >> 5) : 0;
    }
    bool has_ports() const {
        return protocol == wire::protocol::tcp || protocol == wire::protocol::udp;
    }
};

namespace detail {

// Bytes that a packet must have from the IP header on, by protocol; no packet is as long as those
// that are not common would have to be.
using Lengths = std::array<std::uint32_t, 256>;

constexpr Lengths least_lengths(std::uint32_t ip, std::uint8_t icmp, std::uint32_t icmp_length) {
    Lengths lengths{};
    for (std::uint32_t& length : lengths)
        length = 0x10000;
    lengths[wire::protocol::tcp] = ip + sizeof(wire::Tcp);
    lengths[wire::protocol::udp] = ip + sizeof(wire::Udp);
    lengths[icmp] = ip + icmp_length;
    return lengths;
}

inline constexpr Lengths kLeast4 =
    least_lengths(sizeof(wire::Ip4), wire::protocol::icmp, sizeof(wire::Icmp));
inline constexpr Lengths kLeast6 =
    least_lengths(sizeof(wire::Ip6), wire::protocol::icmp6, sizeof(wire::Icmp6));

// From network to host byte order.
inline std::uint16_t load_be16(const std::byte* from) {
    std::uint16_t value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (std::endian::native == std::endian::little)
        value = __builtin_bswap16(value);
    return value;
}
inline std::uint32_t load_be32(const std::byte* from) {
    std::uint32_t value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (std::endian::native == std::endian::little)
        value = __builtin_bswap32(value);
    return value;
}
inline std::uint64_t load_be64(const std::byte* from) {
    std::uint64_t value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (std::endian::native == std::endian::little)
        value = __builtin_bswap64(value);
    return value;
}

inline std::uint32_t ports_at(const std::byte* transport) {
    return std::rotl(load_be32(transport), 16);
}

}  // namespace detail

// Of an IPv4 packet without options that is no fragment. Nothing, if it is something else.
[[gnu::always_inline]] inline void glance_at_ip4(const std::byte* network, std::uint32_t room,
                                                 std::uint32_t total, Glance& glance) {
    using namespace detail;
    constexpr std::uint16_t kFragment = 0x3fff;  // more of them, or an offset
    const auto protocol = static_cast<std::uint8_t>(network[offsetof(wire::Ip4, protocol)]);
    // Branches that are foreseen are cheaper than sums of conditions.
    if ((load_be16(network + offsetof(wire::Ip4, flags_offset)) & kFragment) != 0 ||
        total < kLeast4[protocol] || total > room)
        return;
    glance.network = network;
    glance.ip_version = 4;
    glance.protocol = protocol;
    glance.ip_length = static_cast<std::uint16_t>(total);
    glance.ports = protocol == wire::protocol::icmp ? 0 : ports_at(network + sizeof(wire::Ip4));
}

// Always inline: what it returns stays in registers.
[[gnu::always_inline]] inline Glance glance_at(const std::byte* frame, std::uint32_t length) {
    using namespace detail;
    constexpr std::uint32_t kEthernet = sizeof(wire::Ethernet), kTag = sizeof(wire::Vlan);
    constexpr std::uint32_t kLeast = kEthernet + kTag + sizeof(wire::Ip4);
    Glance glance;
    if (length < kLeast)
        return glance;
    // Most are this: the type, then version and header length, TOS and total length.
    const std::uint64_t word = load_be64(frame + kEthernet - 2);
    if (word >> 40 == (std::uint64_t{wire::kEtherTypeIpv4} << 8 | 0x45)) [[likely]] {
        glance_at_ip4(frame + kEthernet, length - kEthernet,
                      static_cast<std::uint32_t>(word >> 16) & 0xffff, glance);
        return glance;
    }
    auto type = static_cast<std::uint16_t>(word >> 48);
    std::uint32_t offset = kEthernet;
    if (type == wire::kEtherTypeVlan) {
        type = load_be16(frame + kEthernet + kTag - 2);
        offset += kTag;
    }
    const std::byte* network = frame + offset;
    const std::uint32_t room = length - offset;
    if (type == wire::kEtherTypeIpv4 && static_cast<unsigned>(network[0]) == 0x45) {
        glance_at_ip4(network, room, load_be16(network + offsetof(wire::Ip4, total_length)),
                      glance);
        return glance;
    }
    if (type == wire::kEtherTypeIpv6 && room >= sizeof(wire::Ip6)) {
        const auto protocol = static_cast<std::uint8_t>(network[offsetof(wire::Ip6, next_header)]);
        const std::uint32_t total =
            load_be16(network + offsetof(wire::Ip6, payload_length)) + sizeof(wire::Ip6);
        if (static_cast<unsigned>(network[0]) >> 4 != 6 || total < kLeast6[protocol] ||
            total > room || total > 0xffff)
            return glance;
        glance.network = network;
        glance.ip_version = 6;
        glance.protocol = protocol;
        glance.ip_length = static_cast<std::uint16_t>(total);
        glance.ports =
            protocol == wire::protocol::icmp6 ? 0 : ports_at(network + sizeof(wire::Ip6));
    }
    return glance;
}

}  // namespace sluice::packet
