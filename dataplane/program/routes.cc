#include "dataplane/program/routes.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

namespace sluice::program {

namespace {

Ipv6 widen(Ipv4 address) {
    Ipv6 wide;
    std::memcpy(wide.bytes.data(), &address, sizeof address);
    return wide;
}

Ipv4 narrow(const Ipv6& wide) {
    Ipv4 address;
    std::memcpy(&address, wide.bytes.data(), sizeof address);
    return address;
}

// Outgoing packets came from nowhere.
bool is_outgoing(const packet::Packet& packet) {
    return packet.passage.direction == packet::Direction::out;
}

bool is_link_local(const Ipv6& address) {
    return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

// To ipfw a link-local address and the loopback address lie in a connected network, whatever the
// routes say, once there is IPv6 on the machine at all.
bool is_near_by_nature(const Ipv6& address) {
    static constexpr Ipv6 kLoopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return is_link_local(address) || address == kLoopback;
}

struct MaskedPrefix {
    unsigned version = 4;
    Ipv6 first{};
    Ipv6 mask{};
};

MaskedPrefix masked(const std::variant<Ipv4, Ipv6>& address, unsigned length) {
    if (const auto* v4 = std::get_if<Ipv4>(&address))
        return {4, widen(*v4 & ipv4_mask(length)), widen(ipv4_mask(length))};
    return {6, std::get<Ipv6>(address) & ipv6_mask(length), ipv6_mask(length)};
}

// A forwarding table that small rulesets and tests can afford.
constexpr route::Fib::Limits kSmallFib = {.groups = std::size_t{1} << 16,
                                          .next_hops = std::size_t{1} << 16,
                                          .path_sets = 16,
                                          .neighbours = 16};

}  // namespace

Result<std::unique_ptr<const route::Fib>> make_fib(const packet::Environment& environment) {
    auto fib = route::Fib::create(kSmallFib);
    if (!fib)
        return fib.error();
    // Of two routes with one prefix the first one counts, and connected networks come first.
    std::set<std::tuple<unsigned, std::array<std::uint8_t, 16>, unsigned>> seen;
    const auto add = [&](const std::variant<Ipv4, Ipv6>& address, unsigned length, route::Kind kind,
                         packet::InterfaceIndex interface) -> Result<Done> {
        const MaskedPrefix prefix = masked(address, length);
        if (!seen.emplace(prefix.version, prefix.first.bytes, length).second)
            return Done{};
        return (*fib)->set_route({address, length},
                                 {.kind = kind, .paths = {{.interface = interface}}});
    };
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        for (const packet::InterfaceAddress& address : environment.interfaces[i].addresses)
            if (auto done = add(address.address, address.prefix_length, route::Kind::forward,
                                static_cast<packet::InterfaceIndex>(i));
                !done)
                return done.error();
    for (const packet::Route& route : environment.routes)
        if (auto done = add(route.prefix, route.prefix_length,
                            route.kind == packet::Route::Kind::forward ? route::Kind::forward
                                                                       : route::Kind::blackhole,
                            route.interface);
            !done)
            return done.error();
    return std::unique_ptr<const route::Fib>(std::move(*fib));
}

Routes::Routes(const packet::Environment& environment, const route::Fib* fib) : fib_(fib) {
    std::vector<Network> all;
    for (const packet::Interface& interface : environment.interfaces)
        for (const packet::InterfaceAddress& address : interface.addresses) {
            const MaskedPrefix prefix = masked(address.address, address.prefix_length);
            all.push_back({prefix.version, prefix.first, prefix.mask});
            has_ipv6_address_ |= prefix.version == 6;
        }
    // A network before those that lie in it.
    std::sort(all.begin(), all.end(), [](const Network& a, const Network& b) {
        return std::tie(a.version, a.first.bytes, a.mask.bytes) <
               std::tie(b.version, b.first.bytes, b.mask.bytes);
    });
    for (const Network& network : all)
        if (connected_.empty() || connected_.back().version != network.version ||
            (network.first & connected_.back().mask) != connected_.back().first)
            connected_.push_back(network);
}

const route::NextHop* Routes::find(const packet::Headers& headers) const {
    if (fib_ == nullptr || headers.ip_version == 0)
        return nullptr;
    const route::NextHop& hop = headers.ip_version == 4 ? fib_->find(narrow(headers.source), 0)
                                                        : fib_->find(headers.source, 0);
    return hop.kind == route::Kind::none ? nullptr : &hop;
}

bool Routes::leads_to(const packet::Headers& headers, packet::InterfaceIndex interface) const {
    return headers.ip_version == 4 ? fib_->leads_to(narrow(headers.source), interface)
                                   : fib_->leads_to(headers.source, interface);
}

bool Routes::in_connected_network(const packet::Headers& headers) const {
    // The last network that does not begin behind the source is the only one it can lie in.
    const auto behind =
        std::upper_bound(connected_.begin(), connected_.end(), headers,
                         [](const packet::Headers& wanted, const Network& network) {
                             return std::tuple(unsigned{wanted.ip_version}, wanted.source.bytes) <
                                    std::tuple(network.version, network.first.bytes);
                         });
    if (behind == connected_.begin())
        return false;
    const Network& network = *std::prev(behind);
    return network.version == headers.ip_version &&
           (headers.source & network.mask) == network.first;
}

bool Routes::reverse_path_ok(const packet::Packet& packet) const {
    if (is_outgoing(packet) || packet.passage.receive_interface == packet::kNoInterface)
        return true;
    const route::NextHop* hop = find(packet.headers);
    if (hop == nullptr || (hop->is_default && hop->discards()))
        return false;
    // On a gateway link-local networks are the host's; the link that such a packet came by is its.
    if (hop->kind == route::Kind::local && packet.headers.ip_version == 6 &&
        is_link_local(packet.headers.source))
        return true;
    return leads_to(packet.headers, packet.passage.receive_interface);
}

bool Routes::source_reachable(const packet::Packet& packet) const {
    // ipfw(8) says that outgoing packets match. The real engine tests the IPv6 ones like any other
    // and never matches the IPv4 ones; its answers are what we promise.
    if (is_outgoing(packet) && packet.headers.ip_version == 4)
        return false;
    const route::NextHop* hop = find(packet.headers);
    return hop != nullptr && !hop->is_default && !hop->discards();
}

bool Routes::not_spoofed(const packet::Packet& packet) const {
    if (is_outgoing(packet) || packet.headers.ip_version == 0)
        return true;
    const bool near = packet.headers.ip_version == 6 && has_ipv6_address_ &&
                      is_near_by_nature(packet.headers.source);
    return !(near || in_connected_network(packet.headers)) || reverse_path_ok(packet);
}

}  // namespace sluice::program
