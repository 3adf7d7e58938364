#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/fragment.h"
#include "dataplane/forward/keepalive.h"
#include "dataplane/forward/reply.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using program::Verdict;

// The coarse clock is read without a system call on every machine; its step is a few milliseconds.
std::uint64_t wall_clock_ms() {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

// What every driver that hashes at all hashes with its ports. First fragments show ports too, but
// hardware takes them for what follows, which has none.
bool should_be_spread_by_hardware(const packet::Headers& headers) {
    return !headers.is_fragment() && (headers.protocol == packet::wire::protocol::tcp ||
                                      headers.protocol == packet::wire::protocol::udp);
}

}  // namespace

// Where frames that lie in several buffers are put together, one place for each packet of a burst.
// Pages that are never used cost nothing.
struct Worker::Scratch {
    explicit Scratch(unsigned burst) : frames(new std::byte[std::size_t{burst} * kLongestFrame]) {}

    std::unique_ptr<std::byte[]> frames;
    std::byte keepalive[forward::kMaximumKeepalive];
    std::byte fragment[kLongestFrame];
};

class Worker::Keepalives final : public state::KeepaliveSink {
  public:
    Keepalives(Worker& worker, const program::Runtime& runtime)
        : worker_(worker), runtime_(runtime) {}
    void send(const state::Keepalive& keepalive) override {
        worker_.send_keepalive(keepalive, runtime_);
    }

  private:
    Worker& worker_;
    const program::Runtime& runtime_;
};

Worker::Worker(const WorkerSpec& spec)
    : spec_(spec),
      engine_(spec.outputs, spec.seed),
      sender_(new Sender(spec_.ports, static_cast<std::uint16_t>(spec.id), *spec.counters,
                         forward::TokenBucket(spec.reply_rate, spec.reply_burst))),
      ways_(spec.burst),
      learning_bridge_(spec_.ports, *spec.counters, *sender_, spec.flood_limit),
      mbufs_(spec.burst),
      packets_(spec.burst),
      verdicts_(spec.burst),
      marks_(spec.burst),
      port_of_device_(RTE_MAX_ETHPORTS),
      scratch_(new Scratch(spec.burst)) {
    from_programs_.reserve(spec.burst);
    const unsigned workers = spec.handover == nullptr ? 0 : spec.handover->workers();
    const std::uint64_t patience =
        rte_get_timer_hz() / 1000 * std::uint64_t{spec.handover_patience_ms};
    outboxes_.reserve(workers);
    for (unsigned owner = 0; owner < workers; ++owner)
        outboxes_.emplace_back(owner == spec.id ? nullptr : spec.handover->ring(spec.id, owner),
                               spec.burst, patience);
    for (std::size_t i = 0; i < spec.ports.size(); ++i)
        port_of_device_[spec.ports[i].device] = static_cast<std::uint16_t>(i);
    if (spec.fib != nullptr)
        router_ = std::make_unique<Router>(Router::Spec{.worker = spec.id,
                                                        .counters = spec.counters,
                                                        .fib = spec.fib,
                                                        .host = spec.host,
                                                        .solicitations = spec.solicitations,
                                                        .sender = sender_.get()});
}

Worker::Worker(Worker&&) noexcept = default;
Worker::~Worker() = default;

void Worker::run(Control& control) {
    unsigned empty_turns = 0;
    unsigned sleep_us = kFirstSleepUs;
    control.runtime->online(spec_.id);
    while (!control.stop.load(std::memory_order_relaxed)) {
        const unsigned received = turn(control.runtime->load());
        control.runtime->quiescent(spec_.id);
        if (received != 0 || has_more_to_do_ || !spec_.sleeps) {
            empty_turns = 0;
            sleep_us = kFirstSleepUs;
            continue;
        }
        if (++empty_turns < kPatience)
            continue;
        const timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(sleep_us) * 1000};
        control.runtime->offline(spec_.id);
        nanosleep(&pause, nullptr);
        control.runtime->online(spec_.id);
        sleep_us = std::min(sleep_us * 2, spec_.max_sleep_us);
    }
    control.runtime->offline(spec_.id);
}

unsigned Worker::turn(const program::Runtime* runtime) {
    now_ms_ = wall_clock_ms();
    uptime_s_ = spec_.uptime();
    unsigned total = take_handed_over(runtime);
    if (router_ != nullptr)
        total += take_from_host(runtime);
    if (spec_.divert != nullptr)
        total += take_from_programs(runtime);
    const bool hands_over = outboxes_.size() > 1 && runtime != nullptr && runtime->uses_states();
    for (std::size_t polled = 0; polled < spec_.queues.size(); ++polled) {
        if (hands_over && !others_have_room()) {
            contract::add(spec_.counters->handover_waits, 1);
            break;
        }
        const ReceiveQueue& queue = spec_.queues[next_queue_];
        next_queue_ = (next_queue_ + 1) % spec_.queues.size();
        const unsigned count =
            rte_eth_rx_burst(spec_.ports[queue.port].device, queue.queue, mbufs_.data(),
                             static_cast<std::uint16_t>(spec_.burst));
        if (count == 0)
            continue;
        receive(queue, count, runtime);
        total += count;
    }
    has_more_to_do_ = kill_as_ordered(runtime);
    if (runtime != nullptr) {
        Keepalives keepalives(*this, *runtime);
        has_more_to_do_ |= engine_.tend_states(*runtime, uptime_s_, &keepalives);
    }
    if (const unsigned late = reassembler_.expire(uptime_s_); late != 0)
        contract::add(spec_.counters->drops[static_cast<std::size_t>(DropReason::fragment_timeout)],
                      late);
    if (router_ != nullptr) {
        if (runtime != nullptr)
            router_->tend(*runtime, now_ms_);
        spec_.host->wake();
    }
    if (gave_to_program_)
        spec_.divert->wake();
    gave_to_program_ = false;
    sender_->flush();
    contract::add(spec_.counters->heartbeat, 1);
    contract::set(spec_.counters->generation, runtime == nullptr ? 0 : runtime->generation());
    return total;
}

void Worker::receive(const ReceiveQueue& queue, unsigned count, const program::Runtime* runtime) {
    std::uint64_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
        rte_prefetch0(rte_pktmbuf_mtod(mbufs_[i], void*));
        bytes += mbufs_[i]->pkt_len;
    }
    contract::PortCounters& port = spec_.counters->ports[queue.port];
    contract::add(port.received_packets, count);
    contract::add(port.received_bytes, bytes);
    contract::add(spec_.counters->bursts, 1);
    if (runtime == nullptr) {
        for (unsigned i = 0; i < count; ++i)
            drop(mbufs_[i], queue.port, DropReason::no_ruleset);
        return;
    }
    count = admit_all(queue.port, count, *runtime);
    if (outboxes_.size() > 1 && (runtime->uses_states() || runtime->uses_reassembly()))
        count = keep_own(count, *runtime);
    judge(count, *runtime);
}

// As much from each of the other workers as a turn can bring to it, and a burst more, to catch up.
unsigned Worker::take_handed_over(const program::Runtime* runtime) {
    unsigned total = 0;
    for (unsigned from = 0; from < outboxes_.size(); ++from) {
        if (from == spec_.id)
            continue;
        rte_ring* ring = spec_.handover->ring(from, spec_.id);
        for (std::size_t bursts = spec_.queues.size() + 1; bursts != 0; --bursts) {
            const unsigned count = rte_ring_sc_dequeue_burst(
                ring, reinterpret_cast<void**>(mbufs_.data()), spec_.burst, nullptr);
            judge_handed_over(count, runtime);
            total += count;
            if (count < spec_.burst)
                break;
        }
    }
    return total;
}

void Worker::judge_handed_over(unsigned count, const program::Runtime* runtime) {
    for (unsigned i = 0; i < count; ++i)
        rte_prefetch0(rte_pktmbuf_mtod(mbufs_[i], void*));
    unsigned admitted = 0;
    for (unsigned i = 0; i < count; ++i) {
        move(i, admitted);
        const Origin origin = origin_of(mbufs_[admitted]->port);
        if (runtime == nullptr)
            drop(mbufs_[admitted], origin.port, DropReason::no_ruleset);
        else if (origin.program)
            from_programs_.push_back(mbufs_[admitted]);
        else if (admit(admitted, origin, *runtime))
            ++admitted;
    }
    if (runtime != nullptr && admitted != 0)
        judge(admitted, *runtime);
    if (from_programs_.empty())
        return;
    std::copy(from_programs_.begin(), from_programs_.end(), mbufs_.begin());
    judge_from_programs(static_cast<unsigned>(from_programs_.size()), *runtime);
    from_programs_.clear();
}

// Whether a burst may be received, whoever owns its flows.
bool Worker::others_have_room() {
    bool room = true;
    for (Outbox& outbox : outboxes_)
        room &= outbox.may_receive();
    return room;
}

// Gives the packets of other workers' flows away and moves the rest together; returns how many
// those are.
// REQUIRES: the mbufs say where they come from.
unsigned Worker::keep_own(unsigned count, const program::Runtime& runtime) {
    std::uint16_t port = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i) {
        const packet::Packet& packet = packets_[i];
        if (packet.malformed == DropReason::none && packet.headers.ip_version != 0) {
            const unsigned owner = runtime.owner_of(packet.headers, *spec_.owner_hash,
                                                    static_cast<unsigned>(outboxes_.size()));
            if (owner != spec_.id) {
                const Origin origin = origin_of(mbufs_[i]->port);
                port = origin.port;
                if (!origin.host && spec_.ports[port].spreads_by_owner &&
                    !runtime.uses_reassembly() && should_be_spread_by_hardware(packet.headers))
                    contract::add(spec_.counters->misdirected, 1);
                outboxes_[owner].push(mbufs_[i]);
                continue;
            }
        }
        move(i, kept);
        ++kept;
    }
    if (kept != count)
        hand_over(port);
    return kept;
}

void Worker::hand_over(std::uint16_t port) {
    for (Outbox& outbox : outboxes_) {
        if (outbox.empty())
            continue;
        const unsigned given =
            outbox.hand_over([&](rte_mbuf* mbuf) { drop(mbuf, port, DropReason::handover_full); });
        contract::add(spec_.counters->handed_over, given);
    }
}

void Worker::judge(unsigned count, const program::Runtime& runtime) {
    for (unsigned i = 0; i < count; ++i)
        marks_[i].clear();
    engine_.filter(runtime, std::span(packets_).first(count), verdicts_, marks_);
    outgoing_ = 0;
    for (unsigned i = 0; i < count; ++i)
        act(i, runtime);
    if (outgoing_ != 0)
        judge_outgoing(runtime);
}

unsigned Worker::admit_all(std::uint16_t port, unsigned count, const program::Runtime& runtime) {
    unsigned admitted = 0;
    for (unsigned i = 0; i < count; ++i) {
        move(i, admitted);
        mbufs_[admitted]->port = spec_.ports[port].device;  // not every driver says it
        admitted += admit(admitted, {.port = port}, runtime) ? 1 : 0;
    }
    return admitted;
}

void Worker::move(unsigned from, unsigned to) {
    if (from == to)
        return;
    mbufs_[to] = mbufs_[from];
    packets_[to] = packets_[from];
}

bool Worker::admit(unsigned index, const Origin& origin, const program::Runtime& runtime) {
    parse(index, runtime);
    packet::Packet& packet = packets_[index];
    packet.passage = {.direction = packet::Direction::in,
                      .entry = packet::Entry::bridge,
                      .receive_interface = origin.port,
                      .transmit_interface = packet::kNoInterface};
    if (origin.host)
        return admit_from_host(index, origin.port, runtime);
    return spec_.ports[origin.port].role != WorkerPort::Role::gateway ||
           admit_to_gateway(index, origin.port, runtime);
}

// The frame in one piece. The engine reads headers anywhere in it.
std::span<const std::byte> Worker::frame_of(unsigned index) {
    rte_mbuf* mbuf = mbufs_[index];
    if (mbuf->nb_segs == 1 || rte_pktmbuf_linearize(mbuf) == 0)
        return {rte_pktmbuf_mtod(mbuf, const std::byte*), mbuf->data_len};
    const std::uint32_t length = std::min(mbuf->pkt_len, kLongestFrame);
    const void* bytes = rte_pktmbuf_read(mbuf, 0, length, place_of(index).data());
    return {static_cast<const std::byte*>(bytes), length};
}

std::span<std::byte> Worker::place_of(unsigned index) {
    return {scratch_->frames.get() + std::size_t{index} * kLongestFrame, kLongestFrame};
}

void Worker::parse(unsigned index, const program::Runtime& runtime) {
    // Some drivers take a VLAN tag out of the frame without having been asked to.
    if ((mbufs_[index]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0)
        rte_vlan_insert(&mbufs_[index]);
    packet::Packet& packet = packets_[index];
    packet.malformed =
        packet::parse_frame(frame_of(index), runtime.parser_settings(), packet.headers);
    packet.sequence = sequence_++;
    packet.now_ms = now_ms_;
    packet.uptime_s = uptime_s_;
}

void Worker::act(unsigned index, const program::Runtime& runtime) {
    Verdict& verdict = verdicts_[index];
    if (verdict.kind == Verdict::Kind::tee)
        pass_tees(index, runtime);
    if (packets_[index].passage.entry == packet::Entry::ip)
        return act_on_routed(index, runtime);
    const std::uint16_t port = packets_[index].passage.receive_interface;
    rte_mbuf* mbuf = mbufs_[index];
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            if (verdict.rule_number == 0 && packets_[index].headers.ip_version == 0)
                contract::add(spec_.counters->non_ip, 1);
            forward(index, port);
            break;
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
            reply(index);
            drop(mbuf, port, verdict.reason);
            break;
        case Verdict::Kind::divert:
            if (const DropReason lost = give_to_program(index, runtime); lost != DropReason::none)
                drop(mbuf, port, lost);
            else
                rte_pktmbuf_free(mbuf);
            break;
        case Verdict::Kind::fwd:
            drop(mbuf, port, DropReason::unsupported_on_bridge);
            break;
        case Verdict::Kind::reass:
            reassemble(index, runtime);
            break;
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            drop(mbuf, port, verdict.reason);
            break;
    }
}

void Worker::forward(unsigned index, std::uint16_t port) {
    rte_mbuf* mbuf = mbufs_[index];
    if (marks_[index].changes_headers() &&
        !forward::rewrite({rte_pktmbuf_mtod(mbuf, std::byte*), mbuf->data_len},
                          packets_[index].headers, marks_[index])) {
        drop(mbuf, port, DropReason::cannot_rewrite);
        return;
    }
    if (spec_.ports[port].role == WorkerPort::Role::bridge)
        return learning_bridge_.forward(mbuf, port, now_ms_, uptime_s_);
    const std::uint16_t peer = spec_.ports[port].peer;
    if (!sender_->link_up(peer)) {
        drop(mbuf, port, DropReason::port_down);
        return;
    }
    sender_->forward(mbuf, peer);
}

// Keeps the fragment. The datagram that it completes, in memory of the reassembler, or nothing.
std::span<std::byte> Worker::reassembled(unsigned index, std::uint16_t port) {
    rte_mbuf* mbuf = mbufs_[index];
    packet::Packet& packet = packets_[index];
    program::PacketMarks& marks = marks_[index];
    // Changes so far are those of the fragment.
    if (marks.changes_headers() &&
        !forward::rewrite({rte_pktmbuf_mtod(mbuf, std::byte*), mbuf->data_len}, packet.headers,
                          marks)) {
        drop(mbuf, port, DropReason::cannot_rewrite);
        return {};
    }
    marks.forget_changes();
    const packet::Reassembler::Outcome outcome = reassembler_.add(packet);
    if (outcome.given_up != 0)
        contract::add(spec_.counters->drops[static_cast<std::size_t>(outcome.reason)],
                      outcome.given_up);
    if (outcome.refused != DropReason::none) {
        drop(mbuf, port, outcome.refused);
        return {};
    }
    rte_pktmbuf_free(mbuf);
    contract::add(spec_.counters->fragments_kept, 1);
    if (!outcome.frame.empty())
        contract::add(spec_.counters->datagrams_reassembled, 1);
    return outcome.frame;
}

void Worker::reassemble(unsigned index, const program::Runtime& runtime) {
    packet::Packet& packet = packets_[index];
    program::PacketMarks& marks = marks_[index];
    const std::uint16_t port = packet.passage.receive_interface;
    const std::span<std::byte> frame = reassembled(index, port);
    if (frame.empty())
        return;
    packet.malformed = packet::parse_frame(frame, runtime.parser_settings(), packet.headers);
    if (packet.malformed != DropReason::none)
        return count_drop(port, packet.malformed);
    Verdict& verdict = verdicts_[index];
    verdict = engine_.resume(runtime, packet, verdict, marks);
    pass_tees(index, runtime, frame);
    act_on_whole(index, runtime, frame);
}

void Worker::act_on_whole(unsigned index, const program::Runtime& runtime,
                          std::span<std::byte> frame) {
    const std::uint16_t port = packets_[index].passage.receive_interface;
    const Verdict& verdict = verdicts_[index];
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            return send_whole(index, frame, port);
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
            reply(index);
            return count_drop(port, verdict.reason);
        case Verdict::Kind::divert:
            if (const DropReason lost = give_to_program(index, runtime, frame);
                lost != DropReason::none)
                count_drop(port, lost);
            return;
        case Verdict::Kind::fwd:
            return count_drop(port, DropReason::unsupported_on_bridge);
        case Verdict::Kind::reass:
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            return count_drop(port, verdict.reason);
    }
}

void Worker::send_whole(unsigned index, std::span<std::byte> frame, std::uint16_t port) {
    const packet::Headers& headers = packets_[index].headers;
    const std::uint16_t peer = spec_.ports[port].peer;
    if (!sender_->link_up(peer))
        return count_drop(port, DropReason::port_down);
    if (marks_[index].changes_headers() && !forward::rewrite(frame, headers, marks_[index]))
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

void Worker::reply(unsigned index) {
    const packet::Packet& packet = packets_[index];
    sender_->answer(
        {.packet = packet, .port = packet.passage.receive_interface, .now_ms = now_ms_, .own = {}},
        verdicts_[index]);
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
    if (from.role == WorkerPort::Role::gateway) {
        sent = router_->send_made(runtime, frame, interfaces[near].port, now_ms_);
    } else if (from.role == WorkerPort::Role::bridge) {
        sent = learning_bridge_.send_to_station(frame, near, uptime_s_);
    } else {
        const std::uint16_t port = keepalive.to_initiator ? near : from.peer;
        sent = sender_->link_up(port) && sender_->send_copy(frame, port);
    }
    if (sent)
        contract::add(spec_.counters->keepalives_sent, 1);
}

bool Worker::kill_as_ordered(const program::Runtime* runtime) {
    if (spec_.kill_order == nullptr)
        return false;
    KillOrder& order = *spec_.kill_order;
    const std::uint64_t given = order.given.load(std::memory_order_acquire);
    if (given == orders_done_)
        return false;
    if (runtime != nullptr) {
        const auto killed = engine_.kill_states(*runtime, order.filter, uptime_s_, kill_from_);
        order.killed += killed.states;
        kill_from_ = killed.next;
        if (!killed.done)
            return true;
    }
    kill_from_ = 0;
    orders_done_ = given;
    order.done.store(given, std::memory_order_release);
    return false;
}

}  // namespace sluice::worker
