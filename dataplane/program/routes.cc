#include "dataplane/program/routes.h"

#include <algorithm>
#include <cstring>

namespace sluice::program {

namespace {

Ipv6 widen(Ipv4 address) {
    Ipv6 wide;
    std::memcpy(wide.bytes.data(), &address, sizeof address);
    return wide;
}

// Outgoing packets came from nowhere.
bool is_outgoing(const packet::Packet& packet) {
    return packet.passage.direction == packet::Direction::out;
}

// To ipfw a link-local address and the loopback address lie in a connected network, whatever the
// routes say, once there is IPv6 on the machine at all.
bool is_near_by_nature(const Ipv6& address) {
    static constexpr Ipv6 kLoopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return (address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80) || address == kLoopback;
}

}  // namespace

Routes::Routes(const packet::Environment& environment) {
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        for (const packet::InterfaceAddress& address : environment.interfaces[i].addresses)
            add(address.address, address.prefix_length,
                {.connected = true, .interface = static_cast<packet::InterfaceIndex>(i)});
    for (const packet::Route& route : environment.routes)
        add(route.prefix, route.prefix_length,
            {.discards = route.kind != packet::Route::Kind::forward, .interface = route.interface});
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.length > b.length; });
}

void Routes::add(const std::variant<Ipv4, Ipv6>& prefix, unsigned length, Entry entry) {
    if (const auto* v4 = std::get_if<Ipv4>(&prefix)) {
        entry.version = 4;
        entry.mask = widen(ipv4_mask(length));
        entry.prefix = widen(*v4) & entry.mask;
    } else {
        entry.version = 6;
        entry.mask = ipv6_mask(length);
        entry.prefix = std::get<Ipv6>(prefix) & entry.mask;
    }
    entry.length = length;
    has_ipv6_address_ |= entry.connected && entry.version == 6;
    entries_.push_back(entry);
}

const Routes::Entry* Routes::find(const packet::Headers& headers) const {
    for (const Entry& entry : entries_)
        if (entry.version == headers.ip_version && (headers.source & entry.mask) == entry.prefix)
            return &entry;
    return nullptr;
}

bool Routes::reverse_path_ok(const packet::Packet& packet) const {
    if (is_outgoing(packet) || packet.passage.receive_interface == packet::kNoInterface)
        return true;
    const Entry* route = find(packet.headers);
    return route != nullptr && route->interface == packet.passage.receive_interface &&
           !(route->length == 0 && route->discards);
}

bool Routes::source_reachable(const packet::Packet& packet) const {
    // ipfw(8) says that outgoing packets match. The real engine tests the IPv6 ones like any other
    // and never matches the IPv4 ones; its answers are what we promise.
    if (is_outgoing(packet) && packet.headers.ip_version == 4)
        return false;
    const Entry* route = find(packet.headers);
    return route != nullptr && route->length != 0 && !route->discards;
}

bool Routes::not_spoofed(const packet::Packet& packet) const {
    if (is_outgoing(packet) || packet.headers.ip_version == 0)
        return true;
    const bool in_connected_network =
        std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            return entry.connected && entry.version == packet.headers.ip_version &&
                   (packet.headers.source & entry.mask) == entry.prefix;
        });
    const bool near = packet.headers.ip_version == 6 && has_ipv6_address_ &&
                      is_near_by_nature(packet.headers.source);
    return !(in_connected_network || near) || reverse_path_ok(packet);
}

}  // namespace sluice::program
