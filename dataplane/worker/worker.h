// One polling thread: takes bursts from its receive queues, has the engine judge them, and carries
// the verdicts out.
//
// Stages of a burst: receive, prefetch, parse, filter, act. All packets of a burst see one ruleset.
// Accepted packets leave by the peer of the port that they came in by; answers (reject, unreach,
// reset) leave by the port itself, within the budget of the worker. Everything is sent before the
// next turn of the loop, nothing waits for company.
//
// Fragments. What `reass` keeps is copied out of its buffer; a datagram that is whole leaves in
// buffers of its own, cut again to the MTU of the port that it leaves by.
//
// Flows. While the ruleset uses states or `reass` and there are other workers, a worker judges the
// packets of flows that it owns: what else comes to it goes to the owner through a ring
// (handover.h), and is judged there with the owner's ruleset. While a ring is full nothing is
// received. All packets of a flow that come in by one queue take the same way and stay in order,
// but for those in the rings when a reload brings the first states or the last ones go. What is not
// IP, or malformed, has no owner and stays. Without either, no assumption is made on which packets
// of a flow a worker sees.
//
// Threads: everything in here belongs to the thread that calls `run`, but `Control`, which the main
// thread writes, and the order about states, which both do in turn. No allocation, lock or log call
// after construction; the only system call is the sleep of a worker that has nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/contract/counters.h"
#include "dataplane/contract/message.h"
#include "dataplane/packet/burst.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/reassembly.h"
#include "dataplane/program/engine.h"
#include "dataplane/program/judgement.h"
#include "dataplane/state/flow_key.h"
#include "dataplane/worker/active_runtime.h"
#include "dataplane/worker/clock.h"
#include "dataplane/worker/divert_path.h"
#include "dataplane/worker/exception_path.h"
#include "dataplane/worker/handover.h"
#include "dataplane/worker/learning_bridge.h"
#include "dataplane/worker/router.h"
#include "dataplane/worker/sender.h"
#include "dataplane/worker/solicitations.h"
#include "dataplane/worker/state_orders.h"
#include "dataplane/worker/watch.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::worker {

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
    // How long a worker that takes nothing out of its ring is waited for: longer than a kernel with
    // more to do than CPUs leaves a thread without one.
    unsigned handover_patience_ms = 250;
    // These three outlive the worker. Null: it owns all flows, or is never given an order.
    const Handover* handover = nullptr;
    const state::OwnerHash* owner_hash = nullptr;
    StateOrder* state_order = nullptr;
    std::uint32_t (*uptime)() = uptime_s;  // tests have a clock of their own
    std::uint64_t flood_limit = 10'000;    // frames a second that bridges send to all their ports
    // What gateway ports need. Null where there are none.
    const route::Fib* fib = nullptr;
    ExceptionPath* host = nullptr;
    Solicitations* solicitations = nullptr;
    DivertPath* divert = nullptr;  // null: nobody can listen on divert ports
    // Null: the rules always decide. Writer: the main thread.
    const std::atomic<contract::Panic>* panic = nullptr;
    Watch* watch = nullptr;  // null: nobody can watch
};

struct Control {
    ActiveRuntime* runtime = nullptr;
    std::atomic<bool> stop = false;
    std::atomic<contract::Panic> panic = contract::Panic::off;
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

    // One turn of the loop: what other workers handed over, every receive queue once (fewer, if
    // there is no room to hand over), a piece of the housekeeping. Returns the number of packets
    // that came.
    // `runtime` may be null: then everything is dropped.
    unsigned turn(const program::Runtime* runtime);

  private:
    struct Scratch;
    struct Routed;
    class Keepalives;
    // Where a packet comes from: a port, the kernel's twin of it, or the program of a divert port.
    struct Origin {
        std::uint16_t port = 0;  // index
        bool host = false;
        bool program = false;
    };

    unsigned take_handed_over(const program::Runtime* runtime);
    void judge_handed_over(unsigned count, const program::Runtime* runtime);
    bool others_have_room();
    void receive(const ReceiveQueue& queue, unsigned count, const program::Runtime* runtime);
    void begin_burst(rte_mbuf** mbufs, const program::Runtime& runtime);
    std::uint64_t take(rte_mbuf** mbufs, unsigned count, std::uint16_t port);
    void keep_own(const Origin& origin, const program::Runtime& runtime);
    unsigned owner_of(std::size_t index, const program::Runtime& runtime);
    packet::Burst::Frame frame_of(rte_mbuf*& mbuf, std::size_t place_in_burst);
    void hand_over(std::uint16_t port);
    void judge(const program::Runtime& runtime);

    // -- panic.cc: what is decided without the rules --
    contract::Panic panic() const {
        return spec_.panic == nullptr ? contract::Panic::off
                                      : spec_.panic->load(std::memory_order_relaxed);
    }
    void ask_rules(const program::Runtime& runtime, packet::Burst& burst,
                   program::Judgement& judgement);
    program::Verdict enter(const program::Runtime& runtime, const packet::Packet& packet,
                           unsigned number, program::PacketMarks& marks);

    // -- watching.cc: what is shown to somebody who watches --
    bool is_watched() const {
        return spec_.watch != nullptr && spec_.watch->serial.load(std::memory_order_relaxed) != 0;
    }
    void show(const program::Runtime& runtime, packet::Burst& burst,
              const program::Judgement& judgement);

    // -- route_out.cc: gateway ports, and what the kernel of this machine sends --
    Origin origin_of(std::uint16_t name) const;
    std::uint16_t name_of(const Origin& origin) const;
    bool is_routed(const Origin& origin) const;
    // The way of a frame through the rules. None: it is not for them, and gone.
    std::optional<packet::Passage> admit(rte_mbuf* mbuf, const Origin& origin,
                                         const program::Runtime& runtime);
    bool take_routed(rte_mbuf*& mbuf, const Origin& origin, const program::Runtime& runtime);
    std::uint64_t receive_routed(rte_mbuf** mbufs, unsigned count, const Origin& origin,
                                 const program::Runtime& runtime);
    unsigned take_from_host(const program::Runtime* runtime);
    void carry_out_routed(const program::Runtime& runtime);
    packet::Burst::Mask plain_frames(packet::Burst::Mask packets) const;
    packet::Burst::Mask route_plainly(packet::Burst::Mask packets, const program::Runtime& runtime);
    template <typename Ip, typename PlaceAt>
    void route_together(std::size_t count, PlaceAt place_at, const classify::LocalAddresses& own);
    packet::Burst::Mask collect_plain(bool in_order);
    void act_on_routed(unsigned index, const program::Runtime& runtime);
    void act_on_outgoing(const program::Runtime& runtime);
    void act_on_special(unsigned index, const program::Runtime& runtime);
    bool add_plain(unsigned count, const Origin& origin, const program::Runtime& runtime);
    void route(rte_mbuf* mbuf, const packet::Packet& packet, program::PacketMarks* marks,
               const program::Verdict* verdict, const program::Runtime& runtime);
    void add_outgoing(rte_mbuf* mbuf, std::span<const std::byte> frame,
                      const packet::Passage& passage, const program::PacketMarks* marks,
                      const Router::Way& way);
    void refuse_routed(rte_mbuf* mbuf, const packet::Packet& packet,
                       const program::Verdict& verdict, const program::Runtime& runtime);
    // Keeps a fragment. The buffer of the datagram that it completes, which `whole_` describes as
    // it lies in `place` of the frames of Routed.
    rte_mbuf* reassemble_routed(rte_mbuf* mbuf, const packet::Packet& packet,
                                program::Verdict& verdict, program::PacketMarks& marks,
                                std::size_t place, const program::Runtime& runtime);

    // -- worker_divert.cc: divert and tee --
    struct Handed;
    contract::DropReason give_to_program(const Handed& handed, const program::Verdict& verdict,
                                         const program::Runtime& runtime);
    void pass_tees(const Handed& handed, program::Verdict& verdict,
                   const program::Runtime& runtime);
    void divert_routed(const Handed& handed, const program::Verdict& verdict,
                       const program::Runtime& runtime);
    unsigned take_from_programs(const program::Runtime* runtime);
    void judge_from_programs(rte_mbuf** mbufs, unsigned count, const program::Runtime& runtime);
    contract::DropReason lead(rte_mbuf* mbuf, packet::Packet& packet, Router::Way& way,
                              const program::Runtime& runtime);
    contract::DropReason lead_out(rte_mbuf* mbuf, packet::Packet& packet, Router::Way& way,
                                  const program::Runtime& runtime);
    bool is_too_long(const packet::Packet& packet) const;
    void judge_too_long(rte_mbuf* mbuf, const program::Runtime& runtime);

    // -- carry_out.cc --
    void carry_out(const program::Runtime& runtime);
    bool leaves_by_peer() const;
    void carry_out_simply(unsigned count);
    void act(unsigned index, std::uint16_t port, const program::Runtime& runtime);
    void forward(rte_mbuf* mbuf, std::uint16_t port);
    // Makes the changes that rules have noted, and sends the packet.
    void forward_changed(unsigned index, std::uint16_t port);
    bool make_changes(unsigned index);
    // Keeps a fragment; the datagram that it completes goes on.
    void reassemble(unsigned index, std::uint16_t port, const program::Runtime& runtime);
    // The same for a packet that lies in no buffer.
    void act_on_whole(unsigned index, std::span<std::byte> frame, const program::Runtime& runtime);
    void send_whole(unsigned index, std::span<std::byte> frame, std::uint16_t port);
    void send_piece(std::span<const std::byte> frame, std::uint16_t port);
    packet::Reassembler::Outcome reassembled(rte_mbuf* mbuf, const packet::Packet& packet,
                                             std::uint16_t port);
    void count_drop(std::uint16_t port, contract::DropReason reason);
    void drop(rte_mbuf* mbuf, std::uint16_t port, contract::DropReason reason);
    void reply(const packet::Packet& packet, const program::Verdict& verdict, std::uint16_t port);
    void send_keepalive(const state::Keepalive& keepalive, const program::Runtime& runtime);
    // True: there is more to do.
    bool settle_as_ordered(const program::Runtime* runtime);
    bool kill(const program::Runtime& runtime, StateOrder& order);
    bool settle(const program::Runtime& runtime, StateOrder& order);

    WorkerSpec spec_;
    program::Engine engine_;
    packet::Reassembler reassembler_;
    std::unique_ptr<Sender> sender_;
    LearningBridge learning_bridge_;
    std::unique_ptr<Router> router_;  // null: no gateway ports
    std::unique_ptr<Routed> routed_;  // the same
    std::vector<rte_mbuf*> mbufs_;    // that were received together
    // Those being judged: their buffers, the bytes in all of these, what is known of the packets,
    // and what becomes of them.
    rte_mbuf** taken_ = nullptr;
    std::uint64_t bytes_ = 0;
    packet::Burst burst_;
    program::Judgement judgement_;
    packet::Packet whole_;                       // a datagram that has been put together
    std::vector<Outbox> outboxes_;               // by worker; its own stays empty
    std::vector<std::uint16_t> port_of_device_;  // index by DPDK's number
    std::unique_ptr<Scratch> scratch_;
    std::size_t next_queue_ = 0;  // so that a turn that stops early is unfair to none
    std::uint64_t sequence_ = 0;
    std::uint64_t now_ms_ = 0;
    std::uint32_t uptime_s_ = 0;
    bool has_more_to_do_ = false;   // housekeeping, at once
    bool gave_to_program_ = false;  // in this turn
    std::uint64_t orders_done_ = 0;
    std::size_t order_next_ = 0;  // the cell, or the decision, where the order goes on
};

}  // namespace sluice::worker
