#include "dataplane/worker/router.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/fragment.h"
#include "dataplane/forward/hop.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using forward::Obstacle;
using packet::Headers;
using packet::kNoInterface;
namespace wire = packet::wire;

constexpr std::uint16_t kPortUnreachable = 3;  // code of ICMP's destination unreachable

Ipv4 ipv4_of(const Ipv6& stored) {
    Ipv4 address;
    std::memcpy(&address, stored.bytes.data(), sizeof address);
    return address;
}

Ipv6 stored(const std::variant<Ipv4, Ipv6>& address) {
    if (const auto* v6 = std::get_if<Ipv6>(&address))
        return *v6;
    Ipv6 wide;
    std::memcpy(wide.bytes.data(), &std::get<Ipv4>(address), sizeof(Ipv4));
    return wide;
}

// The frame as it lies in the packet's first buffer.
std::span<std::byte> first_piece(rte_mbuf* mbuf) {
    return {rte_pktmbuf_mtod(mbuf, std::byte*), mbuf->data_len};
}

bool has_right_checksum(const Headers& headers) {
    packet::Checksum sum;
    sum.add({headers.frame + headers.network_offset, headers.ip_header_length});
    return sum.finish() == Be16{};
}

bool holds_headers(rte_mbuf* mbuf, const Headers& headers) {
    return std::size_t{headers.network_offset} + headers.ip_header_length <= mbuf->data_len;
}

const packet::Interface* interface_of(const program::Runtime& runtime,
                                      packet::InterfaceIndex index) {
    const auto& interfaces = runtime.environment().interfaces;
    return index < interfaces.size() ? &interfaces[index] : nullptr;
}

// Whether `fwd` wants another socket for the packet than the kernel would choose.
bool names_a_socket(const Router::Target& target, const Headers& headers) {
    return target.address != headers.destination ||
           (target.port != 0 && target.port != headers.destination_port);
}

// Of a route the kernel takes any MTU; no link has less than these (RFC 791, RFC 8200).
unsigned mtu_of(const route::NextHop& hop, const packet::Interface& out, unsigned ip_version) {
    constexpr unsigned kLeast4 = 68, kLeast6 = 1280;
    return std::max(hop.mtu != 0 ? std::min(hop.mtu, out.mtu) : out.mtu,
                    ip_version == 6 ? kLeast6 : kLeast4);
}

std::uint16_t port_of(const program::Runtime& runtime, packet::InterfaceIndex index) {
    const packet::Interface* interface = interface_of(runtime, index);
    return interface == nullptr ? 0 : interface->port;
}

}  // namespace

Router::~Router() {
    for (unsigned i = 0; i < waiting_count_; ++i)
        rte_pktmbuf_free(waiting_[i].mbuf);
}

std::optional<Ipv6> Router::own_address(const program::Runtime& runtime,
                                        const packet::Packet& packet) {
    const packet::Interface* interface = interface_of(runtime, packet.passage.receive_interface);
    if (interface == nullptr)
        return std::nullopt;
    const bool wants_v6 = packet.headers.ip_version == 6;
    std::optional<Ipv6> of_link;
    const auto address_of = [&](const packet::Interface& from) -> std::optional<Ipv6> {
        for (const packet::InterfaceAddress& each : from.addresses) {
            if (std::holds_alternative<Ipv6>(each.address) != wants_v6)
                continue;
            const Ipv6 address = stored(each.address);
            if (!wants_v6 || !forward::is_link_local(address))
                return address;
            if (&from == interface)
                of_link = address;
        }
        return std::nullopt;
    };
    if (const auto address = address_of(*interface))
        return address;
    for (const packet::Interface& other : runtime.environment().interfaces)
        if (const auto address = address_of(other))
            return address;
    return of_link;
}

Router::Way Router::way_to(const packet::Packet& packet, const Target& target) const {
    const Headers& headers = packet.headers;
    std::uint64_t source[2], destination[2];
    std::memcpy(source, &headers.source, sizeof source);
    std::memcpy(destination, &headers.destination, sizeof destination);
    // Fragments have no ports after the first, so none of them counts any.
    const std::uint32_t ports =
        headers.is_fragment() ? 0
                              : headers.source_port | std::uint32_t{headers.destination_port} << 16;
    const std::uint32_t hash =
        flow_hash(source[0] ^ source[1], destination[0] ^ destination[1], ports);
    return {.hop = target.version == 4 ? &spec_.fib->find(ipv4_of(target.address), hash)
                                       : &spec_.fib->find(target.address, hash),
            .target = target};
}

void Router::give_to_host(rte_mbuf* mbuf, std::uint16_t port) {
    if (!spec_.host->give(spec_.worker, port, mbuf)) {
        spec_.sender->drop(mbuf, port, DropReason::host_queue_full);
        return;
    }
    contract::add(spec_.counters->to_host, 1);
    gave_to_host_ = true;
}

void Router::wake_host() {
    if (!gave_to_host_)
        return;
    gave_to_host_ = false;
    spec_.host->wake();
}

void Router::give_to_socket(const program::Runtime& runtime, const Traveller& traveller,
                            const Target& target) {
    const packet::Packet& packet = *traveller.packet;
    rte_mbuf* mbuf = traveller.mbuf;
    // The kernel believes nobody else who has one of its own addresses.
    if (packet.passage.receive_interface == kNoInterface)
        return refuse(runtime, traveller, DropReason::fwd_of_own, Obstacle::none);
    if (!spec_.host->delivers_to_sockets())
        return refuse(runtime, traveller, DropReason::fwd_unavailable, Obstacle::none);
    if (packet.headers.is_fragment())
        return refuse(runtime, traveller, DropReason::fwd_fragment, Obstacle::none);
    if (!make_changes(traveller) || rte_pktmbuf_headroom(mbuf) < sizeof(host::DeliveryOrder))
        return refuse(runtime, traveller, DropReason::cannot_rewrite, Obstacle::none);
    rte_pktmbuf_mtod(mbuf, wire::Ethernet*)->destination = host::kToSocket;
    const std::uint16_t port = port_of(runtime, packet.passage.receive_interface);
    if (!spec_.host->give_to_socket(
            spec_.worker, port, mbuf,
            host::delivery_order(packet.headers, target.address, target.port)))
        return spec_.sender->drop(mbuf, port, DropReason::host_queue_full);
    contract::add(spec_.counters->to_host, 1);
    gave_to_host_ = true;
}

void Router::answer_unheard(const program::Runtime& runtime, rte_mbuf* mbuf,
                            packet::InterfaceIndex interface, std::uint64_t now_ms) {
    packet::Packet packet;
    packet.passage.receive_interface = interface;
    packet.now_ms = now_ms;
    const std::uint16_t port = port_of(runtime, interface);
    rte_pktmbuf_mtod(mbuf, wire::Ethernet*)->destination =
        runtime.environment().interfaces[interface].mac;
    if (packet::parse_frame(first_piece(mbuf), runtime.parser_settings(), packet.headers) ==
        DropReason::none) {
        program::Verdict answer{.kind = program::Verdict::Kind::reset};
        if (packet.headers.protocol != wire::protocol::tcp)
            answer = {.kind = program::Verdict::Kind::unreach, .argument = kPortUnreachable};
        spec_.sender->answer(
            {.packet = packet, .port = port, .now_ms = now_ms, .own = own_address(runtime, packet)},
            answer);
    }
    spec_.sender->drop(mbuf, port, DropReason::fwd_without_listener);
}

// The sender is told, if it came from a network; a packet of the host is told by the host.
void Router::refuse(const program::Runtime& runtime, const Traveller& traveller, DropReason reason,
                    Obstacle obstacle, std::uint16_t mtu) {
    const packet::Packet& packet = *traveller.packet;
    const packet::InterfaceIndex from = packet.passage.receive_interface;
    if (from == kNoInterface)
        return spec_.sender->drop_own(traveller.mbuf, reason);
    const std::uint16_t port = port_of(runtime, from);
    if (obstacle != Obstacle::none)
        spec_.sender->tell({.packet = packet,
                            .port = port,
                            .now_ms = packet.now_ms,
                            .own = own_address(runtime, packet)},
                           obstacle, mtu);
    spec_.sender->drop(traveller.mbuf, port, reason);
}

bool Router::make_changes(const Traveller& traveller) {
    program::PacketMarks* marks = traveller.marks;
    if (marks == nullptr || !marks->changes_headers())
        return true;
    const Headers& headers = traveller.packet->headers;
    const std::span<std::byte> piece = first_piece(traveller.mbuf);
    if (!forward::rewrite(piece, headers, *marks))
        return false;
    // Fragments are cut from the copy of a frame in several buffers, if there is one.
    if (headers.frame != piece.data())
        forward::rewrite({const_cast<std::byte*>(headers.frame), headers.frame_length}, headers,
                         *marks);
    marks->forget_changes();
    return true;
}

bool Router::lower_hop_limit(const program::Runtime& runtime, const Traveller& traveller) {
    const Headers& headers = traveller.packet->headers;
    if (headers.ttl <= 1) {
        refuse(runtime, traveller, DropReason::hop_limit, Obstacle::hop_limit);
        return false;
    }
    if (!holds_headers(traveller.mbuf, headers)) {
        refuse(runtime, traveller, DropReason::cannot_rewrite, Obstacle::none);
        return false;
    }
    forward::lower_hop_limit(first_piece(traveller.mbuf).data() + headers.network_offset,
                             headers.ip_version);
    return true;
}

Router::Way Router::route(const program::Runtime& runtime, const Traveller& traveller,
                          const Target& target) {
    const packet::Packet& packet = *traveller.packet;
    const Headers& headers = packet.headers;
    const auto up = [&]() -> Way {
        if (make_changes(traveller))
            give_to_host(traveller.mbuf, port_of(runtime, packet.passage.receive_interface));
        else
            refuse(runtime, traveller, DropReason::cannot_rewrite, Obstacle::none);
        return {};
    };
    const auto stop = [&](DropReason reason, Obstacle obstacle) -> Way {
        refuse(runtime, traveller, reason, obstacle);
        return {};
    };
    const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(headers.frame);
    // RFC 1812 §5.3.4: what came to a group on the link is not forwarded.
    if (forward::is_group(headers) || (ethernet.destination.bytes[0] & 1) != 0)
        return up();
    // As on a host, whose DHCP client sees the frames themselves.
    if (const packet::Interface* in = interface_of(runtime, packet.passage.receive_interface);
        in != nullptr && forward::is_dhcp_answer_to(headers, in->mac))
        return up();
    const Way way = way_to(packet, target);
    if (way.hop->kind == route::Kind::local && !names_a_socket(target, headers))
        return up();
    if (way.hop->kind != route::Kind::local && headers.ip_version == 4 &&
        !has_right_checksum(headers))
        return stop(DropReason::bad_checksum, Obstacle::none);
    // Before anybody is told anything: such senders do not exist.
    if (way.hop->kind != route::Kind::local && forward::is_martian(headers))
        return stop(DropReason::martian, Obstacle::none);
    // A program that has changed a packet knows what it does: it may translate addresses.
    if (packet.passage.came_back == 0 && runtime.local_addresses().is_no_sender(headers))
        return stop(DropReason::own_source, Obstacle::none);
    switch (way.hop->kind) {
        case route::Kind::local:
            give_to_socket(runtime, traveller, target);
            return {};
        case route::Kind::none:
            return stop(DropReason::no_route, Obstacle::no_route);
        case route::Kind::blackhole:
            return stop(DropReason::blackhole, Obstacle::none);
        case route::Kind::unreachable:
            return stop(DropReason::host_unreachable, Obstacle::host_unreachable);
        case route::Kind::prohibit:
            return stop(DropReason::prohibited, Obstacle::prohibited);
        case route::Kind::forward:
            break;
    }
    if (headers.ip_version == 6 && forward::is_link_local(headers.source))
        return stop(DropReason::beyond_scope, Obstacle::beyond_scope);
    if (forward::asks_for_source_route(headers))
        return stop(DropReason::source_route, Obstacle::source_route_refused);
    if (!lower_hop_limit(runtime, traveller))
        return {};
    return way;
}

// Ethernet addresses and VLAN tag of the way out. What stood between them (several tags) is gone:
// it belonged to the link that the packet came by.
bool Router::address(rte_mbuf* mbuf, std::size_t network_offset, unsigned ip_version,
                     const packet::Interface& out, const MacAddress& neighbour) {
    const std::size_t wanted = sizeof(wire::Ethernet) + (out.vlan != 0 ? sizeof(wire::Vlan) : 0);
    if (network_offset > wanted)
        rte_pktmbuf_adj(mbuf, static_cast<std::uint16_t>(network_offset - wanted));
    else if (network_offset < wanted &&
             rte_pktmbuf_prepend(mbuf, static_cast<std::uint16_t>(wanted - network_offset)) ==
                 nullptr)
        return false;
    const Be16 type =
        Be16::from_host(ip_version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
    auto* ethernet = rte_pktmbuf_mtod(mbuf, wire::Ethernet*);
    ethernet->destination = neighbour;
    ethernet->source = out.mac;
    ethernet->type = type;
    if (out.vlan != 0) {
        ethernet->type = Be16::from_host(wire::kEtherTypeVlan);
        *reinterpret_cast<wire::Vlan*>(ethernet + 1) = {.tag = Be16::from_host(out.vlan),
                                                        .type = type};
    }
    return true;
}

void Router::send_fragments(const packet::Interface& out, const Traveller& traveller, unsigned mtu,
                            const MacAddress& neighbour) {
    const Headers& headers = traveller.packet->headers;
    const std::span<const std::byte> frame(headers.frame, headers.frame_length);
    for (unsigned number = 0;; ++number) {
        const std::size_t size = forward::build_fragment(frame, headers, mtu, number, fragment_);
        if (size == 0)
            break;
        rte_mbuf* piece = spec_.sender->copy(std::span(fragment_).first(size), out.port);
        if (piece == nullptr ||
            !address(piece, headers.network_offset, headers.ip_version, out, neighbour)) {
            spec_.sender->drop_own(piece, DropReason::transmit_full);
            break;
        }
        spec_.sender->send_own(piece, out.port);
    }
    rte_pktmbuf_free(traveller.mbuf);
    contract::add(spec_.counters->routed, 1);
}

bool Router::look_up(const program::Runtime& runtime, const route::NextHop& hop) {
    leaving_.hop = nullptr;
    // Nothing of this waits for anything else, as long as it is what it was.
    const bool is_known =
        leaving_.index == hop.neighbour && leaving_.index != route::kNoNeighbour &&
        leaving_.word == leaving_.neighbour->word() && leaving_.interface == hop.interface &&
        leaving_.route_mtu == hop.mtu && leaving_.runtime == runtime.serial();
    if ((!is_known && !find_leaving(runtime, hop)) ||
        !leaving_.link_up->load(std::memory_order_relaxed))
        return false;
    leaving_.hop = &hop;
    leaving_.neighbour->mark_used();
    return true;
}

bool Router::find_leaving(const program::Runtime& runtime, const route::NextHop& hop) {
    leaving_ = {};
    const packet::Interface* out = interface_of(runtime, hop.interface);
    if (hop.neighbour == route::kNoNeighbour || out == nullptr || !out->up)
        return false;
    const route::Neighbour& neighbour = spec_.fib->neighbour(hop.neighbour);
    const std::uint64_t word = neighbour.word();
    if ((word & route::Neighbour::kResolved) == 0)
        return false;
    leaving_.runtime = runtime.serial();
    leaving_.index = hop.neighbour;
    leaving_.neighbour = &neighbour;
    leaving_.word = word;
    leaving_.link_up = &spec_.sender->link(out->port);
    leaving_.route_mtu = hop.mtu;
    leaving_.interface = hop.interface;
    leaving_.port = out->port;
    const unsigned mtu = hop.mtu != 0 ? std::min(hop.mtu, out->mtu) : out->mtu;
    leaving_.longest = out->vlan == 0 ? mtu + sizeof(wire::Ethernet) : 0;
    std::memcpy(leaving_.addresses, &word, sizeof(MacAddress));
    std::memcpy(leaving_.addresses + sizeof(MacAddress), &out->mac, sizeof out->mac);
    return true;
}

unsigned Router::send_plainly(const program::Runtime& runtime, std::span<rte_mbuf* const> mbufs,
                              const route::NextHop* const* hops) {
    const route::NextHop* hop = hops[0];
    if (hop != leaving_.hop && !look_up(runtime, *hop))
        return 0;
    std::uint64_t first;  // bytes of the frame, and the rest of the addresses
    std::uint32_t second;
    std::memcpy(&first, leaving_.addresses, sizeof first);
    std::memcpy(&second, leaving_.addresses + sizeof first, sizeof second);
    const unsigned longest = leaving_.longest;
    std::uint64_t bytes = 0;
    unsigned count = 0;
    for (; count < mbufs.size(); ++count) {
        rte_mbuf* mbuf = mbufs[count];
        // A short packet in a frame that is too long is nothing that happens often.
        const unsigned length = mbuf->pkt_len;
        if (hops[count] != hop || length > longest)
            break;
        auto* frame = rte_pktmbuf_mtod(mbuf, std::byte*);
        mbuf->port = RTE_MBUF_PORT_INVALID;
        std::memcpy(frame, &first, sizeof first);
        std::memcpy(frame + sizeof first, &second, sizeof second);
        bytes += length;
    }
    spec_.sender->forward(mbufs.first(count), leaving_.port, bytes);
    return count;
}

void Router::send(const program::Runtime& runtime, const Traveller& traveller, const Way& way) {
    const route::NextHop* hop = way.hop;
    if (hop->kind == route::Kind::local)
        return give_to_socket(runtime, traveller, way.target);
    if (hop->kind != route::Kind::forward)
        return refuse(runtime, traveller, DropReason::no_route, Obstacle::no_route);
    const packet::Interface* out = interface_of(runtime, hop->interface);
    if (out == nullptr || !out->up || !spec_.sender->link_up(out->port))
        return refuse(runtime, traveller, DropReason::port_down, Obstacle::host_unreachable);
    if (!make_changes(traveller))
        return refuse(runtime, traveller, DropReason::cannot_rewrite, Obstacle::none);
    const route::Neighbour* neighbour =
        hop->neighbour == route::kNoNeighbour ? nullptr : &spec_.fib->neighbour(hop->neighbour);
    const std::optional<MacAddress> mac = neighbour == nullptr ? std::nullopt : neighbour->mac();
    if (!mac)
        return wait_for(traveller, way);
    neighbour->mark_used();
    leave(runtime, traveller, *hop, *out, *mac);
}

void Router::leave(const program::Runtime& runtime, const Traveller& traveller,
                   const route::NextHop& hop, const packet::Interface& out,
                   const MacAddress& neighbour) {
    const Headers& headers = traveller.packet->headers;
    const unsigned mtu = mtu_of(hop, out, headers.ip_version);
    if (headers.ip_length > mtu) {
        if (headers.ip_version == 6 || (headers.ip_flags & packet::ip_flag::dont_fragment) != 0)
            return refuse(runtime, traveller, DropReason::too_big, Obstacle::too_big,
                          static_cast<std::uint16_t>(mtu));
        return send_fragments(out, traveller, mtu, neighbour);
    }
    if (!address(traveller.mbuf, headers.network_offset, headers.ip_version, out, neighbour))
        return refuse(runtime, traveller, DropReason::cannot_rewrite, Obstacle::none);
    spec_.sender->send_own(traveller.mbuf, out.port);
    contract::add(spec_.counters->routed, 1);
}

void Router::send_from_host(const program::Runtime& runtime, const Traveller& traveller) {
    const packet::InterfaceIndex out = traveller.packet->passage.transmit_interface;
    const std::uint16_t port = port_of(runtime, out);
    if (!make_changes(traveller))
        return spec_.sender->drop_own(traveller.mbuf, DropReason::cannot_rewrite);
    if (!spec_.sender->link_up(port))
        return spec_.sender->drop_own(traveller.mbuf, DropReason::port_down);
    spec_.sender->send_own(traveller.mbuf, port);
}

bool Router::send_made(const program::Runtime& runtime, std::span<const std::byte> frame,
                       std::uint16_t port, std::uint64_t now_ms) {
    packet::Packet packet;
    if (packet::parse_frame(frame, runtime.parser_settings(), packet.headers) != DropReason::none)
        return false;
    packet.now_ms = now_ms;
    const Way way = way_to(packet, destination_of(packet));
    const bool local = way.hop->kind == route::Kind::local;
    if (!local && way.hop->kind != route::Kind::forward)
        return false;
    rte_mbuf* mbuf = spec_.sender->copy(frame, port);
    if (mbuf == nullptr)
        return false;
    program::PacketMarks marks;
    marks.clear();
    if (local) {
        rte_pktmbuf_mtod(mbuf, wire::Ethernet*)->destination =
            runtime.environment().interfaces[port].mac;
        give_to_host(mbuf, port);
    } else
        send(runtime, {.mbuf = mbuf, .packet = &packet, .marks = &marks}, way);
    return true;
}

void Router::wait_for(const Traveller& traveller, const Way& way) {
    const route::NextHop& hop = *way.hop;
    const packet::Packet& packet = *traveller.packet;
    const Target target = way.target.version != 0 ? way.target : destination_of(packet);
    if (rte_pktmbuf_linearize(traveller.mbuf) != 0)
        return spec_.sender->drop_own(traveller.mbuf, DropReason::cannot_rewrite);
    Waiting next{.mbuf = traveller.mbuf,
                 .wanted = {.address = target.address,
                            .interface = hop.interface,
                            .version = target.version},
                 .target = target,
                 .receive_interface = packet.passage.receive_interface,
                 .since_ms = packet.now_ms,
                 .asked_ms = packet.now_ms};
    if (hop.gateway_version != 0) {
        next.wanted.address = hop.gateway;
        next.wanted.version = hop.gateway_version;
    }
    const auto begin = waiting_.begin(), end = begin + waiting_count_;
    const auto others =
        std::count_if(begin, end, [&](const Waiting& each) { return each.wanted == next.wanted; });
    if (waiting_count_ == kMaximumWaiting || others >= kMaximumForOne)
        return spec_.sender->drop_own(traveller.mbuf, DropReason::neighbour_queue_full);
    if (others == 0)
        spec_.solicitations->ask(spec_.worker, next.wanted);
    waiting_[waiting_count_++] = next;
    contract::add(spec_.counters->waited_for_neighbour, 1);
}

void Router::give_up(const program::Runtime& runtime, const Waiting& waiting) {
    packet::Packet packet;
    packet.malformed =
        packet::parse_frame(first_piece(waiting.mbuf), runtime.parser_settings(), packet.headers);
    packet.passage.receive_interface = waiting.receive_interface;
    packet.now_ms = tended_ms_;
    const bool readable = packet.malformed == DropReason::none;
    refuse(runtime, {.mbuf = waiting.mbuf, .packet = &packet, .marks = nullptr},
           DropReason::neighbour_unknown, readable ? Obstacle::host_unreachable : Obstacle::none);
}

// True: it has left. Where it goes is asked again, for the address of a gateway need not have a
// route of its own: that of an IPv6 gateway is one of the link as a rule.
bool Router::try_again(const program::Runtime& runtime, const Waiting& waiting) {
    packet::Packet packet;
    if (packet::parse_frame(first_piece(waiting.mbuf), runtime.parser_settings(), packet.headers) !=
        DropReason::none)
        return false;
    packet.passage.receive_interface = waiting.receive_interface;
    packet.now_ms = tended_ms_;
    const route::NextHop& hop = *way_to(packet, waiting.target).hop;
    // The rules have let it out by this interface and no other.
    if (hop.kind != route::Kind::forward || hop.interface != waiting.wanted.interface ||
        hop.neighbour == route::kNoNeighbour)
        return false;
    const route::Neighbour& neighbour = spec_.fib->neighbour(hop.neighbour);
    const std::optional<MacAddress> mac = neighbour.mac();
    const packet::Interface* out = interface_of(runtime, hop.interface);
    if (!mac || out == nullptr || !out->up || !spec_.sender->link_up(out->port))
        return false;
    neighbour.mark_used();
    leave(runtime, {.mbuf = waiting.mbuf, .packet = &packet, .marks = nullptr}, hop, *out, *mac);
    return true;
}

void Router::tend(const program::Runtime& runtime, std::uint64_t now_ms) {
    if (waiting_count_ == 0 || now_ms == tended_ms_)
        return;
    tended_ms_ = now_ms;
    unsigned kept = 0;
    for (unsigned i = 0; i < waiting_count_; ++i) {
        Waiting& each = waiting_[i];
        if (try_again(runtime, each))
            continue;
        if (now_ms - each.since_ms >= kPatienceMs) {
            give_up(runtime, each);
            continue;
        }
        if (now_ms - each.asked_ms >= kAskAgainMs) {
            each.asked_ms = now_ms;
            spec_.solicitations->ask(spec_.worker, each.wanted);
        }
        waiting_[kept++] = each;
    }
    waiting_count_ = kept;
}

}  // namespace sluice::worker
