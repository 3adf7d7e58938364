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

// As it stands in a frame.
constexpr std::uint16_t kIpv4 = std::bit_cast<std::uint16_t>(Be16::from_host(wire::kEtherTypeIpv4));
constexpr MacAddress kEveryBit{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

template <typename Word>
Word load(const std::byte* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

// The first eight bytes of a frame, of which six are known; not by way of memory, where what has
// been written in pieces cannot be read at once.
std::uint64_t first_word(const MacAddress& destination) {
    const auto* bytes = reinterpret_cast<const std::byte*>(destination.bytes.data());
    const std::uint64_t begin = load<std::uint32_t>(bytes), end = load<std::uint16_t>(bytes + 4);
    return std::endian::native == std::endian::little ? begin | end << 32 : begin << 32 | end << 16;
}

template <typename Address>
std::uint64_t folded(const Address& address) {
    std::uint64_t words[2] = {};
    std::memcpy(words, &address, sizeof address);
    return words[0] ^ words[1];
}

std::uint32_t flow_hash(const packet::Glance& glance) {
    if (glance.ip_version == 4)
        return Router::flow_hash(folded(glance.ip4().source), folded(glance.ip4().destination),
                                 glance.ports);
    return Router::flow_hash(folded(glance.ip6().source), folded(glance.ip6().destination),
                             glance.ports);
}

// What is done to the header at the beginning of an IP packet that goes plainly.
struct PlainIp4 {
    static const Ipv4& destination(const std::byte* network) {
        return reinterpret_cast<const wire::Ip4*>(network)->destination;
    }
    static bool goes_plainly(const std::byte* network) { return forward::goes_plainly4(network); }
    // It may be this machine's own matter, so that Router::route has to look at it: it claims to
    // come from here, or may be an answer to a DHCP client.
    static bool may_be_ours(const classify::LocalAddresses& own, const packet::Glance& glance) {
        return own.may_be_no_sender(glance.ip4().source) ||
               glance.ports == forward::kDhcpAnswerPorts;
    }
    static void lower_hop_limit(std::byte* network) { forward::lower_hop_limit4(network); }
};
struct PlainIp6 {
    static const Ipv6& destination(const std::byte* network) {
        return reinterpret_cast<const wire::Ip6*>(network)->destination;
    }
    static bool goes_plainly(const std::byte* network) { return forward::goes_plainly6(network); }
    static bool may_be_ours(const classify::LocalAddresses& own, const packet::Glance& glance) {
        return own.may_be_no_sender(glance.ip6().source);
    }
    static void lower_hop_limit(std::byte* network) { forward::lower_hop_limit6(network); }
};

packet::Passage outgoing(packet::Passage passage, packet::InterfaceIndex interface) {
    passage.direction = packet::Direction::out;
    passage.came_back = 0;
    passage.transmit_interface = interface;
    return passage;
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

// Takes frames into the burst if all of them are what most of a gateway port are: IP, without a
// tag, in one buffer, to the port's address. False: some are not.
bool Worker::add_plain(unsigned count, const Origin& origin, const program::Runtime& runtime) {
    packet::Passage passage{.direction = packet::Direction::in, .entry = packet::Entry::ip};
    passage.receive_interface = origin.port;
    const std::uint64_t own = first_word(runtime.environment().interfaces[origin.port].mac);
    const std::uint16_t name = name_of(origin);
    rte_mbuf** mbufs = taken_;
    // What is not as it should be in any of them, without a branch.
    std::uint64_t destinations = 0, flags = 0, bytes = 0;
    unsigned segments = 0, types = 0;
    burst_.add(count, passage, [&](std::size_t i) {
        rte_mbuf* mbuf = mbufs[i];
        const std::byte* frame = rte_pktmbuf_mtod(mbuf, const std::byte*);
        const std::uint32_t length = mbuf->data_len;
        bytes += length;
        mbuf->port = name;
        segments |= mbuf->nb_segs ^ 1U;
        flags |= mbuf->ol_flags;
        if (length > sizeof(wire::Ethernet)) [[likely]] {
            destinations |= load<std::uint64_t>(frame) ^ own;
            types |= load<std::uint16_t>(frame + offsetof(wire::Ethernet, type)) ^ kIpv4;
        } else {
            segments = 1;
        }
        return Burst::Frame{frame, length};
    });
    if (segments != 0 || (flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ||
        (destinations & first_word(kEveryBit)) != 0)
        return false;
    unsigned versions = 4;  // of all, as bits
    if (types != 0) {
        versions = 0;
        for (unsigned i = 0; i < count; ++i) {
            const auto* ethernet = rte_pktmbuf_mtod(mbufs[i], const wire::Ethernet*);
            const unsigned type = ethernet->type.host();
            if (type != wire::kEtherTypeIpv4 && type != wire::kEtherTypeIpv6)
                return false;
            versions |= type == wire::kEtherTypeIpv4 ? 4 : 2;
        }
    }
    bytes_ = bytes;
    routed_->all_plain_frames = true;
    routed_->version_of_all = versions == 4 ? 4 : versions == 2 ? 6 : 0;
    return true;
}

// Returns how many bytes came.
std::uint64_t Worker::receive_routed(rte_mbuf** mbufs, unsigned count, const Origin& origin,
                                     const program::Runtime& runtime) {
    const bool has_owners =
        outboxes_.size() > 1 && (runtime.uses_states() || runtime.uses_reassembly());
    std::uint64_t bytes = 0;
    for (unsigned done = 0; done < count; done += Burst::kCapacity) {
        const unsigned end = std::min<unsigned>(done + Burst::kCapacity, count);
        begin_burst(mbufs + done, runtime);
        if (origin.host || !add_plain(end - done, origin, runtime)) {
            begin_burst(mbufs + done, runtime);
            for (unsigned i = done; i < end; ++i) {
                rte_mbuf* mbuf = mbufs[i];
                bytes_ += mbuf->pkt_len;
                if (take_routed(mbuf, origin, runtime))
                    taken_[burst_.size() - 1] = mbuf;
            }
        }
        bytes += bytes_;
        if (has_owners)
            keep_own(origin, runtime);
        judge(runtime);
        routed_->all_plain_frames = false;
        routed_->version_of_all = 0;
    }
    return bytes;
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
    if (burst_.has_one_passage()) {
        if (burst_.size() != 0 && burst_.passage(0).entry == packet::Entry::ip)
            routed = burst_.all();
    } else {
        for (std::size_t i = 0; i < burst_.size(); ++i)
            routed |= Burst::Mask{burst_.passage(i).entry == packet::Entry::ip} << i;
    }
    if (routed == 0)
        return;
    const Burst::Mask rest = routed & ~route_plainly(routed, runtime);
    for (Burst::Mask left = rest; left != 0; left &= left - 1)
        act_on_routed(static_cast<unsigned>(std::countr_zero(left)), runtime);
    if (routed_->burst->size() == 0)
        return;
    ask_rules(runtime, *routed_->burst, routed_->judgement);
    act_on_outgoing(runtime);
}

// Those of `packets` that lie in one buffer, without a tag, and were not sent to a group.
Burst::Mask Worker::plain_frames(Burst::Mask packets) const {
    if (routed_->all_plain_frames)
        return packets;
    Burst::Mask plain = 0;
    for (; packets != 0; packets &= packets - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(packets));
        const auto* frame = rte_pktmbuf_mtod(taken_[i], const std::byte*);
        const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(frame);
        const bool is_plain = taken_[i]->nb_segs == 1 &&
                              burst_.glance(i).network == frame + sizeof(wire::Ethernet) &&
                              (ethernet.destination.bytes[0] & 1) == 0 &&
                              burst_.passage(i).direction == packet::Direction::in;
        plain |= Burst::Mask{is_plain} << i;
    }
    return plain;
}

// Routes together the common packets that are let in as they are. Returns those that go on to the
// `out` pass; the others are as they were.
Burst::Mask Worker::route_plainly(Burst::Mask packets, const program::Runtime& runtime) {
    packets &= judgement_.accepted & ~judgement_.marked & burst_.common();
    packets = plain_frames(packets);
    Routed& routed = *routed_;
    routed.plain = 0;
    routed.other_ways_out = 0;
    routed.next_way_out = routed.last_way_out;
    const unsigned version = packets == burst_.all() ? routed.version_of_all : 0;
    const auto in_order = [](std::size_t k) { return k; };
    const classify::LocalAddresses& own = runtime.local_addresses();
    if (version == 4) {
        route_together<PlainIp4>(burst_.size(), in_order, own);
    } else if (version == 6) {
        route_together<PlainIp6>(burst_.size(), in_order, own);
    } else {
        std::array<std::uint8_t, Burst::kCapacity> places4, places6;
        std::size_t count4 = 0, count6 = 0;
        for (; packets != 0; packets &= packets - 1) {
            const auto i = static_cast<std::uint8_t>(std::countr_zero(packets));
            if (burst_.glance(i).ip_version == 4)
                places4[count4++] = i;
            else
                places6[count6++] = i;
        }
        route_together<PlainIp4>(
            count4, [&](std::size_t k) { return places4[k]; }, own);
        route_together<PlainIp6>(
            count6, [&](std::size_t k) { return places6[k]; }, own);
    }
    return collect_plain(version != 0);
}

// Packets of one version, by place in the burst.
template <typename Ip, typename PlaceAt>
void Worker::route_together(std::size_t count, PlaceAt place_at,
                            const classify::LocalAddresses& own) {
    Routed& routed = *routed_;
    const packet::InterfaceIndex usual = routed.last_way_out;
    packet::InterfaceIndex out = routed.next_way_out;
    unsigned others = routed.other_ways_out;
    unsigned plain = routed.plain;
    const auto network_of = [&](std::size_t k) { return burst_.glance(place_at(k)).network; };
    router_->fib().find_each(
        count, [&](std::size_t k) -> const auto& { return Ip::destination(network_of(k)); },
        [&](std::size_t k) { return flow_hash(burst_.glance(place_at(k))); },
        [&](std::size_t k, const route::NextHop& hop) {
            const std::byte* network = network_of(k);
            if (hop.kind != route::Kind::forward || !Ip::goes_plainly(network) ||
                Ip::may_be_ours(own, burst_.glance(place_at(k)))) [[unlikely]]
                return;
            Ip::lower_hop_limit(const_cast<std::byte*>(network));
            out = hop.interface;
            others |= static_cast<unsigned>(out) ^ usual;
            routed.places[plain] = static_cast<std::uint8_t>(place_at(k));
            routed.hops[plain++] = &hop;
        });
    routed.next_way_out = out;
    routed.other_ways_out = others;
    routed.plain = plain;
}

// Takes the packets that have been routed together into the burst of the `out` pass: the one that
// came, if all of it goes on by one interface and in its order. Returns which they are.
Burst::Mask Worker::collect_plain(bool in_order) {
    Routed& routed = *routed_;
    const packet::InterfaceIndex usual = std::exchange(routed.last_way_out, routed.next_way_out);
    const bool together = routed.other_ways_out == 0 && burst_.has_one_passage();
    if (in_order && together && routed.plain == burst_.size()) {
        routed.take_over(burst_, taken_);
        burst_.redirect(outgoing(burst_.passage(0), usual));
        return burst_.all();
    }
    const auto places = std::span(routed.places).first(routed.plain);
    routed.begin(burst_.circumstances());
    routed.plain = static_cast<unsigned>(places.size());
    if (together && !places.empty())
        routed.burst->add(burst_, places, outgoing(burst_.passage(0), usual));
    Burst::Mask going = 0;
    for (std::size_t k = 0; k < places.size(); ++k) {
        const std::size_t i = places[k];
        if (!together)
            routed.burst->add(burst_, places.subspan(k, 1),
                              outgoing(burst_.passage(i), routed.hops[k]->interface));
        routed.mbufs[k] = taken_[i];
        going |= Burst::Mask{1} << i;
    }
    return going;
}

void Worker::add_outgoing(rte_mbuf* mbuf, std::span<const std::byte> frame,
                          const packet::Passage& passage, const program::PacketMarks* marks,
                          const Router::Way& way) {
    const std::size_t i = routed_->burst->size();
    routed_->burst->add(frame.data(), static_cast<std::uint32_t>(frame.size()), passage);
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
    // A frame in several buffers was put together for the rules; its copy has the new hop limit
    // too.
    auto* network = const_cast<std::byte*>(packet.headers.frame) + packet.headers.network_offset;
    if (packet.headers.frame != rte_pktmbuf_mtod(mbuf, const std::byte*))
        forward::lower_hop_limit(network, packet.headers.ip_version);
    add_outgoing(mbuf, {packet.headers.frame, packet.headers.frame_length},
                 outgoing(packet.passage, way.hop->interface), marks, way);
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
                                 routed_->burst->size(), runtime);
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

void Worker::act_on_outgoing(const program::Runtime& runtime) {
    const program::Judgement& judgement = routed_->judgement;
    const auto size = static_cast<unsigned>(routed_->burst->size());
    const Burst::Mask unchanged = judgement.accepted & ~judgement.marked;
    router_->begin_burst();
    unsigned plain = 0;
    for (unsigned i = 0; i < routed_->plain;) {
        // What leaves as it came needs no second look.
        const auto run =
            std::min(static_cast<unsigned>(std::countr_one(unchanged >> i)), routed_->plain - i);
        const unsigned sent =
            run == 0 ? 0
                     : router_->send_plainly(runtime, std::span(routed_->mbufs + i, run),
                                             routed_->hops.data() + i);
        plain += sent;
        i += sent;
        if (sent == 0) {
            routed_->ways[i] = {.hop = routed_->hops[i], .target = {}};
            act_on_special(i++, runtime);
        }
    }
    for (unsigned i = routed_->plain; i < size; ++i)
        act_on_special(i, runtime);
    contract::add(spec_.counters->routed, plain);
}

void Worker::act_on_special(unsigned index, const program::Runtime& runtime) {
    program::Judgement& judgement = routed_->judgement;
    rte_mbuf* mbuf = routed_->mbufs[index];
    const packet::Packet* packet = &routed_->burst->packet(index);
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
