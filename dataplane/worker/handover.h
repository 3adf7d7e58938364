// Queues between workers: a packet that comes to a worker which does not own its flow goes through
// one to the worker that does (state::OwnerHash says which).
//
// One ring for each ordered pair of workers. What a worker finds in its rings it judges and sends,
// and never hands over again: so waiting for room in a ring cannot go round in a circle (Outbox).
//
// Threads: a ring has one producer, the worker that the packet came to, and one consumer, its
// owner. Made before the workers start; what still lies in the rings when they have stopped is
// freed with them, so the pools of packets must live longer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/worker/packet_ring.h"

struct rte_mbuf;
struct rte_ring;

namespace sluice::worker {

class Handover {
  public:
    // `capacity`: packets that wait between two workers at most.
    Handover(unsigned workers, unsigned capacity);
    Handover(Handover&&) noexcept;
    Handover& operator=(Handover&&) noexcept;
    // No worker runs any more.
    ~Handover();

    unsigned workers() const { return workers_; }

    // REQUIRES: from != to, both below workers().
    rte_ring* ring(unsigned from, unsigned to) const { return rings_[from * workers_ + to]->get(); }

  private:
    unsigned workers_;
    std::vector<std::optional<PacketRing>> rings_;
};

// What a worker has for one of the others: packets of the burst that it is at, and the ring that
// they go into.
//
// A worker does not take more from its ports than the rings have room for: what waits then waits in
// the receive queues of the ports, in order, and nothing is lost between workers while the owner is
// only late. An owner that makes no room for `patience` is not waited for any longer, so that one
// worker that stands still does not stop the others; its packets are lost until it moves again.
//
// Threads: the worker that hands over.
class Outbox {
  public:
    // Without a ring nothing is ever put in.
    Outbox(rte_ring* ring, unsigned burst, std::uint64_t patience_cycles);

    void push(rte_mbuf* packet) { packets_.push_back(packet); }

    // Whether a burst may be received that could go here as a whole.
    bool may_receive() {
        if (room_ >= burst_) {
            waits_ = false;
            return true;
        }
        return ring_ == nullptr || look_again();
    }

    // Gives the packets to the owner and returns how many: all, unless it is not waited for. Calls
    // `refused` with each of the rest.
    template <typename Refused>
    unsigned hand_over(Refused refused) {
        const unsigned given = enqueue();
        for (std::size_t i = given; i < packets_.size(); ++i)
            refused(packets_[i]);
        packets_.clear();
        return given;
    }
    bool empty() const { return packets_.empty(); }

  private:
    bool look_again();
    unsigned enqueue();

    rte_ring* ring_;
    unsigned burst_;
    std::uint64_t patience_cycles_;
    std::vector<rte_mbuf*> packets_;
    unsigned room_ = 0;  // at least so much: the owner makes more
    bool waits_ = false;
    std::uint64_t waits_since_ = 0;
};

}  // namespace sluice::worker
