// What the engine knows about the machine it runs on: interfaces, their addresses, and routes.
//
// An input of the engine, not part of the ruleset: from the settings on a bridge, from the kernel
// on a gateway, from the environment file in a replay. Immutable once a Runtime has been made from
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/address.h"

namespace sluice::packet {

using InterfaceIndex = std::uint16_t;
inline constexpr InterfaceIndex kNoInterface = 0xffff;
inline constexpr std::size_t kMaximumInterfaces = 256;

struct InterfaceAddress {
    std::variant<Ipv4, Ipv6> address;
    unsigned prefix_length = 0;
};

struct Interface {
    std::string name;
    std::vector<InterfaceAddress> addresses;
};

struct Route {
    enum class Kind { forward, blackhole, reject } kind = Kind::forward;
    std::variant<Ipv4, Ipv6> prefix;
    unsigned prefix_length = 0;
    InterfaceIndex interface = kNoInterface;
};

struct Environment {
    std::vector<Interface> interfaces;  // the index is the InterfaceIndex of packets
    std::vector<Route> routes;          // without the directly connected networks of `interfaces`
};

}  // namespace sluice::packet
