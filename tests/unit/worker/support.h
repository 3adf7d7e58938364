// Ports made of rings, packets made of bytes and rulesets made of text, for tests without a
// network.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/program/runtime.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

namespace sluice::worker {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes a, const Bytes& b);
Bytes be16(unsigned value);

// Frames between two hosts, 10.0.0.1 and 10.0.0.2.
Bytes udp_frame(unsigned destination_port, std::size_t payload = 20);
Bytes tcp_syn_frame(unsigned destination_port);
Bytes arp_frame();

// The rules as `ipfw add` takes them; rule 65535 denies.
std::vector<std::byte> image_of(const std::vector<std::string>& rules,
                                std::uint64_t generation = 1);
std::unique_ptr<const program::Runtime> runtime_of(const std::vector<std::string>& rules,
                                                   std::uint64_t generation = 1);

inline constexpr std::uint32_t kTestSlots = 1024;

// A port whose receive and transmit sides are rings that the test holds. Alive until the process
// ends, as DPDK keeps devices.
class RingPort {
  public:
    explicit RingPort(unsigned queues = 1, unsigned transmit_size = 1024);

    const std::string& device() const { return device_; }

    void receive(rte_mbuf* packet, unsigned queue = 0);
    void receive(const Bytes& frame, unsigned queue = 0);
    // The next packet that was sent; empty if there is none.
    Bytes sent(unsigned queue = 0);
    std::size_t sent_count(unsigned queue = 0) const;
    void forget_sent();

  private:
    std::string device_;
    std::vector<rte_ring*> receive_;
    std::vector<rte_ring*> transmit_;
};

// Packets that the test makes.
rte_mempool* test_pool();
rte_mbuf* make_packet(const Bytes& frame);
// The same in pieces of at most `piece` bytes.
rte_mbuf* make_chain(const Bytes& frame, std::size_t piece);
// Packets of the pool that are out somewhere.
unsigned packets_in_use();

}  // namespace sluice::worker
