#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "dataplane/packet/wire.h"
#include "dataplane/worker/scratch.h"

namespace sluice::worker {

namespace {

using contract::DropReason;

// The coarse clock is read without a system call on every machine; its step is a few milliseconds.
// What every driver that hashes at all hashes with its ports. First fragments show ports too, but
// hardware takes them for what follows, which has none.
bool should_be_spread_by_hardware(const packet::Headers& headers) {
    return !headers.is_fragment() && (headers.protocol == packet::wire::protocol::tcp ||
                                      headers.protocol == packet::wire::protocol::udp);
}

// The frame lies in one buffer, as it was on the wire.
bool is_plain(const rte_mbuf& mbuf) {
    return (mbuf.nb_segs == 1) & ((mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0);
}

}  // namespace

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
      learning_bridge_(spec_.ports, *spec.counters, *sender_, spec.flood_limit),
      mbufs_(spec.burst),
      port_of_device_(RTE_MAX_ETHPORTS),
      scratch_(new Scratch(std::min<unsigned>(spec.burst, packet::Burst::kCapacity))) {
    const unsigned workers = spec.handover == nullptr ? 0 : spec.handover->workers();
    const std::uint64_t patience =
        rte_get_timer_hz() / 1000 * std::uint64_t{spec.handover_patience_ms};
    outboxes_.reserve(workers);
    for (unsigned owner = 0; owner < workers; ++owner)
        outboxes_.emplace_back(owner == spec.id ? nullptr : spec.handover->ring(spec.id, owner),
                               spec.burst, patience);
    for (std::size_t i = 0; i < spec.ports.size(); ++i)
        port_of_device_[spec.ports[i].device] = static_cast<std::uint16_t>(i);
    engine_.populate();
    if (spec.fib == nullptr)
        return;
    router_ = std::make_unique<Router>(Router::Spec{.worker = spec.id,
                                                    .counters = spec.counters,
                                                    .fib = spec.fib,
                                                    .host = spec.host,
                                                    .solicitations = spec.solicitations,
                                                    .sender = sender_.get()});
    routed_ = std::make_unique<Routed>();
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
    has_more_to_do_ = settle_as_ordered(runtime);
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
        router_->wake_host();
    }
    if (std::exchange(gave_to_program_, false))
        spec_.divert->wake();
    sender_->flush();
    contract::add(spec_.counters->heartbeat, 1);
    contract::set(spec_.counters->generation, runtime == nullptr ? 0 : runtime->generation());
    return total;
}

void Worker::receive(const ReceiveQueue& queue, unsigned count, const program::Runtime* runtime) {
    contract::PortCounters& port = spec_.counters->ports[queue.port];
    contract::add(spec_.counters->bursts, 1);
    contract::add(port.received_packets, count);
    if (runtime == nullptr) {
        for (unsigned i = 0; i < count; ++i) {
            contract::add(port.received_bytes, mbufs_[i]->pkt_len);
            drop(mbufs_[i], queue.port, DropReason::no_ruleset);
        }
        return;
    }
    const bool has_owners =
        outboxes_.size() > 1 && (runtime->uses_states() || runtime->uses_reassembly());
    if (is_routed({.port = queue.port})) {
        contract::add(port.received_bytes,
                      receive_routed(mbufs_.data(), count, {.port = queue.port}, *runtime));
        return;
    }
    for (unsigned done = 0; done < count; done += packet::Burst::kCapacity) {
        const unsigned end = std::min<unsigned>(done + packet::Burst::kCapacity, count);
        begin_burst(mbufs_.data() + done, *runtime);
        contract::add(port.received_bytes, take(mbufs_.data() + done, end - done, queue.port));
        if (has_owners)
            keep_own({.port = queue.port}, *runtime);
        judge(*runtime);
    }
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
    if (runtime == nullptr) {
        for (unsigned i = 0; i < count; ++i)
            drop(mbufs_[i], origin_of(mbufs_[i]->port).port, DropReason::no_ruleset);
        return;
    }
    for (unsigned i = 0; i < count; ++i)
        rte_prefetch0(rte_pktmbuf_mtod(mbufs_[i], void*));
    for (unsigned done = 0; done < count; done += packet::Burst::kCapacity) {
        const unsigned end = std::min<unsigned>(done + packet::Burst::kCapacity, count);
        begin_burst(mbufs_.data() + done, *runtime);
        rte_mbuf* of_programs[packet::Burst::kCapacity];
        unsigned of_programs_count = 0;
        for (unsigned i = done; i < end; ++i) {
            const Origin origin = origin_of(mbufs_[i]->port);
            rte_mbuf* mbuf = mbufs_[i];
            if (origin.program) {
                of_programs[of_programs_count++] = mbuf;
                continue;
            }
            if (is_routed(origin) && !take_routed(mbuf, origin, *runtime))
                continue;
            if (!is_routed(origin))
                take(&mbuf, 1, origin.port);
            taken_[burst_.size() - 1] = mbuf;
        }
        judge(*runtime);
        if (of_programs_count != 0)
            judge_from_programs(of_programs, of_programs_count, *runtime);
    }
}

// Whether a burst may be received, whoever owns its flows.
bool Worker::others_have_room() {
    bool room = true;
    for (Outbox& outbox : outboxes_)
        room &= outbox.may_receive();
    return room;
}

// The next burst; its packets will be those of `mbufs`, in their order.
void Worker::begin_burst(rte_mbuf** mbufs, const program::Runtime& runtime) {
    burst_.begin({.parser_settings = runtime.parser_settings(),
                  .first_sequence = sequence_,
                  .now_ms = now_ms_,
                  .uptime_s = uptime_s_});
    judgement_.marked = 0;
    taken_ = mbufs;
    bytes_ = 0;
}

// Takes packets into the burst that came in by one port, and returns how many bytes they had.
std::uint64_t Worker::take(rte_mbuf** mbufs, unsigned count, std::uint16_t port) {
    const std::uint16_t device = spec_.ports[port].device;
    std::uint64_t bytes = 0;
    const packet::Passage passage{.direction = packet::Direction::in,
                                  .entry = packet::Entry::bridge,
                                  .receive_interface = port,
                                  .transmit_interface = packet::kNoInterface};
    burst_.add(count, passage, [&](std::size_t i) {
        rte_mbuf* mbuf = mbufs[i];
        rte_prefetch0(rte_pktmbuf_mtod(mbuf, void*));
        bytes += mbuf->pkt_len;
        // Not every driver names the port in the packet; whoever sends it or takes it over asks.
        mbuf->port = device;
        if (is_plain(*mbuf)) [[likely]]
            return packet::Burst::Frame{rte_pktmbuf_mtod(mbuf, const std::byte*), mbuf->data_len};
        return frame_of(mbufs[i], burst_.size() + i);
    });
    bytes_ += bytes;
    return bytes;
}

// A frame as it was on the wire, in one piece: the engine reads headers anywhere in it.
packet::Burst::Frame Worker::frame_of(rte_mbuf*& mbuf, std::size_t place_in_burst) {
    // Some drivers take a VLAN tag out of the frame without having been asked to.
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && rte_vlan_insert(&mbuf) == 0)
        bytes_ += sizeof(rte_vlan_hdr);
    if (mbuf->nb_segs == 1 || rte_pktmbuf_linearize(mbuf) == 0)
        return {rte_pktmbuf_mtod(mbuf, const std::byte*), mbuf->data_len};
    const std::uint32_t length = std::min(mbuf->pkt_len, kLongestFrame);
    std::byte* place = scratch_->frames.get() + place_in_burst * kLongestFrame;
    const void* bytes = rte_pktmbuf_read(mbuf, 0, length, place);
    return {static_cast<const std::byte*>(bytes), length};
}

// The worker that a packet of the burst belongs to.
unsigned Worker::owner_of(std::size_t index, const program::Runtime& runtime) {
    const auto workers = static_cast<unsigned>(outboxes_.size());
    if (burst_.is_common(index))
        return runtime.owner_of(burst_.glance(index), *spec_.owner_hash, workers);
    const packet::Packet& packet = burst_.packet(index);
    if (packet.malformed != DropReason::none || packet.headers.ip_version == 0)
        return spec_.id;
    return runtime.owner_of(packet.headers, *spec_.owner_hash, workers);
}

// Gives the packets of other workers' flows away. The rest moves together.
void Worker::keep_own(const Origin& origin, const program::Runtime& runtime) {
    const std::uint16_t port = origin.port;
    packet::Burst::Mask own = 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < burst_.size(); ++i) {
        const unsigned owner = owner_of(i, runtime);
        if (owner == spec_.id) {
            own |= packet::Burst::Mask{1} << i;
            taken_[kept++] = taken_[i];
            continue;
        }
        if (!origin.host && spec_.ports[port].spreads_by_owner && !runtime.uses_reassembly() &&
            should_be_spread_by_hardware(burst_.packet(i).headers))
            contract::add(spec_.counters->misdirected, 1);
        bytes_ -= taken_[i]->pkt_len;
        outboxes_[owner].push(taken_[i]);
    }
    if (own == burst_.all())
        return;
    burst_.keep_only(own);
    hand_over(port);
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

void Worker::judge(const program::Runtime& runtime) {
    sequence_ += burst_.size();
    ask_rules(runtime, burst_, judgement_);
    carry_out(runtime);
}

bool Worker::settle_as_ordered(const program::Runtime* runtime) {
    if (spec_.state_order == nullptr)
        return false;
    StateOrder& order = *spec_.state_order;
    const std::uint64_t given = order.given.load(std::memory_order_acquire);
    if (given == orders_done_)
        return false;
    const bool settles = order.what == StateOrder::What::settle;
    if (runtime != nullptr && (settles ? settle(*runtime, order) : kill(*runtime, order)))
        return true;
    order_next_ = 0;
    orders_done_ = given;
    order.done.store(given, std::memory_order_release);
    return false;
}

// Both do a piece of the order. True: there is more of it.
bool Worker::kill(const program::Runtime& runtime, StateOrder& order) {
    const auto killed = engine_.kill_states(runtime, order.filter, uptime_s_,
                                            static_cast<state::CellIndex>(order_next_));
    order.settled.killed += killed.states;
    order_next_ = killed.next;
    return !killed.done;
}

bool Worker::settle(const program::Runtime& runtime, StateOrder& order) {
    constexpr std::size_t kDecisionsPerTurn = 64;
    if (spec_.outputs.states == nullptr)
        return false;
    const auto left = std::span<const program::StateDecision>(order.decisions).subspan(order_next_);
    const auto now = left.first(std::min(left.size(), kDecisionsPerTurn));
    const auto settled = program::settle_states(*spec_.outputs.states, runtime, now, uptime_s_);
    order.settled.moved += settled.moved;
    order.settled.killed += settled.killed;
    order_next_ += now.size();
    return now.size() < left.size();
}

}  // namespace sluice::worker
