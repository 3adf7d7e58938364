// The part of a worker that has to do with programs on divert ports: packets and copies for them,
// and what they give back. See divert_path.h.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/hop.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using divert::Header;
using program::Verdict;
namespace wire = packet::wire;

void put_name(const program::Runtime& runtime, packet::InterfaceIndex index,
              char (&name)[SLUICE_DIVERT_NAME_SIZE]) {
    const auto& interfaces = runtime.environment().interfaces;
    if (index < interfaces.size())
        interfaces[index].name.copy(name, sizeof name - 1);
}

// REQUIRES: the name has an end.
std::optional<packet::InterfaceIndex> interface_named(const program::Runtime& runtime,
                                                      const char* name) {
    if (*name == '\0')
        return packet::kNoInterface;
    const auto& interfaces = runtime.environment().interfaces;
    const auto found =
        std::find_if(interfaces.begin(), interfaces.end(),
                     [&](const packet::Interface& interface) { return interface.name == name; });
    if (found == interfaces.end())
        return std::nullopt;
    return static_cast<packet::InterfaceIndex>(found - interfaces.begin());
}

// Where frames to a group go on an Ethernet (RFC 1112, RFC 2464).
MacAddress group_station(const packet::Headers& headers) {
    const auto& to = headers.destination.bytes;
    if (headers.ip_version == 6)
        return {{0x33, 0x33, to[12], to[13], to[14], to[15]}};
    if (to[0] == 255)
        return {{255, 255, 255, 255, 255, 255}};
    return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(to[1] & 0x7f), to[2], to[3]}};
}

}  // namespace

// None: it has been given away, the original is still here.
DropReason Worker::give_to_program(unsigned index, const program::Runtime& runtime,
                                   std::span<const std::byte> whole) {
    const Verdict& verdict = verdicts_[index];
    DivertPath* path = spec_.divert;
    if (path == nullptr || !path->listens(verdict.argument))
        return DropReason::divert_without_listener;
    const packet::Packet& packet = packets_[index];
    const packet::Headers& headers = packet.headers;
    const std::uint32_t length = std::uint32_t{headers.network_offset} + headers.ip_length;
    if (headers.network_offset > divert::Origin::kMaximumLink)
        return DropReason::cannot_rewrite;
    rte_mbuf* copy =
        whole.empty() ? path->copy(*mbufs_[index], length) : path->copy(whole.first(length));
    if (copy == nullptr)
        return DropReason::divert_queue_full;
    if (marks_[index].changes_headers() &&
        !forward::rewrite({rte_pktmbuf_mtod(copy, std::byte*), copy->data_len}, headers,
                          marks_[index])) {
        rte_pktmbuf_free(copy);
        return DropReason::cannot_rewrite;
    }
    const bool tee = verdict.kind == Verdict::Kind::tee;
    Header& header = DivertPath::header_of(*copy);
    header = divert::make_header(SLUICE_DIVERT_PACKET, verdict.argument);
    header.rule = static_cast<std::uint16_t>(verdict.rule_number);
    header.direction =
        packet.passage.direction == packet::Direction::in ? SLUICE_DIVERT_IN : SLUICE_DIVERT_OUT;
    header.flags = tee ? SLUICE_DIVERT_TEE : 0;
    put_name(runtime, packet.passage.receive_interface, header.receive_interface);
    put_name(runtime, packet.passage.transmit_interface, header.transmit_interface);
    divert::Origin origin;
    origin.worker = static_cast<std::uint16_t>(spec_.id);
    origin.link_length = static_cast<std::uint8_t>(headers.network_offset);
    std::memcpy(origin.link.data(), rte_pktmbuf_mtod(copy, const std::byte*), origin.link_length);
    origin.destination = headers.destination;
    divert::put_cookie(origin, header);
    copy->port = packet.passage.receive_interface;
    if (!path->give(spec_.id, copy)) {
        rte_pktmbuf_free(copy);
        return DropReason::divert_queue_full;
    }
    gave_to_program_ = true;
    contract::add(tee ? spec_.counters->teed : spec_.counters->diverted, 1);
    return DropReason::none;
}

// A copy for each; the packet goes on behind the rule.
void Worker::pass_tees(unsigned index, const program::Runtime& runtime,
                       std::span<const std::byte> whole) {
    Verdict& verdict = verdicts_[index];
    while (verdict.kind == Verdict::Kind::tee) {
        const DropReason lost = give_to_program(index, runtime, whole);
        if (lost != DropReason::none && lost != DropReason::divert_without_listener)
            contract::add(spec_.counters->drops[static_cast<std::size_t>(lost)], 1);
        verdict = engine_.resume(runtime, packets_[index], verdict, marks_[index]);
    }
}

unsigned Worker::take_from_programs(const program::Runtime* runtime) {
    spec_.divert->settle(spec_.id, *spec_.counters);
    const unsigned count = spec_.divert->take(spec_.id, mbufs_);
    if (count == 0)
        return 0;
    contract::add(spec_.counters->injected, count);
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i) {
        move(i, kept);
        if (runtime == nullptr) {
            sender_->drop_own(mbufs_[kept], DropReason::no_ruleset);
        } else if (!put_frame_in_front(kept)) {
            sender_->drop_own(mbufs_[kept], DropReason::divert_refused);
        } else {
            mbufs_[kept]->port = name_of({.program = true});
            parse(kept, *runtime);
            ++kept;
        }
    }
    if (kept == 0)
        return count;
    // The program may have made another flow of it.
    if (outboxes_.size() > 1 && (runtime->uses_states() || runtime->uses_reassembly()))
        kept = keep_own(kept, *runtime);
    judge_from_programs(kept, *runtime);
    return count;
}

// The Ethernet header that the packet had, or one without addresses.
bool Worker::put_frame_in_front(unsigned index) {
    rte_mbuf* mbuf = mbufs_[index];
    const divert::Origin origin = divert::read_cookie(DivertPath::header_of(*mbuf));
    const unsigned version = *rte_pktmbuf_mtod(mbuf, const std::uint8_t*) >> 4;
    const std::size_t length =
        origin.link_length != 0 ? origin.link_length : sizeof(wire::Ethernet);
    auto* place =
        reinterpret_cast<std::byte*>(rte_pktmbuf_prepend(mbuf, static_cast<std::uint16_t>(length)));
    if (place == nullptr)
        return false;
    if (origin.link_length != 0) {
        origin.write_frame_header(version, {place, length});
        return true;
    }
    *reinterpret_cast<wire::Ethernet*>(place) = {
        .destination = {},
        .source = {},
        .type = Be16::from_host(version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6)};
    return true;
}

// Finds the way that the packet takes. False: there is none, and it is gone.
bool Worker::admit_from_program(unsigned index, const program::Runtime& runtime) {
    parse(index, runtime);
    packet::Packet& packet = packets_[index];
    DropReason reason = packet.malformed;
    if (reason == DropReason::none)
        reason = DivertPath::header_of(*mbufs_[index]).direction == SLUICE_DIVERT_IN
                     ? lead_in(index, runtime)
                     : lead_out(index, runtime);
    if (reason != DropReason::none)
        sender_->drop_own(mbufs_[index], reason);
    return reason == DropReason::none;
}

DropReason Worker::lead_in(unsigned index, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    const Header& header = DivertPath::header_of(*mbufs_[index]);
    const auto from = interface_named(runtime, header.receive_interface);
    if (!from || *from == packet::kNoInterface)
        return DropReason::divert_refused;
    const packet::Interface& interface = runtime.environment().interfaces[*from];
    const bool gateway = spec_.ports[interface.port].role == WorkerPort::Role::gateway;
    if (divert::read_cookie(header).link_length == 0) {
        if (!gateway)
            return DropReason::divert_refused;
        auto& ethernet = *rte_pktmbuf_mtod(mbufs_[index], wire::Ethernet*);
        ethernet.destination =
            forward::is_group(packet.headers) ? group_station(packet.headers) : interface.mac;
    }
    packet.passage = {.direction = packet::Direction::in,
                      .entry = gateway ? packet::Entry::ip : packet::Entry::bridge,
                      .receive_interface = *from,
                      .transmit_interface = packet::kNoInterface};
    return DropReason::none;
}

DropReason Worker::lead_out(unsigned index, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    rte_mbuf* mbuf = mbufs_[index];
    const Header& header = DivertPath::header_of(*mbuf);
    const auto& interfaces = runtime.environment().interfaces;
    const auto from = interface_named(runtime, header.receive_interface);
    const auto to = interface_named(runtime, header.transmit_interface);
    const auto is_gateway = [&](packet::InterfaceIndex each) {
        return spec_.ports[interfaces[each].port].role == WorkerPort::Role::gateway;
    };
    if (router_ == nullptr || !from || !to ||
        (*from != packet::kNoInterface && !is_gateway(*from)) ||
        (*to != packet::kNoInterface && !is_gateway(*to)))
        return DropReason::divert_refused;
    packet.passage = {.direction = packet::Direction::out,
                      .entry = packet::Entry::ip,
                      .receive_interface = *from,
                      .transmit_interface = *to};
    ways_[index] = {};
    const divert::Origin origin = divert::read_cookie(header);
    // What this machine made, to where it wanted: by the way and to the station that its kernel
    // chose. It goes to groups, too, of which no route says where they are.
    const bool of_kernel = origin.link_length != 0 && *from == packet::kNoInterface;
    if (of_kernel && *to != packet::kNoInterface &&
        origin.destination == packet.headers.destination)
        return DropReason::none;
    if (forward::is_group(packet.headers)) {
        if (*to == packet::kNoInterface)
            return DropReason::divert_refused;
        auto& ethernet = *rte_pktmbuf_mtod(mbuf, wire::Ethernet*);
        ethernet.destination = group_station(packet.headers);
        ethernet.source = interfaces[*to].mac;
        return DropReason::none;
    }
    const Router::Way way = router_->way_to(packet, Router::destination_of(packet));
    if (way.hop->kind != route::Kind::forward)
        return DropReason::no_route;
    packet.passage.transmit_interface = way.hop->interface;
    ways_[index] = way;
    return DropReason::none;
}

// REQUIRES: frames, with what the programs said of them beside.
void Worker::judge_from_programs(unsigned count, const program::Runtime& runtime) {
    unsigned admitted = 0;
    for (unsigned i = 0; i < count; ++i) {
        move(i, admitted);
        if (!admit_from_program(admitted, runtime))
            continue;
        marks_[admitted].clear();
        ++admitted;
    }
    outgoing_ = 0;
    for (unsigned i = 0; i < admitted; ++i) {
        const unsigned rule = DivertPath::header_of(*mbufs_[i]).rule;
        verdicts_[i] = engine_.enter(runtime, packets_[i], rule, marks_[i]);
        if (must_be_cut(i))
            act_on_long(i, runtime);
        else
            act(i, runtime);
    }
    if (outgoing_ != 0)
        judge_outgoing(runtime);
}

// What goes over a bridge has come over one of its ports, but for what a program has put together.
bool Worker::must_be_cut(unsigned index) const {
    const packet::Packet& packet = packets_[index];
    if (packet.passage.entry != packet::Entry::bridge)
        return false;
    const WorkerPort& from = spec_.ports[packet.passage.receive_interface];
    return packet.headers.ip_length > spec_.ports[from.peer].mtu;
}

void Worker::act_on_long(unsigned index, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    rte_mbuf* mbuf = mbufs_[index];
    const std::uint16_t port = packet.passage.receive_interface;
    if (packet.headers.ip_version != 4)
        return drop(mbuf, port, DropReason::too_big);
    const std::span<std::byte> place = place_of(index).first(mbuf->pkt_len);
    const void* bytes = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, place.data());
    if (bytes != place.data())
        std::memcpy(place.data(), bytes, place.size());
    rte_pktmbuf_free(mbuf);
    packet.malformed = packet::parse_frame(place, runtime.parser_settings(), packet.headers);
    pass_tees(index, runtime, place);
    act_on_whole(index, runtime, place);
}

}  // namespace sluice::worker
