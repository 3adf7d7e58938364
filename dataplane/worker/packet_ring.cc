#include "dataplane/worker/packet_ring.h"

#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdlib>

namespace sluice::worker {

void PacketRing::Free::operator()(rte_ring* ring) const {
    void* packet = nullptr;
    while (rte_ring_sc_dequeue(ring, &packet) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    std::free(ring);
}

PacketRing::PacketRing(const char* name, unsigned capacity) {
    // A ring has a power of two of places, one of which stays empty.
    const auto size = static_cast<std::size_t>(rte_ring_get_memsize(rte_align32pow2(capacity + 1)));
    ring_.reset(static_cast<rte_ring*>(
        std::aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE))));
    if (ring_ == nullptr || rte_ring_init(ring_.get(), name, capacity,
                                          RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0)
        std::abort();  // some KB: out of memory before anything runs
}

unsigned PacketRing::push(std::span<rte_mbuf*> packets) {
    return rte_ring_sp_enqueue_burst(ring_.get(), reinterpret_cast<void**>(packets.data()),
                                     static_cast<unsigned>(packets.size()), nullptr);
}

unsigned PacketRing::room() const {
    return rte_ring_free_count(ring_.get());
}

unsigned PacketRing::pop(std::span<rte_mbuf*> packets) {
    return rte_ring_sc_dequeue_burst(ring_.get(), reinterpret_cast<void**>(packets.data()),
                                     static_cast<unsigned>(packets.size()), nullptr);
}

bool PacketRing::empty() const {
    return rte_ring_empty(ring_.get()) != 0;
}

}  // namespace sluice::worker
