// Which packets somebody wants to see, live: `ipfw tail`, `ipfw capture` and `ipfw trace --live`.
//
// All that is given must hold; a default filter means every packet. The control plane asks it of
// log records, workers of packets: so it is here, once.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::contract {

enum class WantedWay : std::uint8_t { any, in, out };

// What a rule has done with the packet. A rule that lets it go on has done neither.
enum class Fate : std::uint8_t { any, accept, deny };

struct PacketFilter {
    std::uint8_t ip_version = 0;     // 4 or 6: address counts; 0: it does not
    std::uint8_t prefix_length = 0;  // of address; in bits of its family
    std::uint8_t protocol = 0;
    std::uint8_t has_protocol = 0;  // 1: protocol counts
    std::uint16_t port = 0;         // of either end; 0: any
    std::uint16_t rule_number = 0;  // 0: any
    WantedWay way = WantedWay::any;
    Fate fate = Fate::any;
    std::uint16_t reserved = 0;
    Ipv6 address{};  // of either end, the first 4 bytes for version 4

    bool operator==(const PacketFilter&) const = default;
};
static_assert(sizeof(PacketFilter) == 28);
static_assert(std::has_unique_object_representations_v<PacketFilter>);

// What a filter looks at.
struct PacketFacts {
    std::uint8_t ip_version = 0;  // 0: not IP
    std::uint8_t protocol = 0;
    bool has_ports = false;
    bool out = false;
    Fate fate = Fate::any;  // any: neither accepted nor denied
    std::uint16_t rule_number = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    Ipv6 source{};  // as in the filter
    Ipv6 destination{};
};

// REQUIRES: bits <= 128.
constexpr bool begins_alike(const Ipv6& a, const Ipv6& b, unsigned bits) {
    const unsigned bytes = bits / 8;
    for (unsigned i = 0; i < bytes; ++i)
        if (a.bytes[i] != b.bytes[i])
            return false;
    const unsigned rest = bits % 8;
    return rest == 0 || ((a.bytes[bytes] ^ b.bytes[bytes]) >> (8 - rest)) == 0;
}

constexpr bool meets(const PacketFilter& filter, const PacketFacts& packet) {
    if (filter.rule_number != 0 && filter.rule_number != packet.rule_number)
        return false;
    if (filter.way != WantedWay::any && (filter.way == WantedWay::out) != packet.out)
        return false;
    if (filter.fate != Fate::any && filter.fate != packet.fate)
        return false;
    if (filter.has_protocol != 0 && (packet.ip_version == 0 || filter.protocol != packet.protocol))
        return false;
    if (filter.port != 0 && !(packet.has_ports && (filter.port == packet.source_port ||
                                                   filter.port == packet.destination_port)))
        return false;
    return filter.ip_version == 0 ||
           (filter.ip_version == packet.ip_version &&
            (begins_alike(filter.address, packet.source, filter.prefix_length) ||
             begins_alike(filter.address, packet.destination, filter.prefix_length)));
}

// Whether it may be asked: it may have come from anywhere.
constexpr bool is_sound(const PacketFilter& filter) {
    const bool address = filter.ip_version == 0
                             ? filter.prefix_length == 0
                             : (filter.ip_version == 4 && filter.prefix_length <= 32) ||
                                   (filter.ip_version == 6 && filter.prefix_length <= 128);
    return address && filter.way <= WantedWay::out && filter.fate <= Fate::deny;
}

}  // namespace sluice::contract
