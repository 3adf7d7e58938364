#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "dataplane/forward/reply.h"
#include "dataplane/packet/parser.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using program::Verdict;

// The longest IP packet and the longest header in front of it. What a frame has beyond is padding
// to the engine.
constexpr std::uint32_t kLongestFrame = 14 + 4 * 4 + 65535;

// The coarse clock is read without a system call on every machine; its step is a few milliseconds.
std::uint64_t wall_clock_ms() {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace

// Where frames that lie in several buffers are put together, one place for each packet of a burst.
// Pages that are never used cost nothing.
struct Worker::Scratch {
    explicit Scratch(unsigned burst) : frames(new std::byte[std::size_t{burst} * kLongestFrame]) {}

    std::unique_ptr<std::byte[]> frames;
    std::byte reply[forward::kMaximumReply];
};

Worker::Worker(const WorkerSpec& spec)
    : spec_(spec),
      engine_(spec.outputs, spec.seed),
      budget_(spec.reply_rate, spec.reply_burst),
      mbufs_(spec.burst),
      packets_(spec.burst),
      verdicts_(spec.burst),
      scratch_(new Scratch(spec.burst)) {
    transmit_.reserve(spec.ports.size());
    for (std::size_t i = 0; i < spec.ports.size(); ++i)
        transmit_.emplace_back(spec.ports[i].device, static_cast<std::uint16_t>(spec.id),
                               *spec.counters, spec.counters->ports[i],
                               spec.counters->ports[spec.ports[i].peer]);
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
        if (received != 0 || !spec_.sleeps) {
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
    unsigned total = 0;
    for (const ReceiveQueue& queue : spec_.queues) {
        const unsigned count =
            rte_eth_rx_burst(spec_.ports[queue.port].device, queue.queue, mbufs_.data(),
                             static_cast<std::uint16_t>(spec_.burst));
        if (count == 0)
            continue;
        receive(queue, count, runtime);
        total += count;
    }
    for (TransmitBuffer& buffer : transmit_)
        buffer.flush();
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
        drop_all(queue, count, DropReason::no_ruleset);
        return;
    }
    for (unsigned i = 0; i < count; ++i)
        parse(i, queue, *runtime);
    engine_.filter(*runtime, std::span(packets_).first(count), verdicts_);
    for (unsigned i = 0; i < count; ++i)
        act(i, queue, *runtime);
}

// The frame in one piece. The engine reads headers anywhere in it.
std::span<const std::byte> Worker::frame_of(unsigned index) {
    rte_mbuf* mbuf = mbufs_[index];
    if (mbuf->nb_segs == 1 || rte_pktmbuf_linearize(mbuf) == 0)
        return {rte_pktmbuf_mtod(mbuf, const std::byte*), mbuf->data_len};
    const std::uint32_t length = std::min(mbuf->pkt_len, kLongestFrame);
    std::byte* place = scratch_->frames.get() + std::size_t{index} * kLongestFrame;
    const void* bytes = rte_pktmbuf_read(mbuf, 0, length, place);
    return {static_cast<const std::byte*>(bytes), length};
}

void Worker::parse(unsigned index, const ReceiveQueue& queue, const program::Runtime& runtime) {
    // Some drivers take a VLAN tag out of the frame without having been asked to.
    if ((mbufs_[index]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0)
        rte_vlan_insert(&mbufs_[index]);
    packet::Packet& packet = packets_[index];
    packet.malformed =
        packet::parse_frame(frame_of(index), runtime.parser_settings(), packet.headers);
    packet.passage = {.direction = packet::Direction::in,
                      .entry = packet::Entry::bridge,
                      .receive_interface = queue.port,
                      .transmit_interface = packet::kNoInterface};
    packet.sequence = sequence_++;
    packet.now_ms = now_ms_;
}

void Worker::act(unsigned index, const ReceiveQueue& queue, const program::Runtime& runtime) {
    Verdict& verdict = verdicts_[index];
    // The copy of a tee has no listener yet; the packet goes on behind the rule.
    while (verdict.kind == Verdict::Kind::tee)
        verdict = engine_.resume(runtime, packets_[index], verdict);
    rte_mbuf* mbuf = mbufs_[index];
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            if (verdict.rule_number == 0 && packets_[index].headers.ip_version == 0)
                contract::add(spec_.counters->non_ip, 1);
            forward(mbuf, queue);
            break;
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
            reply(index, queue);
            drop(mbuf, queue, verdict.reason);
            break;
        case Verdict::Kind::divert:
            drop(mbuf, queue, DropReason::divert_without_listener);
            break;
        case Verdict::Kind::fwd:
            drop(mbuf, queue, DropReason::unsupported_on_bridge);
            break;
        case Verdict::Kind::tee:
        case Verdict::Kind::deny:
            drop(mbuf, queue, verdict.reason);
            break;
    }
}

void Worker::forward(rte_mbuf* mbuf, const ReceiveQueue& queue) {
    const std::uint16_t peer = spec_.ports[queue.port].peer;
    if (!spec_.ports[peer].link_up->load(std::memory_order_relaxed)) {
        drop(mbuf, queue, DropReason::port_down);
        return;
    }
    // Not every driver names the port in the packet, and the transmit buffer asks whether there is
    // one.
    mbuf->port = spec_.ports[queue.port].device;
    transmit_[peer].push(mbuf);
}

void Worker::drop(rte_mbuf* mbuf, const ReceiveQueue& queue, DropReason reason) {
    rte_pktmbuf_free(mbuf);
    contract::add(spec_.counters->ports[queue.port].dropped_packets, 1);
    if (reason != DropReason::none)
        contract::add(spec_.counters->drops[static_cast<std::size_t>(reason)], 1);
}

void Worker::drop_all(const ReceiveQueue& queue, unsigned count, DropReason reason) {
    rte_pktmbuf_free_bulk(mbufs_.data(), count);
    contract::add(spec_.counters->ports[queue.port].dropped_packets, count);
    contract::add(spec_.counters->drops[static_cast<std::size_t>(reason)], count);
}

void Worker::reply(unsigned index, const ReceiveQueue& queue) {
    const std::size_t length =
        forward::build_reply(packets_[index], verdicts_[index], scratch_->reply);
    if (length == 0)
        return;
    rte_mbuf* mbuf =
        budget_.take(now_ms_) ? rte_pktmbuf_alloc(spec_.ports[queue.port].pool) : nullptr;
    char* room =
        mbuf == nullptr ? nullptr : rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(length));
    if (room == nullptr) {
        rte_pktmbuf_free(mbuf);
        contract::add(spec_.counters->replies_limited, 1);
        return;
    }
    std::memcpy(room, scratch_->reply, length);
    contract::add(spec_.counters->replies_sent, 1);
    transmit_[queue.port].push(mbuf);
}

}  // namespace sluice::worker
