// The way between the workers and the kernel of this machine: what a gateway does not forward by
// itself goes up to the kernel through the twin of its port, what the kernel sends comes down.
//
// A thread of its own moves the frames between the twins' descriptors and rings of the workers,
// because reading and writing are system calls, which a worker does not make. Frames for the
// kernel wait in a ring for each worker, and are dropped when it is full; frames from it wait in
// the kernel until there is room in a ring, so that its own queue is what fills, and drops.
//
// A twin that the kernel has lost (`ip link delete`) is made again within a second.
//
// Threads: `open`, `start`, `stop` and `set_link` belong to the main thread; `give`, `wake` and
// `take` to the worker whose number they are given.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/host/twin.h"
#include "dataplane/worker/mempool.h"
#include "dataplane/worker/packet_ring.h"

struct rte_mbuf;

namespace sluice::worker {

class ExceptionPath {
  public:
    struct TwinOfPort {
        host::TwinSpec spec;
        std::uint16_t port = 0;  // index
    };

    // Makes all twins.
    static Result<std::unique_ptr<ExceptionPath>> open(std::vector<TwinOfPort> twins,
                                                       unsigned workers);
    ExceptionPath(const ExceptionPath&) = delete;
    // No worker runs any more.
    ~ExceptionPath();

    void start();
    void stop();

    // Frame for the kernel, as if it had come in by the port. False: there is no room, and the
    // caller keeps the frame.
    bool give(unsigned worker, std::uint16_t port, rte_mbuf* frame);
    // To be called after frames were given, once in a turn. Makes a system call only if the thread
    // sleeps, which it does not while it has work.
    void wake();
    // Frames that the kernel wants to send; `frame->port` is the index of the port.
    unsigned take(unsigned worker, std::span<rte_mbuf*> frames);

    void set_link(std::uint16_t port, bool up);

  private:
    struct Place {
        TwinOfPort of;
        std::unique_ptr<host::Twin> twin;  // null: lost
        std::atomic<bool> link_up = false;
        bool carrier = true;  // as the kernel was told
        std::uint64_t try_again_ms = 0;
    };

    ExceptionPath(std::vector<TwinOfPort> twins, unsigned workers, Mempool pool, UniqueFd bell);

    void run();
    unsigned move_up();
    unsigned move_down();
    unsigned read_from(Place& place, PacketRing& ring);
    void write_to(Place& place, rte_mbuf* frame);
    void look_after_twins();
    void sleep();

    std::vector<std::unique_ptr<Place>> places_;
    std::vector<std::uint8_t> place_of_port_;
    Mempool pool_;
    UniqueFd bell_;                  // an eventfd
    std::vector<PacketRing> up_;     // by worker
    std::vector<PacketRing> down_;   // by worker
    std::vector<std::byte> linear_;  // where frames of several buffers are put together
    std::atomic<bool> sleeps_ = false;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace sluice::worker
