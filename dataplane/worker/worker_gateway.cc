// The gateway's part of a worker: what comes in by gateway ports and from the kernel of this
// machine, and the two passes of what is routed. See router.h.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/hop.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/parser.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using program::Verdict;

// How packets between workers say that they come from the kernel, or from a program: behind the
// numbers of all ports.
constexpr std::uint16_t kFromHost = 0x100;
constexpr std::uint16_t kFromProgram = 0x200;

// The interface whose frames come by this port with this tag; that of the port if there is none.
packet::InterfaceIndex interface_by(const program::Runtime& runtime, std::uint16_t port,
                                    std::uint16_t vlan) {
    const auto& interfaces = runtime.environment().interfaces;
    if (vlan != 0)
        for (std::size_t i = 0; i < interfaces.size(); ++i)
            if (interfaces[i].vlan == vlan && interfaces[i].port == port)
                return static_cast<packet::InterfaceIndex>(i);
    return port;
}

Router::Target target_of(const program::Runtime& runtime, const Verdict& verdict) {
    if (verdict.next_hop_family != 0)
        return {.address = verdict.next_hop, .version = verdict.next_hop_family};
    const contract::RuleRecord& rule = runtime.view().all_rules()[verdict.rule_index];
    return {.address = rule.next_hop, .version = static_cast<std::uint8_t>(rule.next_hop_family)};
}

}  // namespace

Worker::Origin Worker::origin_of(std::uint16_t name) const {
    if (name == kFromProgram)
        return {.host = true, .program = true};
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

bool Worker::admit_to_gateway(unsigned index, std::uint16_t port, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    if (packet.malformed == DropReason::short_frame && packet.headers.network_offset == 0) {
        drop(mbufs_[index], port, packet.malformed);
        return false;
    }
    packet.passage.entry = packet::Entry::ip;
    packet.passage.receive_interface =
        interface_by(runtime, port, forward::vlan_of(packet.headers));
    const packet::Interface& interface =
        runtime.environment().interfaces[packet.passage.receive_interface];
    if (!Router::is_for_us(packet.headers, interface)) {
        drop(mbufs_[index], port, DropReason::other_station);
        return false;
    }
    // ARP, LLDP and the like are the kernel's, as on a host whose layer 2 is not filtered.
    if (packet.headers.ip_version == 0 && packet.malformed == DropReason::none) {
        contract::add(spec_.counters->non_ip, 1);
        router_->give_to_host(mbufs_[index], port);
        return false;
    }
    return true;
}

bool Worker::admit_from_host(unsigned index, std::uint16_t port, const program::Runtime& runtime) {
    contract::add(spec_.counters->from_host, 1);
    packet::Packet& packet = packets_[index];
    if (packet.malformed == DropReason::short_frame && packet.headers.network_offset == 0) {
        sender_->drop_own(mbufs_[index], packet.malformed);
        return false;
    }
    ways_[index] = {};  // the kernel's own
    packet.passage = {
        .direction = packet::Direction::out,
        .entry = packet::Entry::ip,
        .receive_interface = packet::kNoInterface,
        .transmit_interface = interface_by(runtime, port, forward::vlan_of(packet.headers))};
    if (packet.headers.ip_version == 0 && packet.malformed == DropReason::none) {
        sender_->send_own(mbufs_[index], port);
        return false;
    }
    return true;
}

// As much as a receive queue gives. Frames are taken before a ring is full, so the kernel's own
// queue is what fills.
unsigned Worker::take_from_host(const program::Runtime* runtime) {
    unsigned count = spec_.host->take(spec_.id, mbufs_);
    const unsigned taken = count;
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i) {
        move(i, kept);
        const Origin origin = {.port = mbufs_[kept]->port, .host = true};
        if (runtime == nullptr)
            sender_->drop_own(mbufs_[kept], DropReason::no_ruleset);
        else if (admit(kept, origin, *runtime)) {
            mbufs_[kept]->port = name_of(origin);
            ++kept;
        }
    }
    if (kept == 0)
        return taken;
    if (outboxes_.size() > 1 && (runtime->uses_states() || runtime->uses_reassembly()))
        kept = keep_own(kept, *runtime);
    judge(kept, *runtime);
    return taken;
}

void Worker::act_on_routed(unsigned index, const program::Runtime& runtime) {
    const packet::Packet& packet = packets_[index];
    const packet::InterfaceIndex from = packet.passage.receive_interface;
    const Verdict& verdict = verdicts_[index];
    DropReason reason = verdict.reason;
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            return send_on(index, runtime, nullptr);
        case Verdict::Kind::fwd: {
            const Router::Target target = target_of(runtime, verdict);
            // A next hop of the other family is none; ipfw lets such a packet pass.
            const bool fits = target.version == packet.headers.ip_version;
            return send_on(index, runtime, fits ? &target : nullptr);
        }
        case Verdict::Kind::reass:
            return reassemble_routed(index, runtime);
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
            answer_routed(index, runtime);
            break;
        case Verdict::Kind::divert:
            reason = give_to_program(index, runtime);
            if (reason == DropReason::none)
                return rte_pktmbuf_free(mbufs_[index]);
            break;
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            break;
    }
    if (from == packet::kNoInterface)
        sender_->drop_own(mbufs_[index], reason);
    else
        drop(mbufs_[index], runtime.environment().interfaces[from].port, reason);
}

// A packet that a pass has let through.
void Worker::send_on(unsigned index, const program::Runtime& runtime,
                     const Router::Target* redirection) {
    packet::Packet& packet = packets_[index];
    const Router::Traveller traveller{
        .mbuf = mbufs_[index], .packet = &packet, .marks = &marks_[index]};
    if (packet.passage.direction == packet::Direction::in) {
        const Router::Way way =
            router_->route(runtime, traveller,
                           redirection != nullptr ? *redirection : Router::destination_of(packet));
        if (way.hop == nullptr)
            return;
        move(index, outgoing_);
        if (index != outgoing_)
            marks_[outgoing_] = marks_[index];
        ways_[outgoing_++] = way;
    } else if (redirection != nullptr) {
        router_->send(runtime, traveller, router_->way_to(packet, *redirection));
    } else if (ways_[index].hop == nullptr) {
        router_->send_from_host(runtime, traveller);
    } else {
        router_->send(runtime, traveller, ways_[index]);
    }
}

// What has been let in and is not for this machine, under the rules for what goes out.
void Worker::judge_outgoing(const program::Runtime& runtime) {
    const unsigned count = outgoing_;
    engine_.filter(runtime, std::span(packets_).first(count), verdicts_, marks_);
    for (unsigned i = 0; i < count; ++i)
        act(i, runtime);
}

void Worker::answer_routed(unsigned index, const program::Runtime& runtime) {
    const packet::Packet& packet = packets_[index];
    const packet::InterfaceIndex from = packet.passage.receive_interface;
    const auto& interfaces = runtime.environment().interfaces;
    if (from != packet::kNoInterface) {
        sender_->answer({.packet = packet,
                         .port = interfaces[from].port,
                         .now_ms = now_ms_,
                         .own = Router::own_address(runtime, packet)},
                        verdicts_[index]);
        return;
    }
    // The host asked itself. It believes no answer that claims to come from one of its own
    // addresses, so this one comes from where the packet wanted to go.
    const std::uint16_t port = interfaces[packet.passage.transmit_interface].port;
    const std::span<const std::byte> frame = sender_->make_answer(
        {.packet = packet, .port = port, .now_ms = now_ms_, .own = {}}, verdicts_[index]);
    if (frame.empty())
        return;
    if (rte_mbuf* answer = sender_->copy(frame, port))
        router_->give_to_host(answer, port);
}

// As `reassemble`, but the whole datagram goes on in buffers: it may have a second pass before it.
void Worker::reassemble_routed(unsigned index, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    rte_mbuf* mbuf = mbufs_[index];
    const packet::InterfaceIndex from = packet.passage.receive_interface;
    const std::uint16_t port =
        runtime.environment()
            .interfaces[from != packet::kNoInterface ? from : packet.passage.transmit_interface]
            .port;
    const std::span<std::byte> frame = reassembled(index, port);
    if (frame.empty())
        return;
    // The reassembler's memory is its own again with the next fragment.
    const std::span<std::byte> place = place_of(index).first(frame.size());
    std::memcpy(place.data(), frame.data(), frame.size());
    packet.malformed = packet::parse_frame(place, runtime.parser_settings(), packet.headers);
    mbuf = sender_->copy(place, port);
    if (mbuf == nullptr || packet.malformed != DropReason::none) {
        rte_pktmbuf_free(mbuf);
        sender_->count_drop(port, packet.malformed != DropReason::none ? packet.malformed
                                                                       : DropReason::transmit_full);
        return;
    }
    mbufs_[index] = mbuf;
    Verdict& verdict = verdicts_[index];
    verdict = engine_.resume(runtime, packet, verdict, marks_[index]);
    pass_tees(index, runtime);
    if (verdict.kind == Verdict::Kind::reass)
        return drop(mbuf, port, DropReason::bad_fragment);
    act_on_routed(index, runtime);
}

}  // namespace sluice::worker
