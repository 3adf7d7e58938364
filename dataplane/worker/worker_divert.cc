// The part of a worker that has to do with programs on divert ports: packets and copies for them,
// and what they give back. See divert_path.h.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/hop.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"
#include "dataplane/worker/scratch.h"
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

// Puts the Ethernet header in front that the packet had, or one without addresses.
bool put_frame_in_front(rte_mbuf* mbuf) {
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

}  // namespace

// None: the program has a copy.
DropReason Worker::give_to_program(const Handed& handed, const Verdict& verdict,
                                   const program::Runtime& runtime) {
    DivertPath* path = spec_.divert;
    if (path == nullptr || !path->listens(verdict.argument))
        return DropReason::divert_without_listener;
    const packet::Packet& packet = handed.packet;
    const packet::Headers& headers = packet.headers;
    const std::uint32_t length = std::uint32_t{headers.network_offset} + headers.ip_length;
    if (headers.network_offset > divert::Origin::kMaximumLink)
        return DropReason::cannot_rewrite;
    rte_mbuf* copy = handed.mbuf != nullptr ? path->copy(*handed.mbuf, length)
                                            : path->copy(handed.whole.first(length));
    if (copy == nullptr)
        return DropReason::divert_queue_full;
    if (handed.marks.changes_headers() &&
        !forward::rewrite({rte_pktmbuf_mtod(copy, std::byte*), copy->data_len}, headers,
                          handed.marks)) {
        rte_pktmbuf_free(copy);
        return DropReason::cannot_rewrite;
    }
    const bool tee = verdict.kind == Verdict::Kind::tee;
    const bool in = packet.passage.direction == packet::Direction::in;
    Header& header = DivertPath::header_of(*copy);
    header = divert::make_header(SLUICE_DIVERT_PACKET, verdict.argument);
    header.rule = static_cast<std::uint16_t>(verdict.rule_number);
    header.direction = in ? SLUICE_DIVERT_IN : SLUICE_DIVERT_OUT;
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
void Worker::pass_tees(const Handed& handed, Verdict& verdict, const program::Runtime& runtime) {
    while (verdict.kind == Verdict::Kind::tee) {
        const DropReason lost = give_to_program(handed, verdict, runtime);
        if (lost != DropReason::none && lost != DropReason::divert_without_listener)
            contract::add(spec_.counters->drops[static_cast<std::size_t>(lost)], 1);
        verdict = engine_.resume(runtime, handed.packet, verdict, handed.marks);
    }
}

void Worker::divert_routed(const Handed& handed, const Verdict& verdict,
                           const program::Runtime& runtime) {
    const DropReason lost = give_to_program(handed, verdict, runtime);
    const packet::InterfaceIndex from = handed.packet.passage.receive_interface;
    if (lost == DropReason::none)
        rte_pktmbuf_free(handed.mbuf);
    else if (from == packet::kNoInterface)
        sender_->drop_own(handed.mbuf, lost);
    else
        drop(handed.mbuf, runtime.environment().interfaces[from].port, lost);
}

unsigned Worker::take_from_programs(const program::Runtime* runtime) {
    spec_.divert->settle(spec_.id, *spec_.counters);
    const std::size_t most = std::min(mbufs_.size(), packet::Burst::kCapacity);
    const unsigned count = spec_.divert->take(spec_.id, std::span(mbufs_).first(most));
    if (count == 0)
        return 0;
    contract::add(spec_.counters->injected, count);
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i) {
        if (runtime == nullptr)
            sender_->drop_own(mbufs_[i], DropReason::no_ruleset);
        else if (!put_frame_in_front(mbufs_[i]))
            sender_->drop_own(mbufs_[i], DropReason::divert_refused);
        else
            mbufs_[kept++] = mbufs_[i];
    }
    if (kept == 0)
        return count;
    constexpr Origin kPrograms = {.port = 0, .host = true, .program = true};
    // The program may have made another flow of it.
    if (outboxes_.size() > 1 && (runtime->uses_states() || runtime->uses_reassembly())) {
        begin_burst(mbufs_.data(), *runtime);
        for (unsigned i = 0; i < kept; ++i) {
            const packet::Burst::Frame frame = frame_of(mbufs_[i], i);
            mbufs_[i]->port = name_of(kPrograms);
            burst_.add(frame.data, frame.length, {});
        }
        keep_own(kPrograms, *runtime);
        kept = static_cast<unsigned>(burst_.size());
    }
    judge_from_programs(mbufs_.data(), kept, *runtime);
    return count;
}

// Finds the way that the packet takes, which is its passage, and on the way out its next hop, if it
// is not the kernel that has chosen it. Else why there is none.
DropReason Worker::lead(rte_mbuf* mbuf, packet::Packet& packet, Router::Way& way,
                        const program::Runtime& runtime) {
    const Header& header = DivertPath::header_of(*mbuf);
    if (header.direction == SLUICE_DIVERT_OUT)
        return lead_out(mbuf, packet, way, runtime);
    const auto from = interface_named(runtime, header.receive_interface);
    if (!from || *from == packet::kNoInterface)
        return DropReason::divert_refused;
    const packet::Interface& interface = runtime.environment().interfaces[*from];
    const bool gateway = spec_.ports[interface.port].role == WorkerPort::Role::gateway;
    if (divert::read_cookie(header).link_length == 0) {
        if (!gateway)
            return DropReason::divert_refused;
        auto& ethernet = *rte_pktmbuf_mtod(mbuf, wire::Ethernet*);
        ethernet.destination =
            forward::is_group(packet.headers) ? group_station(packet.headers) : interface.mac;
    }
    packet.passage = {.direction = packet::Direction::in,
                      .entry = gateway ? packet::Entry::ip : packet::Entry::bridge,
                      .receive_interface = *from,
                      .transmit_interface = packet::kNoInterface,
                      .came_back = contract::kDivertedIn};
    return DropReason::none;
}

DropReason Worker::lead_out(rte_mbuf* mbuf, packet::Packet& packet, Router::Way& way,
                            const program::Runtime& runtime) {
    const Header& header = DivertPath::header_of(*mbuf);
    const auto& interfaces = runtime.environment().interfaces;
    const auto from = interface_named(runtime, header.receive_interface);
    const auto to = interface_named(runtime, header.transmit_interface);
    const auto is_of_gateway = [&](packet::InterfaceIndex each) {
        return each == packet::kNoInterface ||
               spec_.ports[interfaces[each].port].role == WorkerPort::Role::gateway;
    };
    if (router_ == nullptr || !from || !to || !is_of_gateway(*from) || !is_of_gateway(*to))
        return DropReason::divert_refused;
    packet.passage = {.direction = packet::Direction::out,
                      .entry = packet::Entry::ip,
                      .receive_interface = *from,
                      .transmit_interface = *to,
                      .came_back = contract::kDivertedOut};
    const divert::Origin origin = divert::read_cookie(header);
    // What this machine made, to where it wanted: by the way and to the station that its kernel
    // chose.
    if (origin.link_length != 0 && *from == packet::kNoInterface && *to != packet::kNoInterface &&
        origin.destination == packet.headers.destination)
        return DropReason::none;
    // No route says where groups are.
    if (forward::is_group(packet.headers)) {
        if (*to == packet::kNoInterface)
            return DropReason::divert_refused;
        return Router::address(mbuf, packet.headers.network_offset, packet.headers.ip_version,
                               interfaces[*to], group_station(packet.headers))
                   ? DropReason::none
                   : DropReason::cannot_rewrite;
    }
    way = router_->way_to(packet, Router::destination_of(packet));
    if (way.hop->kind != route::Kind::forward)
        return DropReason::no_route;
    packet.passage.transmit_interface = way.hop->interface;
    return DropReason::none;
}

// REQUIRES: frames, with what the programs said of them beside; count <= Burst::kCapacity.
void Worker::judge_from_programs(rte_mbuf** mbufs, unsigned count,
                                 const program::Runtime& runtime) {
    rte_mbuf* outgoing[packet::Burst::kCapacity];
    rte_mbuf* too_long[packet::Burst::kCapacity];
    Router::Way ways[packet::Burst::kCapacity];
    packet::Passage passages[packet::Burst::kCapacity];
    unsigned outgoing_count = 0, too_long_count = 0;
    begin_burst(mbufs, runtime);
    for (unsigned i = 0; i < count; ++i) {
        rte_mbuf* mbuf = mbufs[i];
        const packet::Burst::Frame frame = frame_of(mbuf, burst_.size());
        packet::Packet packet;
        Router::Way way;
        DropReason reason = packet::parse_frame({frame.data, frame.length},
                                                runtime.parser_settings(), packet.headers);
        if (reason == DropReason::none)
            reason = lead(mbuf, packet, way, runtime);
        if (reason != DropReason::none) {
            sender_->drop_own(mbuf, reason);
        } else if (is_too_long(packet)) {
            too_long[too_long_count++] = mbuf;
        } else if (way.hop != nullptr) {
            outgoing[outgoing_count] = mbuf;
            ways[outgoing_count] = way;
            passages[outgoing_count++] = packet.passage;
        } else {
            // It may have got a VLAN tag.
            const packet::Burst::Frame led = frame_of(mbuf, burst_.size());
            taken_[burst_.size()] = mbuf;
            burst_.add(led.data, led.length, packet.passage);
        }
    }
    const auto judge = [&](packet::Burst& burst, program::Judgement& judgement, rte_mbuf** of) {
        judgement.accepted = judgement.denied = 0;
        judgement.told = burst.all();
        judgement.marked = 0;
        for (unsigned i = 0; i < burst.size(); ++i)
            judgement.verdicts[i] = enter(runtime, burst.packet(i),
                                          DivertPath::header_of(*of[i]).rule, judgement.mark(i));
        if (is_watched())
            show(runtime, burst, judgement);
    };
    sequence_ += count;
    if (burst_.size() != 0) {
        judge(burst_, judgement_, taken_);
        carry_out(runtime);
    }
    if (outgoing_count != 0) {
        routed_->begin(burst_.circumstances());
        for (unsigned i = 0; i < outgoing_count; ++i) {
            const packet::Burst::Frame frame = frame_of(outgoing[i], i);
            add_outgoing(outgoing[i], {frame.data, frame.length}, passages[i], nullptr, ways[i]);
        }
        judge(*routed_->burst, routed_->judgement, routed_->mbufs);
        router_->begin_burst();
        for (unsigned i = 0; i < outgoing_count; ++i)
            act_on_special(i, runtime);
    }
    for (unsigned i = 0; i < too_long_count; ++i)
        judge_too_long(too_long[i], runtime);
}

// What goes over a bridge has come over one of its ports, but for what a program has put together.
bool Worker::is_too_long(const packet::Packet& packet) const {
    if (packet.passage.entry != packet::Entry::bridge)
        return false;
    const WorkerPort& from = spec_.ports[packet.passage.receive_interface];
    return packet.headers.ip_length > spec_.ports[from.peer].mtu;
}

// REQUIRES: `lead` has let it in.
void Worker::judge_too_long(rte_mbuf* mbuf, const program::Runtime& runtime) {
    const std::span<std::byte> place(scratch_->frames.get(), mbuf->pkt_len);
    const void* bytes = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, place.data());
    if (bytes != place.data())
        std::memcpy(place.data(), bytes, place.size());
    const unsigned rule = DivertPath::header_of(*mbuf).rule;
    whole_.sequence = sequence_;
    whole_.now_ms = now_ms_;
    whole_.uptime_s = uptime_s_;
    whole_.malformed = packet::parse_frame(place, runtime.parser_settings(), whole_.headers);
    Router::Way way;
    const DropReason reason = lead(mbuf, whole_, way, runtime);
    rte_pktmbuf_free(mbuf);
    if (reason != DropReason::none || whole_.headers.ip_version != 4)
        return sender_->drop_own(nullptr,
                                 reason != DropReason::none ? reason : DropReason::too_big);
    judgement_.marked = 0;
    judgement_.verdicts[0] = enter(runtime, whole_, rule, judgement_.mark(0));
    act_on_whole(0, place, runtime);
}

}  // namespace sluice::worker
