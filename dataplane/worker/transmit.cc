#include "dataplane/worker/transmit.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

namespace sluice::worker {

void TransmitBuffer::push(rte_mbuf* packet) {
    packets_[count_++] = packet;
    bytes_ += packet->pkt_len;
    if (count_ == kCapacity)
        flush();
}

void TransmitBuffer::flush() {
    if (count_ == 0)
        return;
    std::uint64_t bytes = bytes_;
    unsigned sent = 0;
    for (unsigned attempt = 0; attempt < kAttempts && sent < count_; ++attempt)
        sent += rte_eth_tx_burst(port_, queue_, packets_ + sent,
                                 static_cast<std::uint16_t>(count_ - sent));
    unsigned forwarded = 0;
    for (unsigned i = sent; i < count_; ++i) {
        bytes -= packets_[i]->pkt_len;
        // Packets of our own making have no port that they came in by.
        forwarded += packets_[i]->port != RTE_MBUF_PORT_INVALID;
        rte_pktmbuf_free(packets_[i]);
    }
    contract::add(sent_by_->sent_packets, sent);
    contract::add(sent_by_->sent_bytes, bytes);
    if (sent < count_) {
        constexpr auto kReason = static_cast<std::size_t>(contract::DropReason::transmit_full);
        contract::add(counters_->drops[kReason], count_ - sent);
        contract::add(received_from_->dropped_packets, forwarded);
    }
    count_ = 0;
    bytes_ = 0;
}

}  // namespace sluice::worker
