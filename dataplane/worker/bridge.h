// The whole packet path: ports, their buffers, the workers and the ruleset they run.
//
// Life: `open` probes the ports and settles how many workers can run, `start` sets the ports up and
// launches the workers, `stop` (or the end of the object) stops workers, then ports, then frees
// buffers and ruleset. DPDK must have been started and must outlive the bridge.
//
// Queues. Every worker sends on a queue of its own on every port, so there are no more workers than
// the port with the fewest transmit queues has. A port with as many receive queues is polled by all
// workers, spread by the port's hash; one with fewer is polled by some, a different first one for
// each port.
//
// Flows. Where there are states each flow belongs to one worker. A port that can is set up to bring
// its packets there by itself (flow_spreading.h); the rest goes from worker to worker (handover.h).
//
// Threads: all functions belong to the main thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/state/flow_key.h"
#include "dataplane/worker/active_runtime.h"
#include "dataplane/worker/divert_path.h"
#include "dataplane/worker/handover.h"
#include "dataplane/worker/mempool.h"
#include "dataplane/worker/port.h"
#include "dataplane/worker/state_orders.h"
#include "dataplane/worker/station_table.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

struct BridgePort {
    std::string name;
    std::string device;
    WorkerPort::Role role = WorkerPort::Role::pair;
    std::uint16_t peer = 0;   // index, of a pair; else its own
    std::string bridge = {};  // name of a learning bridge
    unsigned mtu = 1500;
    std::vector<packet::InterfaceAddress> addresses = {};  // that a gateway port's twin is given
};

struct BridgeSpec {
    std::vector<BridgePort> ports;
    unsigned workers = 1;
    unsigned burst = 32;
    unsigned receive_descriptors = 1024;
    unsigned transmit_descriptors = 1024;
    unsigned handover_packets = 2048;  // from one worker to another, waiting
    bool sleeps = false;
    unsigned max_sleep_us = 500;
    unsigned reply_rate = 200;  // of all workers together
    unsigned reply_burst = 200;
    unsigned flood_rate = 10'000;  // frames a second that bridges send to all ports, all workers
    std::string divert_socket;     // where programs get diverted packets; empty: nowhere
    std::uint64_t owner_seed = 0;  // of the hash that spreads flows over the workers
};

// Where a worker counts and logs, and what its random numbers begin with.
struct WorkerMemory {
    contract::WorkerCounters* counters = nullptr;
    program::EngineOutputs outputs;
    std::uint64_t seed = 0;
};

class Bridge {
  public:
    static Result<std::unique_ptr<Bridge>> open(const BridgeSpec& spec);
    Bridge(const Bridge&) = delete;
    ~Bridge();

    unsigned worker_count() const { return worker_count_; }
    // What differs from the settings, in sentences.
    const std::vector<std::string>& notes() const { return notes_; }
    // Null: no port is a gateway's, and no packet belongs to a socket.
    const sockets::Owners* socket_owners() const;
    const std::vector<EthPort>& ports() const { return ports_; }

    // Workers write to `memory` until `stop` has returned; after an error none of them runs.
    // REQUIRES: memory.size() == worker_count().
    Result<Done> start(const std::vector<WorkerMemory>& memory);
    void stop();

    // How each port brings packets to the owners of their flows, in sentences. After `start`.
    std::vector<std::string> spreading_notes() const;

    ActiveRuntime& runtime() { return runtime_; }
    StateOrders& state_orders() { return state_orders_; }
    // What happens to packets whatever the rules say. After success it holds on every worker; after
    // an error on all but the one that has not moved, and there once it does.
    Result<Done> set_panic(contract::Panic panic, unsigned timeout_ms);
    // Begins or ends a watch; its number, or 0. An error: a worker has not moved, and nobody
    // watches. REQUIRES: as many rings as workers, which outlive the bridge.
    Result<std::uint64_t> watch(const contract::WatchOrder& order,
                                const std::vector<contract::CaptureRing>& rings,
                                unsigned timeout_ms);
    contract::Panic panic() const { return control_.panic.load(std::memory_order_relaxed); }
    // Null where there are no gateway ports.
    route::Fib* fib() { return fib_.get(); }
    Solicitations* solicitations() { return solicitations_ ? &*solicitations_ : nullptr; }
    // Workers do not send to a port whose link is down.
    void refresh_links();
    // Once a second: what the devices say of themselves, by port. REQUIRES: devices.size() >=
    // ports().size().
    void tell_devices(std::span<contract::DeviceStatus> devices) const;
    // Before a ruleset is published: what its rules ask for begins to be known.
    void get_ready_for(const program::Runtime& next);
    // Now and then: what no rule asks for need not be known any more.
    void refresh_sockets();

  private:
    Bridge(const BridgeSpec& spec, std::vector<EthPort> ports, std::vector<PortLimits> limits,
           unsigned worker_count, std::vector<std::string> notes);

    Result<Done> start_ports();
    Result<Done> open_gateway();
    WorkerSpec worker_spec(unsigned id, const WorkerMemory& memory);
    unsigned receive_queues(std::size_t port) const;
    std::size_t first_of_bridge(std::size_t port) const;
    std::uint32_t ports_of_bridge(std::size_t port) const;

    BridgeSpec spec_;
    unsigned worker_count_;
    std::vector<std::string> notes_;
    std::vector<PortLimits> limits_;
    ActiveRuntime runtime_;
    state::OwnerHash owner_hash_;
    StateOrders state_orders_;
    Control control_;
    Watch watch_;
    std::uint64_t last_watch_ = 0;
    std::vector<Mempool> pools_;  // before the ports: buffers come back when those close
    // Before the ports, which may still have buffers of theirs when they close.
    std::unique_ptr<DivertPath> divert_;
    std::unique_ptr<ExceptionPath> host_;
    std::vector<EthPort> ports_;
    Handover handover_;                                    // behind the pools
    std::vector<std::unique_ptr<StationTable>> stations_;  // by port; the first of a bridge has it
    std::unique_ptr<route::Fib> fib_;
    std::optional<Solicitations> solicitations_;
    std::unique_ptr<std::atomic<bool>[]> link_up_;
    std::vector<Worker> workers_;
    bool running_ = false;
};

}  // namespace sluice::worker
