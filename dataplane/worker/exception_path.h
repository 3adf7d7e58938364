// The way between the workers and the kernel of this machine: what a gateway does not forward by
// itself goes up to the kernel through the twin of its port, what the kernel sends comes down.
//
// A thread of its own moves the frames between the twins' descriptors and rings of the workers,
// because reading and writing are system calls, which a worker does not make. Frames for the
// kernel wait in a ring for each worker, and are dropped when it is full; frames from it wait in
// the kernel until there is room in a ring, so that its own queue is what fills, and drops.
//
// A frame may carry an order to give it to a certain socket (host/local_delivery.h). The order
// waits in the headroom of the frame's buffer and is written behind the frame.
//
// A twin that the kernel has lost (`ip link delete`) is made again within a second.
//
// While rules ask for the owners of sockets, the thread asks the kernel for them (SocketWatch): for
// a packet's before a worker gets it, so that no worker waits.
//
// Threads: `open`, `start`, `stop`, `set_link`, `watch_sockets` and `leave_sockets` belong to the
// main thread; `give`, `wake` and `take` to the worker whose number they are given.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "common/result.h"
#include "dataplane/host/delivery_order.h"
#include "dataplane/host/local_delivery.h"
#include "dataplane/host/socket_watch.h"
#include "dataplane/host/twin.h"
#include "dataplane/sockets/owners.h"
#include "dataplane/worker/bell.h"
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
                                                       unsigned workers,
                                                       std::uint64_t seed_of_owners);
    ExceptionPath(const ExceptionPath&) = delete;
    // No worker runs any more.
    ~ExceptionPath();

    void start();
    void stop();

    // Frame for the kernel, as if it had come in by the port. False: there is no room, and the
    // caller keeps the frame. Frames to groups leave half of the room to others, so that a storm
    // of them does not cut the machine off.
    bool give(unsigned worker, std::uint16_t port, rte_mbuf* frame);
    // The same for a frame that a certain socket shall have.
    // REQUIRES: delivers_to_sockets(), the frame's destination is kToSocket, and there is headroom
    // for the order.
    bool give_to_socket(unsigned worker, std::uint16_t port, rte_mbuf* frame,
                        const host::DeliveryOrder& order);
    // Whether the kernel can do that. Does not change while workers run.
    bool delivers_to_sockets() const { return delivery_.has_value(); }
    // To be called after frames were given, once in a turn. Makes a system call only if the thread
    // sleeps, which it does not while it has work.
    void wake();
    // Frames that the kernel wants to send; `frame->port` is the index of the port.
    unsigned take(unsigned worker, std::span<rte_mbuf*> frames);

    void set_link(std::uint16_t port, bool up);

    // Kept true from now on; waits a moment until what there is now is known.
    void watch_sockets();
    void leave_sockets();
    const sockets::Owners& owners() const { return owners_; }

  private:
    struct Place {
        TwinOfPort of;
        std::unique_ptr<host::Twin> twin;  // null: lost
        host::LinkIndex link = 0;
        std::atomic<bool> link_up = false;
        bool carrier = true;  // as the kernel was told
        std::uint64_t try_again_ms = 0;
    };

    ExceptionPath(std::vector<TwinOfPort> twins, unsigned workers, Mempool pool, Bell bell,
                  std::uint64_t seed_of_owners);

    void prepare_delivery();
    void run();
    unsigned move_up();
    unsigned move_down();
    unsigned read_from(Place& place, PacketRing& ring);
    void write_to(Place& place, rte_mbuf* frame);
    void look_after_twins();
    void put(Place& place, host::Twin twin);
    void look_at_sender(const Place& place, std::span<const std::byte> frame);
    // True: there is more to do at once.
    bool look_after_sockets();
    void sleep();
    // Nothing more can be read for a port now.
    bool is_full(std::size_t place) const;

    std::vector<std::unique_ptr<Place>> places_;
    std::vector<std::uint8_t> place_of_port_;
    std::optional<host::LocalDelivery> delivery_;
    Mempool pool_;
    Bell bell_;
    std::vector<PacketRing> up_;     // by worker
    std::vector<PacketRing> down_;   // by worker
    std::vector<std::byte> linear_;  // where frames of several buffers are put together
    sockets::Owners owners_;
    std::unique_ptr<host::SocketWatch> watch_;
    std::atomic<bool> sockets_wanted_ = false;
    std::atomic<bool> sockets_known_ = false;  // while they are wanted
    bool watching_ = false;
    bool out_of_buffers_ = false;  // when it read last
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace sluice::worker
