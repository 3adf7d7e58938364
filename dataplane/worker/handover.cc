#include "dataplane/worker/handover.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdlib>

namespace sluice::worker {

namespace {

// A ring of DPDK has a power of two of places, one of which stays empty.
constexpr unsigned kPlaces = Handover::kCapacity + 1;

rte_ring* make_ring() {
    const auto size = static_cast<std::size_t>(rte_ring_get_memsize(kPlaces));
    const std::size_t rounded =
        (size + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
    auto* ring = static_cast<rte_ring*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, rounded));
    if (ring == nullptr ||
        rte_ring_init(ring, "handover", kPlaces, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        std::abort();  // 4 KB: out of memory before anything runs
    return ring;
}

}  // namespace

void Handover::FreeRing::operator()(rte_ring* ring) const {
    void* packet = nullptr;
    while (rte_ring_sc_dequeue(ring, &packet) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    std::free(ring);
}

Handover::Handover(unsigned workers)
    : workers_(workers), rings_(workers < 2 ? 0 : std::size_t{workers} * workers) {
    for (std::size_t i = 0; i < rings_.size(); ++i)
        if (i / workers != i % workers)
            rings_[i].reset(make_ring());
}

Handover::Handover(Handover&&) noexcept = default;
Handover& Handover::operator=(Handover&&) noexcept = default;
Handover::~Handover() = default;

}  // namespace sluice::worker
