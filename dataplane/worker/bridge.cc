#include "dataplane/worker/bridge.h"

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <algorithm>

#include "dataplane/worker/device.h"

namespace sluice::worker {

namespace {

// Buffers that a worker may hold beside those in rings: its cache, a burst, what waits to be sent.
constexpr unsigned kBuffersPerWorker = 512 + 256 + 128;

// Of a bridge: room for 16,384 stations.
constexpr std::size_t kStationBuckets = 2048;

struct Launch {
    Worker* worker = nullptr;
    Control* control = nullptr;
};

int run_worker(void* argument) {
    const std::unique_ptr<Launch> launch(static_cast<Launch*>(argument));
    launch->worker->run(*launch->control);
    return 0;
}

std::string count_of(unsigned number, const char* thing) {
    return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

}  // namespace

Result<std::unique_ptr<Bridge>> Bridge::open(const BridgeSpec& spec) {
    std::vector<EthPort> ports;
    std::vector<PortLimits> limits;
    std::vector<std::string> notes;
    unsigned workers = std::min(spec.workers, rte_lcore_count() - 1);
    for (const BridgePort& port : spec.ports) {
        auto found = EthPort::probe(port.name, complete_device(port.device, port.mtu, workers));
        if (!found)
            return found.error();
        auto limit = found->limits();
        if (!limit)
            return limit.error();
        ports.push_back(std::move(*found));
        limits.push_back(*limit);
    }
    for (std::size_t i = 0; i < ports.size(); ++i) {
        if (limits[i].transmit_queues >= workers)
            continue;
        notes.push_back("port " + ports[i].name() + " offers " +
                        count_of(limits[i].transmit_queues, "transmit queue") + ": " +
                        count_of(limits[i].transmit_queues, "worker") + " instead of " +
                        std::to_string(workers));
        workers = limits[i].transmit_queues;
    }
    for (std::size_t i = 0; i < ports.size(); ++i)
        if (limits[i].receive_queues < workers)
            notes.push_back("port " + ports[i].name() + " offers " +
                            count_of(limits[i].receive_queues, "receive queue") + " for " +
                            count_of(workers, "worker") + ": not all of them poll it");
    return std::unique_ptr<Bridge>(
        new Bridge(spec, std::move(ports), std::move(limits), workers, std::move(notes)));
}

Bridge::Bridge(const BridgeSpec& spec, std::vector<EthPort> ports, std::vector<PortLimits> limits,
               unsigned worker_count, std::vector<std::string> notes)
    : spec_(spec),
      worker_count_(worker_count),
      notes_(std::move(notes)),
      limits_(std::move(limits)),
      runtime_(worker_count),
      owner_hash_(spec.owner_seed),
      state_orders_(worker_count),
      ports_(std::move(ports)),
      handover_(worker_count, spec.handover_packets),
      link_up_(new std::atomic<bool>[ports_.size()]) {
    control_.runtime = &runtime_;
    stations_.resize(ports_.size());
    for (std::size_t i = 0; i < ports_.size(); ++i)
        if (spec_.ports[i].role == WorkerPort::Role::bridge && first_of_bridge(i) == i)
            stations_[i] = std::make_unique<StationTable>(kStationBuckets, spec_.owner_seed + i);
    for (std::size_t i = 0; i < ports_.size(); ++i)
        link_up_[i].store(false);
}

Bridge::~Bridge() {
    stop();
}

unsigned Bridge::receive_queues(std::size_t port) const {
    return std::min(worker_count_, limits_[port].receive_queues);
}

Result<Done> Bridge::start_ports() {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        const BridgePort& port = spec_.ports[i];
        // What one worker that does not move makes the others keep for it.
        const unsigned waiting_for_owner = (worker_count_ - 1) * spec_.handover_packets;
        // Buffers of this port lie in its receive rings, in the transmit rings of its peer and,
        // being answers, in its own.
        const unsigned buffers = receive_queues(i) * spec_.receive_descriptors +
                                 2 * worker_count_ * spec_.transmit_descriptors +
                                 worker_count_ * kBuffersPerWorker + waiting_for_owner;
        auto pool = Mempool::create(
            {.name = "port_" + std::to_string(i),
             .buffers = buffers,
             .room = buffer_room(complete_device(port.device, port.mtu, worker_count_), port.mtu),
             .socket = limits_[i].socket});
        if (!pool)
            return Error{pool.error().status, "port " + port.name + ": " + pool.error().message};
        pools_.push_back(std::move(*pool));
        auto started = ports_[i].start(
            {.receive_queues = receive_queues(i),
             .transmit_queues = worker_count_,
             .receive_descriptors = spec_.receive_descriptors,
             .transmit_descriptors = spec_.transmit_descriptors,
             .mtu = port.mtu,
             .pool = pools_.back().get(),
             .owner_hash = receive_queues(i) == worker_count_ ? &owner_hash_ : nullptr});
        if (!started)
            return started.error();
    }
    return Done{};
}

std::size_t Bridge::first_of_bridge(std::size_t port) const {
    std::size_t first = 0;
    while (spec_.ports[first].bridge != spec_.ports[port].bridge)
        ++first;
    return first;
}

std::uint32_t Bridge::ports_of_bridge(std::size_t port) const {
    std::uint32_t ports = 0;
    if (spec_.ports[port].role == WorkerPort::Role::bridge)
        for (std::size_t i = 0; i < spec_.ports.size(); ++i)
            if (spec_.ports[i].bridge == spec_.ports[port].bridge)
                ports |= std::uint32_t{1} << i;
    return ports;
}

// The twins have the MAC addresses of the ports, which are known once those have started.
Result<Done> Bridge::open_gateway() {
    std::vector<ExceptionPath::TwinOfPort> twins;
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        if (spec_.ports[i].role != WorkerPort::Role::gateway)
            continue;
        if (auto kept_out = ports_[i].keep_kernel_out(); !kept_out)
            return kept_out.error();
        twins.push_back({.spec = {.name = spec_.ports[i].name,
                                  .mac = ports_[i].mac(),
                                  .mtu = spec_.ports[i].mtu,
                                  .addresses = spec_.ports[i].addresses},
                         .port = static_cast<std::uint16_t>(i)});
    }
    if (twins.empty())
        return Done{};
    auto fib = route::Fib::create({});
    if (!fib)
        return fib.error();
    auto solicitations = Solicitations::create(worker_count_);
    if (!solicitations)
        return solicitations.error();
    auto host = ExceptionPath::open(std::move(twins), worker_count_, spec_.owner_seed);
    if (!host)
        return host.error();
    fib_ = std::move(*fib);
    solicitations_.emplace(std::move(*solicitations));
    host_ = std::move(*host);
    return Done{};
}

WorkerSpec Bridge::worker_spec(unsigned id, const WorkerMemory& memory) {
    WorkerSpec spec{.id = id,
                    .ports = {},
                    .queues = {},
                    .burst = spec_.burst,
                    .sleeps = spec_.sleeps,
                    .max_sleep_us = spec_.max_sleep_us,
                    // At least one a second, unless there shall be none at all.
                    .reply_rate = (spec_.reply_rate + worker_count_ - 1) / worker_count_,
                    .reply_burst = std::max(spec_.reply_burst / worker_count_, 1u),
                    .seed = memory.seed,
                    .counters = memory.counters,
                    .outputs = memory.outputs,
                    .handover = &handover_,
                    .owner_hash = &owner_hash_,
                    .state_order = &state_orders_.of(id),
                    .flood_limit = (spec_.flood_rate + worker_count_ - 1) / worker_count_,
                    .fib = fib_.get(),
                    .host = host_.get(),
                    .solicitations = solicitations(),
                    .divert = divert_.get(),
                    .panic = &control_.panic,
                    .watch = &watch_};
    spec.outputs.sockets = host_ == nullptr ? nullptr : &host_->owners();
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        spec.ports.push_back({.device = ports_[i].id(),
                              .role = spec_.ports[i].role,
                              .peer = spec_.ports[i].peer,
                              .stations = stations_[first_of_bridge(i)].get(),
                              .bridge_ports = ports_of_bridge(i),
                              .pool = pools_[i].get(),
                              .link_up = &link_up_[i],
                              .mtu = spec_.ports[i].mtu,
                              .spreads_by_owner = ports_[i].spreads_by_owner()});
        const unsigned queues = receive_queues(i);
        const unsigned first = queues == worker_count_ ? 0 : static_cast<unsigned>(i);
        for (unsigned queue = 0; queue < queues; ++queue)
            if ((first + queue) % worker_count_ == id)
                spec.queues.push_back({.port = static_cast<std::uint16_t>(i),
                                       .queue = static_cast<std::uint16_t>(queue)});
    }
    return spec;
}

Result<Done> Bridge::start(const std::vector<WorkerMemory>& memory) {
    if (auto started = start_ports(); !started)
        return started.error();
    if (auto opened = open_gateway(); !opened)
        return opened.error();
    if (!spec_.divert_socket.empty()) {
        auto divert = DivertPath::open(spec_.divert_socket, worker_count_);
        if (!divert)
            return divert.error();
        divert_ = std::move(*divert);
        divert_->start();
    }
    refresh_links();
    if (host_ != nullptr)
        host_->start();
    workers_.reserve(worker_count_);
    for (unsigned id = 0; id < worker_count_; ++id)
        workers_.emplace_back(worker_spec(id, memory[id]));
    running_ = true;
    unsigned lcore = rte_get_next_lcore(-1, 1, 0);
    for (Worker& worker : workers_) {
        auto* launch = new Launch{&worker, &control_};
        if (rte_eal_remote_launch(run_worker, launch, lcore) != 0) {
            delete launch;
            stop();
            return Error{ExitStatus::os, "a worker cannot be started on lcore " +
                                             std::to_string(lcore) + ", which is busy"};
        }
        lcore = rte_get_next_lcore(lcore, 1, 0);
    }
    return Done{};
}

void Bridge::stop() {
    if (!running_)
        return;
    control_.stop.store(true);
    rte_eal_mp_wait_lcore();
    if (host_ != nullptr)
        host_->stop();
    if (divert_ != nullptr)
        divert_->stop();
    running_ = false;
}

std::vector<std::string> Bridge::spreading_notes() const {
    std::vector<std::string> notes;
    if (worker_count_ > 1)
        for (const EthPort& port : ports_)
            notes.push_back("port " + port.name() +
                            (port.spreads_by_owner()
                                 ? " spreads flows over the workers by its own hash"
                                 : " does not spread flows as needed: where there are states, "
                                   "workers hand packets over"));
    return notes;
}

void Bridge::get_ready_for(const program::Runtime& next) {
    if (host_ != nullptr && next.asks_for_sockets())
        host_->watch_sockets();
}

void Bridge::refresh_sockets() {
    if (host_ != nullptr &&
        (runtime_.current() == nullptr || !runtime_.current()->asks_for_sockets()))
        host_->leave_sockets();
}

Result<Done> Bridge::set_panic(contract::Panic panic, unsigned timeout_ms) {
    control_.panic.store(panic, std::memory_order_release);
    return runtime_.wait_for_workers(timeout_ms);
}

Result<std::uint64_t> Bridge::watch(const contract::WatchOrder& order,
                                    const std::vector<contract::CaptureRing>& rings,
                                    unsigned timeout_ms) {
    watch_.serial.store(0, std::memory_order_release);
    if (order.on == 0)
        return std::uint64_t{0};
    // Behind this no worker looks at the order before.
    if (auto waited = runtime_.wait_for_workers(timeout_ms); !waited)
        return waited.error();
    watch_.filter = order.filter;
    watch_.snap_length = order.snap_length;
    watch_.rings = rings;
    watch_.serial.store(++last_watch_, std::memory_order_release);
    return last_watch_;
}

const sockets::Owners* Bridge::socket_owners() const {
    return host_ == nullptr ? nullptr : &host_->owners();
}

void Bridge::refresh_links() {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        const bool up = ports_[i].link_up();
        link_up_[i].store(up, std::memory_order_relaxed);
        if (host_ != nullptr)
            host_->set_link(static_cast<std::uint16_t>(i), up);
    }
}

void Bridge::tell_devices(std::span<contract::DeviceStatus> devices) const {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        contract::set(devices[i].link_up, link_up_[i].load(std::memory_order_relaxed) ? 1 : 0);
        ports_[i].tell(devices[i]);
        contract::set(devices[i].buffers, pools_[i].get()->size);
        contract::set(devices[i].free_buffers, rte_mempool_avail_count(pools_[i].get()));
    }
}

}  // namespace sluice::worker
