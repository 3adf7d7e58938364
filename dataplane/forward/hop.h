// What one hop of a router does to a packet, and which packets it does not take (RFC 1812,
// RFC 4443, RFC 4291): on bytes and headers, without routes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/address.h"
#include "dataplane/packet/packet.h"

namespace sluice::forward {

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
bool has_right_checksum(const std::byte* network);

// To a group, or IPv4 255.255.255.255.
bool is_group(const packet::Headers& headers);

// IPv4 with a loose or strict source route that has not been followed to its end. Options that
// make no sense count as one: nobody can tell.
bool asks_for_source_route(const packet::Headers& headers);

// One less in the IP header at `network`; the checksum of IPv4 follows (RFC 1624).
// REQUIRES: it is a header of that version, and its TTL or hop limit is not 0.
void lower_hop_limit(std::byte* network, unsigned ip_version);

// The tag of the outermost VLAN, 0 if there is none or if it has priority only.
std::uint16_t vlan_of(const packet::Headers& headers);

}  // namespace sluice::forward
