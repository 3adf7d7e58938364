// Queues between workers: a packet that comes to a worker which does not own its flow goes through
// one to the worker that does (state::OwnerHash says which).
//
// One ring for each ordered pair of workers. Threads: a ring has one producer, the worker that the
// packet came to, and one consumer, its owner. Made before the workers start; what still lies in
// the rings when they have stopped is freed with them, so the pools of packets must live longer.
#pragma once

#include <memory>
#include <vector>

struct rte_mbuf;
struct rte_ring;

namespace sluice::worker {

class Handover {
  public:
    // Packets that wait between two workers at most.
    static constexpr unsigned kCapacity = 511;

    explicit Handover(unsigned workers);
    Handover(Handover&&) noexcept;
    Handover& operator=(Handover&&) noexcept;
    // No worker runs any more.
    ~Handover();

    unsigned workers() const { return workers_; }

    // REQUIRES: from != to, both below workers().
    rte_ring* ring(unsigned from, unsigned to) const { return rings_[from * workers_ + to].get(); }

  private:
    struct FreeRing {
        void operator()(rte_ring* ring) const;
    };

    unsigned workers_;
    std::vector<std::unique_ptr<rte_ring, FreeRing>> rings_;
};

}  // namespace sluice::worker
