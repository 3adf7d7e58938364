// The way between the workers and the programs that listen on divert ports (divert(4), and
// sluice_divert.h for what they say to each other).
//
// A thread of its own reads and writes the sockets, because a worker makes no system calls. What a
// worker hands out is a copy in a buffer of the path's own, so that a slow program keeps no buffer
// from a port. It waits in a ring for each worker, then in the socket; where either is full the
// packet is lost, and counted. What comes back waits in the socket until a worker's ring has room,
// so that the program is what waits.
//
// One program for each port, which is free again as soon as that has gone. Fragments of diverted
// IPv4 packets are put together here: this thread sees those of all workers.
//
// Threads: `open`, `start` and `stop` belong to the main thread; `copy`, `give`, `wake`, `take` and
// `settle` to the worker whose number they are given; `listens` to all of them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/local_listener.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/contract/counters.h"
#include "dataplane/divert/message.h"
#include "dataplane/packet/reassembly.h"
#include "dataplane/worker/bell.h"
#include "dataplane/worker/mempool.h"
#include "dataplane/worker/packet_ring.h"

struct rte_mbuf;

namespace sluice::worker {

class DivertPath {
  public:
    static constexpr std::size_t kMaximumPrograms = 64;
    static constexpr std::uint64_t kBindWithinMs = 5000;

    static Result<std::unique_ptr<DivertPath>> open(const std::string& socket, unsigned workers);
    DivertPath(const DivertPath&) = delete;
    // No worker runs any more.
    ~DivertPath();

    void start();
    void stop();

    bool listens(std::uint16_t port) const {
        return listens_[port].load(std::memory_order_relaxed) != 0;
    }

    // The first bytes of a packet, or all of these bytes, in buffers of the path. Null: there are
    // none left.
    rte_mbuf* copy(const rte_mbuf& packet, std::uint32_t length) const;
    rte_mbuf* copy(std::span<const std::byte> frame) const;

    // What a message says about the packet, beside the buffers that it lies in: to be filled in
    // before `give`, and what the program said after `take`.
    static divert::Header& header_of(rte_mbuf& packet);

    // Hands out a frame, from its Ethernet header on, whose `port` is the interface that it came in
    // by. False: there is no room, and the caller keeps the frame.
    bool give(unsigned worker, rte_mbuf* frame);
    // To be called after frames were given, once in a turn. Makes a system call only if the thread
    // sleeps.
    void wake();
    // Packets that programs gave back, from their IP headers on.
    unsigned take(unsigned worker, std::span<rte_mbuf*> packets);
    // Counts what the thread had to drop.
    void settle(unsigned worker, contract::WorkerCounters& counters);

  private:
    struct Program {
        UniqueFd socket;
        std::uint16_t port = 0;  // 0: it has not said yet
        int process = 0;
        std::uint64_t since_ms = 0;
        bool has_been_told_off = false;
    };

    // writer: the thread, but `settled`: the worker.
    struct alignas(64) Losses {
        std::atomic<std::uint64_t> total = 0;
        std::array<std::atomic<std::uint64_t>, contract::kDropReasonCount> by_reason{};
        std::uint64_t settled_total = 0;
        std::array<std::uint64_t, contract::kDropReasonCount> settled{};
    };

    DivertPath(LocalListener listener, unsigned workers, Mempool pool, Bell bell);

    void run();
    void wait(bool busy);
    unsigned deliver();
    void deliver(unsigned worker, rte_mbuf& frame);
    std::span<const std::byte> whole(unsigned worker, std::span<const std::byte> frame,
                                     std::uint16_t interface);
    contract::DropReason send(const divert::Header& header, std::span<const std::byte> packet);
    void admit_program();
    void hear(Program& program);
    void bind(Program& program, std::span<const std::byte> message);
    void refuse(Program& program, const std::string& reason);
    void inject(Program& program, std::span<std::byte> message);
    void forget_the_gone();
    Program* program_at(std::uint16_t port);
    bool workers_have_room() const;
    void lose(unsigned worker, contract::DropReason reason, unsigned packets = 1);

    LocalListener listener_;
    Mempool pool_;
    Bell bell_;
    std::vector<PacketRing> out_;                           // by worker: to the programs
    std::vector<PacketRing> back_;                          // by worker
    std::vector<Losses> losses_;                            // by worker
    std::unique_ptr<std::atomic<std::uint8_t>[]> listens_;  // by divert port
    std::vector<Program> programs_;
    packet::Reassembler reassembler_;
    std::vector<std::byte> linear_;   // where frames of several buffers are put together
    std::vector<std::byte> message_;  // that a program has sent
    unsigned next_worker_ = 0;        // that gets a packet which nobody has handed out
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace sluice::worker
