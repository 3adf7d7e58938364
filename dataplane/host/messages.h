// Netlink messages of the kernel as values: what a link, an address, a route or a neighbour is
// like.
//
// Functions on bytes: whatever the bytes are, nothing is read beyond them. What the data plane has
// no use for is told apart from what makes no sense.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/address.h"
#include "dataplane/route/fib.h"

namespace sluice::host {

using LinkIndex = int;  // of the kernel

enum class Change : std::uint8_t { set, removed };

struct LinkMessage {
    Change change = Change::set;
    LinkIndex index = 0;
    std::string name;
    MacAddress mac{};
    unsigned mtu = 0;
    bool up = false;  // IFF_UP
    // Of a VLAN: the link below, in the same namespace, and the tag.
    LinkIndex below = 0;
    std::optional<std::uint16_t> vlan;
};

struct AddressMessage {
    Change change = Change::set;
    LinkIndex link = 0;
    route::Address address;
    unsigned prefix_length = 0;

    bool operator==(const AddressMessage&) const = default;
};

struct RoutePath {
    LinkIndex link = 0;
    std::optional<route::Address> gateway;
    unsigned weight = 1;
    bool dead = false;  // the kernel does not use it at present
};

// Higher ones count less.
enum class TableRank : std::uint8_t { local, main, fallback, built_in };

struct RouteMessage {
    Change change = Change::set;
    // Takes the place of the first one with the same prefix, table and metric.
    bool replaces = false;
    // Stands behind others with the same prefix, table and metric.
    bool appended = false;
    route::Prefix prefix;
    TableRank table = TableRank::main;
    std::uint32_t metric = 0;
    route::Kind kind = route::Kind::forward;
    std::vector<RoutePath> paths;
    unsigned mtu = 0;
    std::uint32_t next_hop_object = 0;  // 0: none
};

struct NeighbourMessage {
    Change change = Change::set;
    LinkIndex link = 0;
    route::Address address;
    // None: not known, or not reachable.
    std::optional<MacAddress> mac;
    // Nobody has heard of it for a while: the kernel may forget it.
    bool stale = false;
};

// A next hop object (`ip nexthop`) has changed or is gone; routes may have gone with it in silence.
struct NextHopObjectMessage {
    std::uint32_t id = 0;
};

// monostate: of no interest here.
using Message = std::variant<std::monostate, LinkMessage, AddressMessage, RouteMessage,
                             NeighbourMessage, NextHopObjectMessage>;

// All bytes of an address; those behind an IPv4 address are 0.
inline std::array<std::uint8_t, 16> address_bytes(const route::Address& address) {
    if (const auto* v6 = std::get_if<Ipv6>(&address))
        return v6->bytes;
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &std::get<Ipv4>(address), sizeof(Ipv4));
    return bytes;
}

// One message, from its header on. None: malformed.
std::optional<Message> parse_message(std::span<const std::byte> message);

}  // namespace sluice::host
