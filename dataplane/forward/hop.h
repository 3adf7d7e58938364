// What one hop of a router does to a packet, and which packets it does not take (RFC 1812,
// RFC 4443, RFC 4291): on bytes and headers, without routes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/address.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace detail {

template <typename Word>
Word load(const std::byte* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

// First bytes of IPv4 addresses that one host has, on any network.
inline constexpr std::array<bool, 256> kHosts4 = [] {
    std::array<bool, 256> hosts{};
    for (std::size_t byte = 1; byte < 224; ++byte)
        hosts[byte] = byte != 127;
    return hosts;
}();

}  // namespace detail

// The packet has an address that must not be seen on the way between two networks: loopback,
// "this network", multicast or class E as source, IPv4 broadcast, unspecified or IPv4-mapped
// addresses.
bool is_martian(const packet::Headers& headers);

// IPv6: one end is link-local, so the packet must not leave its link.
bool is_link_local(const Ipv6& address);

// What a DHCP server answers to a client with this hardware address. It may go to the address that
// the client is about to get, which no route leads to yet.
bool is_dhcp_answer_to(const packet::Headers& headers, const MacAddress& client);
// The ports of such answers, as the word that a glance has.
inline constexpr std::uint32_t kDhcpAnswerPorts = 67 | 68 << 16;

// The checksum of the IPv4 header at `network` is right (RFC 1812 §5.2.2). Without options.
inline bool has_right_checksum(const std::byte* network) {
    // Sums with the carry brought round, of which every order of bytes and any width is right.
    const auto first = detail::load<std::uint64_t>(network);
    const auto second = detail::load<std::uint64_t>(network + 8);
    const std::uint64_t third = detail::load<std::uint32_t>(network + 16);
    std::uint64_t sum = first + second;
    sum += sum < second ? 1 : 0;
    sum += third;
    sum += sum < third ? 1 : 0;
    // A multiple of 0xffff: what is, times the inverse of that, is its share; all else is more.
    constexpr std::uint64_t kMost = ~std::uint64_t{0} / 0xffff;
    constexpr std::uint64_t kInverse = 0 - kMost;
    static_assert(kInverse * 0xffff == 1);
    return sum * kInverse <= kMost;
}

// Nothing stands against the packet with this header but, perhaps, its route: it comes from one
// host and goes to another, has a hop to go and, of IPv4, the right checksum. Without options.
inline bool goes_plainly4(const std::byte* network) {
    const auto& ip = *reinterpret_cast<const packet::wire::Ip4*>(network);
    return detail::kHosts4[ip.source.value.bytes[0]] &&
           detail::kHosts4[ip.destination.value.bytes[0]] && ip.ttl > 1 &&
           has_right_checksum(network);
}
inline bool goes_plainly6(const std::byte* network) {
    const auto& ip = *reinterpret_cast<const packet::wire::Ip6*>(network);
    const unsigned from = ip.source.bytes[0], to = ip.destination.bytes[0];
    return from != 0 && from < 0xfe && to != 0 && to != 0xff && ip.hop_limit > 1;
}

// To a group, or IPv4 255.255.255.255.
bool is_group(const packet::Headers& headers);

// IPv4 with a loose or strict source route that has not been followed to its end. Options that
// make no sense count as one: nobody can tell.
bool asks_for_source_route(const packet::Headers& headers);

// One less in the IP header at `network`; the checksum of IPv4 follows (RFC 1624).
// REQUIRES: it is a header of that version, and its TTL or hop limit is not 0.
inline void lower_hop_limit4(std::byte* network) {
    auto& ip = *reinterpret_cast<packet::wire::Ip4*>(network);
    --ip.ttl;
    // The word of TTL and protocol has become 0x0100 less, in whatever order their bytes are. The
    // carry comes round, and 0xffff is no checksum of a header.
    constexpr unsigned kHop = std::bit_cast<std::uint16_t>(Be16::from_host(0x0100));
    const unsigned sum = std::bit_cast<std::uint16_t>(ip.checksum);
    ip.checksum = std::bit_cast<Be16>(
        static_cast<std::uint16_t>(sum + kHop + 1 - (sum < 0xffff - kHop ? 1 : 0)));
}
inline void lower_hop_limit6(std::byte* network) {
    --reinterpret_cast<packet::wire::Ip6*>(network)->hop_limit;
}
inline void lower_hop_limit(std::byte* network, unsigned ip_version) {
    ip_version == 6 ? lower_hop_limit6(network) : lower_hop_limit4(network);
}

// The tag of the outermost VLAN, 0 if there is none or if it has priority only.
std::uint16_t vlan_of(const packet::Headers& headers);

}  // namespace sluice::forward
