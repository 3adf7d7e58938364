// What a worker sends and what it drops: the transmit buffers of all ports, frames of its own
// making within their budget, and the counters of both.
//
// Threads: one worker. No allocation but of packet buffers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/contract/counters.h"
#include "dataplane/forward/reply.h"
#include "dataplane/forward/token_bucket.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/engine.h"
#include "dataplane/worker/transmit.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::worker {

class StationTable;

// The longest IP packet and the longest header in front of it. What a frame has beyond is padding
// to the engine.
inline constexpr std::uint32_t kLongestFrame = 14 + 4 * 4 + 65535;

// A port as a worker needs it; its place in the list is the index that the engine sees.
struct WorkerPort {
    enum class Role : std::uint8_t { pair, bridge, gateway };

    std::uint16_t device = 0;  // DPDK's number
    Role role = Role::pair;
    std::uint16_t peer = 0;            // index, of a pair
    StationTable* stations = nullptr;  // of its bridge
    std::uint32_t bridge_ports = 0;    // bit i: port i belongs to the same bridge
    rte_mempool* pool = nullptr;
    const std::atomic<bool>* link_up = nullptr;  // writer: the main thread
    unsigned mtu = 1500;                         // of IP packets that we make
    bool spreads_by_owner = false;  // the port's hash should bring packets to their owners
};

class Sender {
  public:
    // Where an answer goes. `own`: the address that ICMP errors come from; see build_reply.
    struct Asker {
        const packet::Packet& packet;
        std::uint16_t port = 0;  // out of which
        std::uint64_t now_ms = 0;
        std::optional<Ipv6> own;
    };

    Sender(std::span<const WorkerPort> ports, std::uint16_t queue,
           contract::WorkerCounters& counters, forward::TokenBucket budget);

    const std::atomic<bool>& link(std::uint16_t port) const { return *ports_[port].link_up; }
    bool link_up(std::uint16_t port) const { return link(port).load(std::memory_order_relaxed); }

    // Takes the packet over. It is forwarded, having come in by a port; or it is one of our own.
    void forward(rte_mbuf* packet, std::uint16_t port) { transmit_[port].push(packet); }
    void forward(std::span<rte_mbuf* const> packets, std::uint16_t port, std::uint64_t bytes) {
        transmit_[port].push(packets, bytes);
    }
    void send_own(rte_mbuf* packet, std::uint16_t port);
    // Sends a copy of a frame that lies in no buffer. False: there is no buffer.
    bool send_copy(std::span<const std::byte> frame, std::uint16_t port);
    // A buffer, or a chain of buffers, with these bytes. Null: there is none.
    rte_mbuf* copy(std::span<const std::byte> frame, std::uint16_t port);

    // Frees the packet and counts why; `port` is the one that it came in by.
    void drop(rte_mbuf* packet, std::uint16_t port, contract::DropReason reason);
    void count_drop(std::uint16_t port, contract::DropReason reason);
    // The same for what came from no port.
    void drop_own(rte_mbuf* packet, contract::DropReason reason);

    // Answers as a verdict or a router wants it. False: there is nothing to say, or no budget.
    bool answer(const Asker& asker, const program::Verdict& verdict);
    bool tell(const Asker& asker, forward::Obstacle obstacle, std::uint16_t mtu);
    // The same, without sending: the frame, empty if there is none. Valid until the next answer.
    std::span<const std::byte> make_answer(const Asker& asker, const program::Verdict& verdict);

    // Everything that waits leaves.
    void flush();

  private:
    bool send_answer(std::span<const std::byte> frame, const Asker& asker);
    bool within_budget(std::span<const std::byte> frame, std::uint64_t now_ms);

    std::span<const WorkerPort> ports_;
    contract::WorkerCounters& counters_;
    forward::TokenBucket budget_;
    std::vector<TransmitBuffer> transmit_;  // by port
    std::byte answer_[forward::kMaximumReply];
};

}  // namespace sluice::worker
