// A queue of packets from one thread to another; move-only. What still lies in it when it goes is
// freed, so the pools of the packets must live longer.
#pragma once

#include <memory>
#include <span>

struct rte_mbuf;
struct rte_ring;

namespace sluice::worker {

class PacketRing {
  public:
    // `name` is for DPDK's debugging only.
    PacketRing(const char* name, unsigned capacity);

    rte_ring* get() const { return ring_.get(); }

    // The producer. Returns how many there was room for, the first ones.
    unsigned push(std::span<rte_mbuf*> packets);
    unsigned room() const;
    // The consumer.
    unsigned pop(std::span<rte_mbuf*> packets);
    bool empty() const;

  private:
    struct Free {
        void operator()(rte_ring* ring) const;
    };

    std::unique_ptr<rte_ring, Free> ring_;
};

}  // namespace sluice::worker
