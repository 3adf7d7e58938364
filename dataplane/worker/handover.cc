#include "dataplane/worker/handover.h"

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdlib>

namespace sluice::worker {

Handover::Handover(unsigned workers, unsigned capacity)
    : workers_(workers), rings_(workers < 2 ? 0 : std::size_t{workers} * workers) {
    for (std::size_t i = 0; i < rings_.size(); ++i)
        if (i / workers != i % workers)
            rings_[i].emplace("handover", capacity);
}

Handover::Handover(Handover&&) noexcept = default;
Handover& Handover::operator=(Handover&&) noexcept = default;
Handover::~Handover() = default;

Outbox::Outbox(rte_ring* ring, unsigned burst, std::uint64_t patience_cycles)
    : ring_(ring), burst_(burst), patience_cycles_(patience_cycles) {
    packets_.reserve(burst);
}

bool Outbox::look_again() {
    room_ = rte_ring_free_count(ring_);
    if (room_ >= burst_) {
        waits_ = false;
        return true;
    }
    const std::uint64_t now = rte_get_timer_cycles();
    if (!waits_) {
        waits_ = true;
        waits_since_ = now;
    }
    return now - waits_since_ >= patience_cycles_;
}

unsigned Outbox::enqueue() {
    return rte_ring_sp_enqueue_burst(ring_, reinterpret_cast<void**>(packets_.data()),
                                     static_cast<unsigned>(packets_.size()), &room_);
}

}  // namespace sluice::worker
