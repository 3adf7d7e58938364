#include "dataplane/worker/sender.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace sluice::worker {

Sender::Sender(std::span<const WorkerPort> ports, std::uint16_t queue,
               contract::WorkerCounters& counters, forward::TokenBucket budget)
    : ports_(ports), counters_(counters), budget_(budget) {
    transmit_.reserve(ports.size());
    for (std::size_t i = 0; i < ports.size(); ++i)
        transmit_.emplace_back(ports[i].device, queue, counters, counters.ports[i],
                               counters.ports[ports[i].peer]);
}

void Sender::send_own(rte_mbuf* packet, std::uint16_t port) {
    packet->port = RTE_MBUF_PORT_INVALID;
    transmit_[port].push(packet);
}

rte_mbuf* Sender::copy(std::span<const std::byte> frame, std::uint16_t port) {
    rte_mbuf* first = rte_pktmbuf_alloc(ports_[port].pool);
    for (rte_mbuf* last = first; last != nullptr;) {
        const std::size_t piece = std::min<std::size_t>(frame.size(), rte_pktmbuf_tailroom(last));
        std::memcpy(rte_pktmbuf_mtod(last, void*), frame.data(), piece);
        last->data_len = static_cast<std::uint16_t>(piece);
        first->pkt_len += static_cast<std::uint32_t>(piece);
        frame = frame.subspan(piece);
        if (frame.empty())
            return first;
        last->next = rte_pktmbuf_alloc(ports_[port].pool);
        ++first->nb_segs;
        if (last->next == nullptr)
            --first->nb_segs;
        last = last->next;
    }
    rte_pktmbuf_free(first);
    return nullptr;
}

bool Sender::send_copy(std::span<const std::byte> frame, std::uint16_t port) {
    rte_mbuf* packet = copy(frame, port);
    if (packet == nullptr)
        return false;
    send_own(packet, port);
    return true;
}

void Sender::drop(rte_mbuf* packet, std::uint16_t port, contract::DropReason reason) {
    rte_pktmbuf_free(packet);
    count_drop(port, reason);
}

void Sender::count_drop(std::uint16_t port, contract::DropReason reason) {
    contract::add(counters_.ports[port].dropped_packets, 1);
    if (reason != contract::DropReason::none)
        contract::add(counters_.drops[static_cast<std::size_t>(reason)], 1);
}

void Sender::drop_own(rte_mbuf* packet, contract::DropReason reason) {
    rte_pktmbuf_free(packet);
    if (reason != contract::DropReason::none)
        contract::add(counters_.drops[static_cast<std::size_t>(reason)], 1);
}

bool Sender::within_budget(std::span<const std::byte> frame, std::uint64_t now_ms) {
    if (frame.empty())
        return false;
    const bool within = budget_.take(now_ms);
    contract::add(within ? counters_.replies_sent : counters_.replies_limited, 1);
    return within;
}

bool Sender::send_answer(std::span<const std::byte> frame, const Asker& asker) {
    return within_budget(frame, asker.now_ms) && send_copy(frame, asker.port);
}

std::span<const std::byte> Sender::make_answer(const Asker& asker,
                                               const program::Verdict& verdict) {
    const std::span<const std::byte> frame =
        std::span(answer_).first(forward::build_reply(asker.packet, verdict, answer_, asker.own));
    return within_budget(frame, asker.now_ms) ? frame : std::span<const std::byte>{};
}

bool Sender::answer(const Asker& asker, const program::Verdict& verdict) {
    return send_answer(
        std::span(answer_).first(forward::build_reply(asker.packet, verdict, answer_, asker.own)),
        asker);
}

bool Sender::tell(const Asker& asker, forward::Obstacle obstacle, std::uint16_t mtu) {
    const std::size_t length =
        forward::build_error(asker.packet, obstacle, mtu, answer_, asker.own);
    const bool sent = send_answer(std::span(answer_).first(length), asker);
    if (sent)
        contract::add(counters_.errors_sent, 1);
    return sent;
}

void Sender::flush() {
    for (TransmitBuffer& buffer : transmit_)
        buffer.flush();
}

}  // namespace sluice::worker
