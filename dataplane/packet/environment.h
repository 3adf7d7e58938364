// What the engine knows about the machine it runs on: interfaces, their addresses, and routes.
//
// An input of the engine, not part of the ruleset: from the settings on a bridge, from the kernel
// on a gateway, from the environment file in a replay. Immutable once a Runtime has been made from
// it. Ports come first, so that the index of a port is the index of its interface; the VLANs of
// gateway ports stand behind them. An index does not change its meaning while packets may carry it.
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
    std::string name;  // empty: a place that nothing stands in any more
    std::vector<InterfaceAddress> addresses;
    std::uint16_t port = 0;  // index of the port that its frames take
    std::uint16_t vlan = 0;  // tag of its frames; 0: they have none
    MacAddress mac{};
    unsigned mtu = 1500;  // of IP packets
    bool up = true;
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
