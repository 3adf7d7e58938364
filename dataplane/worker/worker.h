// One polling thread: takes bursts from its receive queues, has the engine judge them, and carries
// the verdicts out.
//
// Stages of a burst: receive, prefetch, parse, filter, act. All packets of a burst see one ruleset.
// Accepted packets leave by the peer of the port that they came in by; answers (reject, unreach,
// reset) leave by the port itself, within the budget of the worker. Everything is sent before the
// next turn of the loop, nothing waits for company.
//
// No assumption is made on which packets of a flow a worker sees.
//
// Threads: everything in here belongs to the thread that calls `run`, but `Control`, which the main
// thread writes. No allocation, lock or log call after construction; the only system call is the
// sleep of a worker that has nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/contract/counters.h"
#include "dataplane/forward/token_bucket.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/engine.h"
#include "dataplane/worker/active_runtime.h"
#include "dataplane/worker/transmit.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::worker {

// A port as a worker needs it; its place in the list is the index that the engine sees.
struct WorkerPort {
    std::uint16_t device = 0;  // DPDK's number
    std::uint16_t peer = 0;    // index
    rte_mempool* pool = nullptr;
    const std::atomic<bool>* link_up = nullptr;  // writer: the main thread
};

struct ReceiveQueue {
    std::uint16_t port = 0;  // index
    std::uint16_t queue = 0;
};

struct WorkerSpec {
    unsigned id = 0;  // also the number of its transmit queue on every port
    std::vector<WorkerPort> ports;
    std::vector<ReceiveQueue> queues;
    unsigned burst = 32;
    bool sleeps = false;  // back off while nothing arrives
    unsigned max_sleep_us = 500;
    std::uint64_t reply_rate = 200;  // of this worker, per second
    std::uint64_t reply_burst = 200;
    std::uint64_t seed = 0;
    contract::WorkerCounters* counters = nullptr;
    program::EngineOutputs outputs;
};

struct Control {
    ActiveRuntime* runtime = nullptr;
    std::atomic<bool> stop = false;
};

class Worker {
  public:
    // Polls without a packet before a worker begins to sleep, and its first sleep; each further one
    // is twice as long.
    static constexpr unsigned kPatience = 64;
    static constexpr unsigned kFirstSleepUs = 8;

    explicit Worker(const WorkerSpec& spec);
    Worker(Worker&&) noexcept;
    ~Worker();

    // Returns when `control.stop` is set.
    void run(Control& control);

    // One turn of the loop: every receive queue once. Returns the number of packets received.
    // `runtime` may be null: then everything is dropped.
    unsigned turn(const program::Runtime* runtime);

  private:
    struct Scratch;

    void receive(const ReceiveQueue& queue, unsigned count, const program::Runtime* runtime);
    void parse(unsigned index, const ReceiveQueue& queue, const program::Runtime& runtime);
    std::span<const std::byte> frame_of(unsigned index);
    void act(unsigned index, const ReceiveQueue& queue, const program::Runtime& runtime);
    void forward(rte_mbuf* mbuf, const ReceiveQueue& queue);
    void drop(rte_mbuf* mbuf, const ReceiveQueue& queue, contract::DropReason reason);
    void reply(unsigned index, const ReceiveQueue& queue);
    void drop_all(const ReceiveQueue& queue, unsigned count, contract::DropReason reason);

    WorkerSpec spec_;
    program::Engine engine_;
    forward::TokenBucket budget_;
    std::vector<TransmitBuffer> transmit_;  // by port
    std::vector<rte_mbuf*> mbufs_;          // of the burst
    std::vector<packet::Packet> packets_;
    std::vector<program::Verdict> verdicts_;
    std::unique_ptr<Scratch> scratch_;
    std::uint64_t sequence_ = 0;
    std::uint64_t now_ms_ = 0;
};

}  // namespace sluice::worker
