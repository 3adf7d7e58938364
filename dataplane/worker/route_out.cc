// What a worker does for gateway ports: frames that are not for the rules, the `in` pass, routing,
// the `out` pass, and what the kernel of this machine sends. The way of single packets is router.h.
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "dataplane/forward/hop.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/link_header.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"
#include "dataplane/worker/scratch.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using packet::Burst;
using packet::kNoInterface;
using program::Verdict;
namespace wire = packet::wire;

// How packets between workers say that they come from the kernel, or from a program: behind the
// numbers of all ports.
constexpr std::uint16_t kFromHost = 0x100;
constexpr std::uint16_t kFromProgram = 0x200;

Router::Target target_of(const program::Runtime& runtime, const Verdict& verdict) {
    const contract::RuleRecord& rule = runtime.view().all_rules()[verdict.rule_index];
    if (verdict.next_hop_family != 0)
        return {.address = verdict.next_hop,
                .version = verdict.next_hop_family,
                .port = rule.next_hop_port};
    return {.address = rule.next_hop,
            .version = static_cast<std::uint8_t>(rule.next_hop_family),
            .port = rule.next_hop_port};
}

// A packet that nothing stands against but, perhaps, its route: to one station, between ordinary
// addresses, with a hop to go.
bool goes_plainly(const packet::Glance& glance, const MacAddress& link_destination) {
    if ((link_destination.bytes[0] & 1) != 0 || glance.ttl() <= 1)
        return false;
    if (glance.ip_version == 4) {
        const unsigned from = glance.ip4().source.value.bytes[0];
        const unsigned to = glance.ip4().destination.value.bytes[0];
        return from - 1 < 223 && from != 127 && to - 1 < 223 && to != 127 &&
               forward::has_right_checksum(glance.network);
    }
    const std::uint8_t* from = glance.ip6().source.bytes.data();
    const std::uint8_t* to = glance.ip6().destination.bytes.data();
    return from[0] != 0 && from[0] != 0xff && from[0] != 0xfe && to[0] != 0 && to[0] != 0xff;
}

// To compare addresses without a call.
std::uint64_t number_of(const MacAddress& mac) {
    std::uint32_t high;
    std::uint16_t low;
    std::memcpy(&high, mac.bytes.data(), sizeof high);
    std::memcpy(&low, mac.bytes.data() + sizeof high, sizeof low);
    return std::uint64_t{high} << 16 | low;
}

template <typename Address>
std::uint64_t folded(const Address& address) {
    std::uint64_t words[2] = {};
    std::memcpy(words, &address, sizeof address);
    return words[0] ^ words[1];
}

}  // namespace

Worker::Origin Worker::origin_of(std::uint16_t name) const {
    if (name == kFromProgram)
        return {.port = 0, .host = true, .program = true};
    if (name >= kFromHost)
        return {.port = static_cast<std::uint16_t>(name - kFromHost), .host = true};
    return {.port = port_of_device_[name], .host = false};
}

std::uint16_t Worker::name_of(const Origin& origin) const {
    if (origin.program)
        return kFromProgram;
    return origin.host ? static_cast<std::uint16_t>(kFromHost + origin.port)
                       : spec_.ports[origin.port].device;
}

bool Worker::is_routed(const Origin& origin) const {
    return spec_.ports[origin.port].role == WorkerPort::Role::gateway;
}

// ---- Into the rules
// ------------------------------------------------------------------------------

std::optional<packet::Passage> Worker::admit(rte_mbuf* mbuf, const Origin& origin,
                                             const program::Runtime& runtime) {
    packet::Passage passage{.direction = packet::Direction::in,
                            .entry = packet::Entry::ip,
                            .receive_interface = origin.port,
                            .transmit_interface = kNoInterface};
    const std::span<const std::byte> start(rte_pktmbuf_mtod(mbuf, const std::byte*),
                                           mbuf->data_len);
    // What is too short for an Ethernet header is counted with all that is malformed.
    packet::LinkHeader link{.type = wire::kEtherTypeIpv4};
    if (start.size() >= sizeof(wire::Ethernet))
        link = packet::read_link_header(start);
    const bool is_ip = link.type == wire::kEtherTypeIpv4 || link.type == wire::kEtherTypeIpv6;
    const auto named = packet::interface_of_frame(runtime.environment(), origin.port, link);
    if (!named && !origin.host && is_ip) {
        drop(mbuf, origin.port, DropReason::other_station);
        return std::nullopt;
    }
    // What the kernel sends with tags that we do not know, and what is not IP, is the port's.
    const packet::InterfaceIndex interface = named.value_or(origin.port);
    if (origin.host) {
        passage.direction = packet::Direction::out;
        passage.receive_interface = kNoInterface;
        passage.transmit_interface = interface;
    } else {
        passage.receive_interface = interface;
    }
    if (start.size() >= sizeof(wire::Ethernet)) {
        const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(start.data());
        if (origin.host && ethernet.destination == host::kToSocket) {
            router_->answer_unheard(runtime, mbuf, interface, now_ms_);
            return std::nullopt;
        }
        if (!origin.host && (ethernet.destination.bytes[0] & 1) == 0 &&
            ethernet.destination != runtime.environment().interfaces[interface].mac) {
            drop(mbuf, origin.port, DropReason::other_station);
            return std::nullopt;
        }
    }
    if (is_ip)
        return passage;
    // ARP, LLDP and the like are between the kernel and the link, as on a host whose layer 2 is not
    // filtered.
    if (origin.host) {
        sender_->send_own(mbuf, origin.port);
    } else {
        contract::add(spec_.counters->non_ip, 1);
        router_->give_to_host(mbuf, origin.port);
    }
    return std::nullopt;
}

// False: the frame is gone.
bool Worker::take_routed(rte_mbuf*& mbuf, const Origin& origin, const program::Runtime& runtime) {
    const packet::Burst::Frame frame = frame_of(mbuf, burst_.size());
    mbuf->port = name_of(origin);
    const std::optional<packet::Passage> passage = admit(mbuf, origin, runtime);
    if (!passage)
        return false;
    burst_.add(frame.data, frame.length, *passage);
    return true;
}

// What most frames of a gateway port are: IP, without a tag, in one buffer, to the port's address.
bool Worker::is_plainly_for_us(const rte_mbuf& mbuf) const {
    if (mbuf.nb_segs != 1 || (mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ||
        mbuf.data_len <= sizeof(wire::Ethernet))
        return false;
    const auto& ethernet = *rte_pktmbuf_mtod(&mbuf, const wire::Ethernet*);
    const std::uint16_t type = ethernet.type.host();
    return (type == wire::kEtherTypeIpv4 || type == wire::kEtherTypeIpv6) &&
           number_of(ethernet.destination) == routed_->own_mac;
}

void Worker::receive_routed(rte_mbuf** mbufs, unsigned count, const Origin& origin,
                            const program::Runtime& runtime) {
    const bool has_owners =
        outboxes_.size() > 1 && (runtime.uses_states() || runtime.uses_reassembly());
    const packet::Passage plain{.direction = packet::Direction::in,
                                .entry = packet::Entry::ip,
                                .receive_interface = origin.port,
                                .transmit_interface = kNoInterface};
    routed_->own_mac = number_of(runtime.environment().interfaces[origin.port].mac);
    for (unsigned done = 0; done < count; done += Burst::kCapacity) {
        const unsigned end = std::min<unsigned>(done + Burst::kCapacity, count);
        begin_burst(mbufs + done, runtime);
        // Plain ones are added together.
        std::size_t waiting = 0;
        const auto add_waiting = [&] {
            rte_mbuf** first = taken_ + burst_.size();
            burst_.add(std::exchange(waiting, 0), plain, [&](std::size_t i) {
                return Burst::Frame{rte_pktmbuf_mtod(first[i], const std::byte*),
                                    first[i]->data_len};
            });
        };
        for (unsigned i = done; i < end; ++i) {
            rte_mbuf* mbuf = mbufs[i];
            if (!origin.host && is_plainly_for_us(*mbuf)) {
                mbuf->port = name_of(origin);
                taken_[burst_.size() + waiting++] = mbuf;
                continue;
            }
            add_waiting();
            if (take_routed(mbuf, origin, runtime))
                taken_[burst_.size() - 1] = mbuf;
        }
        add_waiting();
        if (has_owners)
            keep_own(origin, runtime);
        judge(runtime);
    }
}

// A burst of each twin at most comes in a turn; the rest waits in the kernel.
unsigned Worker::take_from_host(const program::Runtime* runtime) {
    const unsigned count = spec_.host->take(spec_.id, mbufs_);
    contract::add(spec_.counters->from_host, count);
    if (runtime == nullptr) {
        for (unsigned i = 0; i < count; ++i)
            sender_->drop_own(mbufs_[i], DropReason::no_ruleset);
        return count;
    }
    // Frames of one port together.
    for (unsigned done = 0; done < count;) {
        const std::uint16_t port = mbufs_[done]->port;
        unsigned end = done + 1;
        while (end < count && mbufs_[end]->port == port)
            ++end;
        receive_routed(mbufs_.data() + done, end - done, {.port = port, .host = true}, *runtime);
        done = end;
    }
    return count;
}

// ---- Behind the `in` pass
// ------------------------------------------------------------------------

void Worker::carry_out_routed(const program::Runtime& runtime) {
    Burst::Mask routed = 0;
    for (std::size_t i = 0; i < burst_.size(); ++i)
        routed |= Burst::Mask{burst_.passage(i).entry == packet::Entry::ip} << i;
    if (routed == 0)
        return;
    routed_->burst.begin(burst_.circumstances());
    routed_->judgement.marked = 0;
    route_burst(routed, runtime);
    if (routed_->burst.size() == 0)
        return;
    engine_.filter(runtime, routed_->burst, routed_->judgement);
    router_->begin_burst();
    unsigned plain = 0;
    for (unsigned i = 0; i < routed_->burst.size(); ++i)
        plain += act_on_outgoing(i, runtime) ? 1 : 0;
    contract::add(spec_.counters->routed, plain);
}

// Common packets that are let in as they are have their routes looked up together.
void Worker::route_burst(Burst::Mask packets, const program::Runtime& runtime) {
    auto& [plain4, destinations4, hashes4] = routed_->wanted4;
    auto& [plain6, destinations6, hashes6] = routed_->wanted6;
    auto& hops = routed_->hops;
    unsigned count4 = 0, count6 = 0;
    Burst::Mask rest = 0;
    for (Burst::Mask left = packets; left != 0; left &= left - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(left));
        const packet::Glance& glance = burst_.glance(i);
        const auto& ethernet = *rte_pktmbuf_mtod(taken_[i], const wire::Ethernet*);
        const bool plain = (judgement_.accepted >> i & 1) != 0 && burst_.is_common(i) &&
                           burst_.passage(i).direction == packet::Direction::in &&
                           taken_[i]->nb_segs == 1 && !judgement_.is_marked(i) &&
                           goes_plainly(glance, ethernet.destination) &&
                           !Router::may_be_ours(runtime, glance);
        if (!plain) {
            rest |= Burst::Mask{1} << i;
        } else if (glance.ip_version == 4) {
            destinations4[count4] = glance.ip4().destination;
            hashes4[count4] = Router::flow_hash(folded(glance.ip4().source),
                                                folded(glance.ip4().destination), glance.ports);
            plain4[count4++] = static_cast<std::uint8_t>(i);
        } else {
            destinations6[count6] = glance.ip6().destination;
            hashes6[count6] = Router::flow_hash(folded(glance.ip6().source),
                                                folded(glance.ip6().destination), glance.ports);
            plain6[count6++] = static_cast<std::uint8_t>(i);
        }
    }
    const auto send_on = [&](unsigned i, const route::NextHop& hop) {
        if (hop.kind != route::Kind::forward) {
            rest |= Burst::Mask{1} << i;
            return;
        }
        const packet::Glance& glance = burst_.glance(i);
        forward::lower_hop_limit(const_cast<std::byte*>(glance.network), glance.ip_version);
        packet::Passage passage = burst_.passage(i);
        passage.direction = packet::Direction::out;
        passage.came_back = 0;
        passage.transmit_interface = hop.interface;
        const std::size_t k = routed_->burst.size();
        routed_->burst.add(burst_, i, passage);
        routed_->mbufs[k] = taken_[i];
        routed_->ways[k].hop = &hop;
        routed_->ways[k].target.version = 0;
    };
    const route::Fib& fib = router_->fib();
    fib.find(std::span(destinations4).first(count4), std::span(hashes4).first(count4),
             std::span(hops).first(count4));
    for (unsigned k = 0; k < count4; ++k)
        send_on(plain4[k], *hops[k]);
    fib.find(std::span(destinations6).first(count6), std::span(hashes6).first(count6),
             std::span(hops).first(count6));
    for (unsigned k = 0; k < count6; ++k)
        send_on(plain6[k], *hops[k]);
    for (; rest != 0; rest &= rest - 1)
        act_on_routed(static_cast<unsigned>(std::countr_zero(rest)), runtime);
}

void Worker::add_outgoing(rte_mbuf* mbuf, std::span<const std::byte> frame,
                          const packet::Passage& passage, const program::PacketMarks* marks,
                          const Router::Way& way) {
    const std::size_t i = routed_->burst.size();
    routed_->burst.add(frame.data(), static_cast<std::uint32_t>(frame.size()), passage);
    routed_->mbufs[i] = mbuf;
    routed_->ways[i] = way;
    if (marks != nullptr)
        routed_->judgement.mark(i) = *marks;
}

// Routes a packet that the rules have let in; `verdict` is null or that of `fwd`.
void Worker::route(rte_mbuf* mbuf, const packet::Packet& packet, program::PacketMarks* marks,
                   const Verdict* verdict, const program::Runtime& runtime) {
    Router::Target target = Router::destination_of(packet);
    // A next hop of the other family is none; ipfw lets such a packet pass.
    if (verdict != nullptr)
        if (const Router::Target named = target_of(runtime, *verdict);
            named.version == target.version)
            target = named;
    const Router::Way way =
        router_->route(runtime, {.mbuf = mbuf, .packet = &packet, .marks = marks}, target);
    if (way.hop == nullptr)
        return;
    packet::Passage passage = packet.passage;
    passage.direction = packet::Direction::out;
    passage.came_back = 0;
    passage.transmit_interface = way.hop->interface;
    // A frame in several buffers was put together for the rules; its copy has the new hop limit
    // too.
    auto* network = const_cast<std::byte*>(packet.headers.frame) + packet.headers.network_offset;
    if (packet.headers.frame != rte_pktmbuf_mtod(mbuf, const std::byte*))
        forward::lower_hop_limit(network, packet.headers.ip_version);
    add_outgoing(mbuf, {packet.headers.frame, packet.headers.frame_length}, passage, marks, way);
}

void Worker::act_on_routed(unsigned index, const program::Runtime& runtime) {
    Verdict verdict = program::Engine::verdict(runtime, judgement_, index);
    rte_mbuf* mbuf = taken_[index];
    const packet::Packet* packet = &burst_.packet(index);
    if (verdict.kind == Verdict::Kind::tee)
        pass_tees({.mbuf = mbuf, .packet = *packet, .marks = judgement_.mark(index)}, verdict,
                  runtime);
    if (verdict.kind == Verdict::Kind::reass) {
        mbuf = reassemble_routed(mbuf, *packet, verdict, judgement_.mark(index),
                                 routed_->burst.size(), runtime);
        if (mbuf == nullptr)
            return;
        packet = &whole_;
    }
    if (verdict.kind == Verdict::Kind::divert)
        return divert_routed({.mbuf = mbuf, .packet = *packet, .marks = judgement_.mark(index)},
                             verdict, runtime);
    program::PacketMarks* marks = judgement_.is_marked(index) ? &judgement_.marks[index] : nullptr;
    if (verdict.kind != Verdict::Kind::accept && verdict.kind != Verdict::Kind::fwd)
        return refuse_routed(mbuf, *packet, verdict, runtime);
    const Verdict* forwarded = verdict.kind == Verdict::Kind::fwd ? &verdict : nullptr;
    if (packet->passage.direction == packet::Direction::in)
        return route(mbuf, *packet, marks, forwarded, runtime);
    // From the kernel of this machine, which has chosen the way.
    const Router::Traveller traveller{.mbuf = mbuf, .packet = packet, .marks = marks};
    if (forwarded == nullptr)
        return router_->send_from_host(runtime, traveller);
    const Router::Target target = target_of(runtime, verdict);
    if (target.version != packet->headers.ip_version)
        return router_->send_from_host(runtime, traveller);
    router_->send(runtime, traveller, router_->way_to(*packet, target));
}

// ---- Behind the `out` pass
// -----------------------------------------------------------------------

// True: it has left with nothing done to it but what routing does.
bool Worker::act_on_outgoing(unsigned index, const program::Runtime& runtime) {
    program::Judgement& judgement = routed_->judgement;
    rte_mbuf* mbuf = routed_->mbufs[index];
    const Router::Way& way = routed_->ways[index];
    // What leaves as it came needs no second look.
    if ((judgement.accepted >> index & 1) != 0 && routed_->burst.is_common(index) &&
        !judgement.is_marked(index) && mbuf->nb_segs == 1 &&
        router_->send_plainly(runtime, mbuf, routed_->burst.glance(index), way))
        return true;
    act_on_special(index, runtime);
    return false;
}

void Worker::act_on_special(unsigned index, const program::Runtime& runtime) {
    program::Judgement& judgement = routed_->judgement;
    rte_mbuf* mbuf = routed_->mbufs[index];
    const packet::Packet* packet = &routed_->burst.packet(index);
    Verdict verdict = program::Engine::verdict(runtime, judgement, index);
    if (verdict.kind == Verdict::Kind::tee)
        pass_tees({.mbuf = mbuf, .packet = *packet, .marks = judgement.mark(index)}, verdict,
                  runtime);
    if (verdict.kind == Verdict::Kind::reass) {
        mbuf = reassemble_routed(mbuf, *packet, verdict, judgement.mark(index), index, runtime);
        if (mbuf == nullptr)
            return;
        packet = &whole_;
    }
    if (verdict.kind == Verdict::Kind::divert)
        return divert_routed({.mbuf = mbuf, .packet = *packet, .marks = judgement.mark(index)},
                             verdict, runtime);
    if (verdict.kind != Verdict::Kind::accept && verdict.kind != Verdict::Kind::fwd)
        return refuse_routed(mbuf, *packet, verdict, runtime);
    const Router::Traveller traveller{
        .mbuf = mbuf,
        .packet = packet,
        .marks = judgement.is_marked(index) ? &judgement.marks[index] : nullptr};
    if (verdict.kind == Verdict::Kind::fwd)
        if (const Router::Target target = target_of(runtime, verdict);
            target.version == packet->headers.ip_version)
            return router_->send(runtime, traveller, router_->way_to(*packet, target));
    router_->send(runtime, traveller, routed_->ways[index]);
}

// ---- What does not go on
// -------------------------------------------------------------------------

void Worker::refuse_routed(rte_mbuf* mbuf, const packet::Packet& packet, const Verdict& verdict,
                           const program::Runtime& runtime) {
    const packet::InterfaceIndex from = packet.passage.receive_interface;
    const auto& interfaces = runtime.environment().interfaces;
    const DropReason reason = verdict.reason;
    if (from != kNoInterface) {
        const std::uint16_t port = interfaces[from].port;
        sender_->answer({.packet = packet,
                         .port = port,
                         .now_ms = now_ms_,
                         .own = Router::own_address(runtime, packet)},
                        verdict);
        return drop(mbuf, port, reason);
    }
    // The host asked itself. It believes no answer that claims to come from one of its own
    // addresses, so this one comes from where the packet wanted to go.
    const std::uint16_t port = interfaces[packet.passage.transmit_interface].port;
    const std::span<const std::byte> frame = sender_->make_answer(
        {.packet = packet, .port = port, .now_ms = now_ms_, .own = {}}, verdict);
    if (!frame.empty())
        if (rte_mbuf* answer = sender_->copy(frame, port))
            router_->give_to_host(answer, port);
    sender_->drop_own(mbuf, reason);
}

rte_mbuf* Worker::reassemble_routed(rte_mbuf* mbuf, const packet::Packet& packet, Verdict& verdict,
                                    program::PacketMarks& marks, std::size_t place,
                                    const program::Runtime& runtime) {
    const packet::InterfaceIndex of = packet.passage.receive_interface != kNoInterface
                                          ? packet.passage.receive_interface
                                          : packet.passage.transmit_interface;
    const std::uint16_t port = runtime.environment().interfaces[of].port;
    // Changes so far are those of the fragment.
    if (marks.changes_headers() &&
        !forward::rewrite({rte_pktmbuf_mtod(mbuf, std::byte*), mbuf->data_len}, packet.headers,
                          marks)) {
        drop(mbuf, port, DropReason::cannot_rewrite);
        return nullptr;
    }
    marks.forget_changes();
    const packet::Reassembler::Outcome outcome = reassembled(mbuf, packet, port);
    if (outcome.frame.empty())
        return nullptr;
    // The reassembler's memory is its own again with the next fragment, and the datagram may have a
    // pass before it.
    rte_mbuf* whole = sender_->copy(outcome.frame, port);
    if (whole == nullptr) {
        count_drop(port, DropReason::transmit_full);
        return nullptr;
    }
    std::byte* frame = routed_->frames.get() + place * kLongestFrame;
    std::memcpy(frame, outcome.frame.data(), outcome.frame.size());
    whole_ = packet;
    whole_.malformed = packet::parse_frame({frame, outcome.frame.size()}, runtime.parser_settings(),
                                           whole_.headers);
    if (whole_.malformed == DropReason::none) {
        verdict = engine_.resume(runtime, whole_, verdict, marks);
        pass_tees({.mbuf = whole, .packet = whole_, .marks = marks}, verdict, runtime);
        if (verdict.kind != Verdict::Kind::reass)
            return whole;
    }
    drop(whole, port,
         whole_.malformed != DropReason::none ? whole_.malformed : DropReason::bad_fragment);
    return nullptr;
}

}  // namespace sluice::worker
