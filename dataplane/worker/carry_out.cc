// The last stage of a burst: what a worker does with packets that have been judged.
#include <rte_mbuf.h>

#include <bit>
#include <cstring>

#include "dataplane/forward/fragment.h"
#include "dataplane/forward/keepalive.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/parser.h"
#include "dataplane/worker/scratch.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

using contract::DropReason;
using program::Verdict;

// REQUIRES: the packets of the burst go one way.
bool Worker::leaves_by_peer() const {
    return burst_.size() != 0 && burst_.passage(0).entry == packet::Entry::bridge &&
           spec_.ports[burst_.passage(0).receive_interface].role == WorkerPort::Role::pair;
}

void Worker::carry_out(const program::Runtime& runtime) {
    const auto count = static_cast<unsigned>(burst_.size());
    const packet::Burst::Mask simple = judgement_.accepted | judgement_.denied;
    if (burst_.has_one_passage() && simple == burst_.all() && leaves_by_peer()) {
        carry_out_simply(count);
        return;
    }
    if (router_ != nullptr) {
        carry_out_routed(runtime);
        if (burst_.has_one_passage() && count != 0 && burst_.passage(0).entry == packet::Entry::ip)
            return;
    }
    for (unsigned i = 0; i < count; ++i) {
        const std::uint16_t port = burst_.passage(i).receive_interface;
        if (burst_.passage(i).entry == packet::Entry::ip)
            continue;
        if ((judgement_.accepted >> i & 1) != 0)
            forward(taken_[i], port);
        else if ((judgement_.denied >> i & 1) != 0)
            drop(taken_[i], port, DropReason::none);
        else
            act(i, port, runtime);
    }
}

// All came in by one port, and leave unchanged or not at all.
void Worker::carry_out_simply(unsigned count) {
    if (count == 0)
        return;
    const std::uint16_t port = burst_.passage(0).receive_interface;
    const std::uint16_t peer = spec_.ports[port].peer;
    const bool up = sender_->link_up(peer);
    if (judgement_.denied == 0 && up) {
        sender_->forward({taken_, count}, peer, bytes_);
        return;
    }
    rte_mbuf* passed[packet::Burst::kCapacity];
    rte_mbuf* denied[packet::Burst::kCapacity];
    unsigned passed_count = 0, denied_count = 0;
    std::uint64_t denied_bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
        rte_mbuf* mbuf = taken_[i];
        const auto is_denied = static_cast<unsigned>(judgement_.denied >> i & 1);
        passed[passed_count] = mbuf;
        denied[denied_count] = mbuf;
        denied_count += is_denied;
        passed_count += 1 - is_denied;
        denied_bytes += is_denied * std::uint64_t{mbuf->pkt_len};
    }
    rte_pktmbuf_free_bulk(denied, denied_count);
    contract::add(spec_.counters->ports[port].dropped_packets, denied_count);
    if (up) {
        sender_->forward({passed, passed_count}, peer, bytes_ - denied_bytes);
        return;
    }
    for (unsigned i = 0; i < passed_count; ++i)
        drop(passed[i], port, DropReason::port_down);
}

void Worker::act(unsigned index, std::uint16_t port, const program::Runtime& runtime) {
    Verdict& verdict = judgement_.verdicts[index];
    rte_mbuf* mbuf = taken_[index];
    if (verdict.kind == Verdict::Kind::tee)
        pass_tees({.mbuf = mbuf, .packet = burst_.packet(index), .marks = judgement_.mark(index)},
                  verdict, runtime);
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            if (verdict.rule_number == 0 && burst_.packet(index).headers.ip_version == 0)
                contract::add(spec_.counters->non_ip, 1);
            forward_changed(index, port);
            break;
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
        case Verdict::Kind::abort:
        case Verdict::Kind::abort6:
            reply(burst_.packet(index), verdict, port);
            drop(mbuf, port, verdict.reason);
            break;
        case Verdict::Kind::divert: {
            const Handed handed{
                .mbuf = mbuf, .packet = burst_.packet(index), .marks = judgement_.mark(index)};
            const DropReason lost = give_to_program(handed, verdict, runtime);
            if (lost != DropReason::none)
                drop(mbuf, port, lost);
            else
                rte_pktmbuf_free(mbuf);
            break;
        }
        case Verdict::Kind::fwd:
            drop(mbuf, port, DropReason::unsupported_on_bridge);
            break;
        case Verdict::Kind::reass:
            reassemble(index, port, runtime);
            break;
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            drop(mbuf, port, verdict.reason);
            break;
    }
}

void Worker::forward(rte_mbuf* mbuf, std::uint16_t port) {
    if (spec_.ports[port].role == WorkerPort::Role::bridge)
        return learning_bridge_.forward(mbuf, port, now_ms_, uptime_s_);
    const std::uint16_t peer = spec_.ports[port].peer;
    if (!sender_->link_up(peer))
        return drop(mbuf, port, DropReason::port_down);
    sender_->forward(mbuf, peer);
}

void Worker::forward_changed(unsigned index, std::uint16_t port) {
    if (!make_changes(index))
        return drop(taken_[index], port, DropReason::cannot_rewrite);
    forward(taken_[index], port);
}

// The changes to headers that rules have noted. False: the packet cannot be changed.
bool Worker::make_changes(unsigned index) {
    if (!judgement_.is_marked(index) || !judgement_.marks[index].changes_headers())
        return true;
    rte_mbuf* mbuf = taken_[index];
    return forward::rewrite({rte_pktmbuf_mtod(mbuf, std::byte*), mbuf->data_len},
                            burst_.packet(index).headers, judgement_.marks[index]);
}

// Keeps the fragment, which is gone then; the datagram that it completes is the outcome's frame, in
// memory of the reassembler.
packet::Reassembler::Outcome Worker::reassembled(rte_mbuf* mbuf, const packet::Packet& packet,
                                                 std::uint16_t port) {
    packet::Reassembler::Outcome outcome = reassembler_.add(packet);
    if (outcome.given_up != 0)
        contract::add(spec_.counters->drops[static_cast<std::size_t>(outcome.reason)],
                      outcome.given_up);
    if (outcome.refused != DropReason::none) {
        drop(mbuf, port, outcome.refused);
        return outcome;
    }
    rte_pktmbuf_free(mbuf);
    contract::add(spec_.counters->fragments_kept, 1);
    if (!outcome.frame.empty())
        contract::add(spec_.counters->datagrams_reassembled, 1);
    return outcome;
}

void Worker::reassemble(unsigned index, std::uint16_t port, const program::Runtime& runtime) {
    rte_mbuf* mbuf = taken_[index];
    program::PacketMarks& marks = judgement_.mark(index);
    // Changes so far are those of the fragment.
    if (!make_changes(index))
        return drop(mbuf, port, DropReason::cannot_rewrite);
    marks.forget_changes();
    const packet::Reassembler::Outcome outcome = reassembled(mbuf, burst_.packet(index), port);
    if (outcome.frame.empty())
        return;
    whole_ = burst_.packet(index);
    whole_.malformed =
        packet::parse_frame(outcome.frame, runtime.parser_settings(), whole_.headers);
    if (whole_.malformed != DropReason::none)
        return count_drop(port, whole_.malformed);
    Verdict& verdict = judgement_.verdicts[index];
    verdict = engine_.resume(runtime, whole_, verdict, marks);
    act_on_whole(index, outcome.frame, runtime);
}

void Worker::act_on_whole(unsigned index, std::span<std::byte> frame,
                          const program::Runtime& runtime) {
    const std::uint16_t port = whole_.passage.receive_interface;
    Verdict& verdict = judgement_.verdicts[index];
    const Handed handed{.whole = frame, .packet = whole_, .marks = judgement_.mark(index)};
    pass_tees(handed, verdict, runtime);
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            return send_whole(index, frame, port);
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
        case Verdict::Kind::abort:
        case Verdict::Kind::abort6:
            reply(whole_, verdict, port);
            return count_drop(port, verdict.reason);
        case Verdict::Kind::divert: {
            const DropReason lost = give_to_program(handed, verdict, runtime);
            if (lost != DropReason::none)
                count_drop(port, lost);
            return;
        }
        case Verdict::Kind::fwd:
            return count_drop(port, DropReason::unsupported_on_bridge);
        case Verdict::Kind::reass:
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            return count_drop(port, verdict.reason);
    }
}

void Worker::send_whole(unsigned index, std::span<std::byte> frame, std::uint16_t port) {
    const packet::Headers& headers = whole_.headers;
    const program::PacketMarks& marks = judgement_.mark(index);
    const std::uint16_t peer = spec_.ports[port].peer;
    if (!sender_->link_up(peer))
        return count_drop(port, DropReason::port_down);
    if (marks.changes_headers() && !forward::rewrite(frame, headers, marks))
        return count_drop(port, DropReason::cannot_rewrite);
    const unsigned mtu = spec_.ports[peer].mtu;
    const std::size_t length = std::size_t{headers.network_offset} + headers.ip_length;
    if (headers.ip_length <= mtu)
        return send_piece(frame.first(length), port);
    for (unsigned number = 0;; ++number) {
        const std::size_t size =
            forward::build_fragment(frame, headers, mtu, number, scratch_->fragment);
        if (size == 0)
            return;
        send_piece(std::span(scratch_->fragment).first(size), port);
    }
}

// What came in by `port`, or a part of it.
void Worker::send_piece(std::span<const std::byte> frame, std::uint16_t port) {
    rte_mbuf* piece = sender_->copy(frame, port);
    if (piece == nullptr)
        return count_drop(port, DropReason::transmit_full);
    piece->port = RTE_MBUF_PORT_INVALID;
    if (spec_.ports[port].role == WorkerPort::Role::bridge)
        return learning_bridge_.forward(piece, port, now_ms_, uptime_s_);
    sender_->send_own(piece, spec_.ports[port].peer);
}

void Worker::drop(rte_mbuf* mbuf, std::uint16_t port, DropReason reason) {
    sender_->drop(mbuf, port, reason);
}

void Worker::count_drop(std::uint16_t port, DropReason reason) {
    sender_->count_drop(port, reason);
}

void Worker::reply(const packet::Packet& packet, const Verdict& verdict, std::uint16_t port) {
    sender_->answer({.packet = packet, .port = port, .now_ms = now_ms_, .own = {}}, verdict);
}

void Worker::send_keepalive(const state::Keepalive& keepalive, const program::Runtime& runtime) {
    const std::uint16_t near = keepalive.origin.interface;
    const auto& interfaces = runtime.environment().interfaces;
    if (near >= interfaces.size() || interfaces[near].port >= spec_.ports.size())
        return;
    const std::size_t length = forward::build_keepalive(keepalive, scratch_->keepalive);
    if (length == 0)
        return;
    const std::span<const std::byte> frame = std::span(scratch_->keepalive).first(length);
    const WorkerPort& from = spec_.ports[interfaces[near].port];
    bool sent = false;
    switch (from.role) {
        case WorkerPort::Role::gateway:
            sent = router_->send_made(runtime, frame, interfaces[near].port, now_ms_);
            break;
        case WorkerPort::Role::bridge:
            sent = learning_bridge_.send_to_station(frame, near, uptime_s_);
            break;
        case WorkerPort::Role::pair: {
            const std::uint16_t port = keepalive.to_initiator ? near : from.peer;
            sent = sender_->link_up(port) && sender_->send_copy(frame, port);
            break;
        }
    }
    if (sent)
        contract::add(spec_.counters->keepalives_sent, 1);
}

}  // namespace sluice::worker
