#include "dataplane/app/dataplane.h"

#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/service_manager.h"
#include "dataplane/app/arguments.h"
#include "dataplane/app/confinement.h"
#include "dataplane/app/contract_memory.h"
#include "dataplane/app/contract_server.h"
#include "dataplane/app/gateway.h"
#include "dataplane/app/links.h"
#include "dataplane/app/pattern_report.h"
#include "dataplane/app/payload_memory.h"
#include "dataplane/app/state_memory.h"
#include "dataplane/app/state_recheck.h"
#include "dataplane/app/table_memory.h"
#include "dataplane/app/watchdog.h"
#include "dataplane/program/runtime.h"
#include "dataplane/worker/bridge.h"
#include "dataplane/worker/clock.h"
#include "dataplane/worker/eal.h"

namespace sluice::dataplane {

namespace {

// How often links are looked at.
constexpr int kTickMs = 250;
// And how often at most.
constexpr std::uint64_t kChoreMs = 20;

std::uint64_t random_number() {
    std::uint64_t number = 0;
    while (getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    return number;
}

// Threads inherit the mask, so this comes before DPDK starts its own.
UniqueFd block_signals() {
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

worker::WorkerPort::Role role_of(config::PortRole role) {
    using Role = worker::WorkerPort::Role;
    switch (role) {
        case config::PortRole::pair:
            return Role::pair;
        case config::PortRole::bridge:
            return Role::bridge;
        case config::PortRole::gateway:
            break;
    }
    return Role::gateway;
}

worker::BridgeSpec bridge_spec(const config::Settings& settings,
                               const packet::Environment& environment, std::size_t cpus) {
    const config::DataPlane& dataplane = settings.dataplane;
    worker::BridgeSpec spec{.ports = {},
                            .workers = dataplane.workers,
                            .burst = dataplane.burst,
                            .receive_descriptors = dataplane.receive_descriptors,
                            .transmit_descriptors = dataplane.transmit_descriptors,
                            .handover_packets = dataplane.handover_packets,
                            .sleeps = workers_sleep(dataplane, cpus),
                            .max_sleep_us = dataplane.max_sleep_us,
                            .reply_rate = settings.reply.rate,
                            .reply_burst = settings.reply.burst,
                            .flood_rate = dataplane.flood_rate,
                            .divert_socket = dataplane.divert_socket,
                            .owner_seed = random_number()};
    for (std::size_t i = 0; i < settings.ports.size(); ++i)
        spec.ports.push_back({.name = settings.ports[i].name,
                              .device = settings.ports[i].device,
                              .role = role_of(settings.ports[i].role),
                              .peer = static_cast<std::uint16_t>(settings.peer_index(i)),
                              .bridge = settings.ports[i].bridge,
                              .mtu = settings.ports[i].mtu,
                              .addresses = environment.interfaces[i].addresses});
    return spec;
}

contract::Hello describe(const config::Settings& settings, const worker::Bridge& bridge,
                         const StateMemory& states, std::uint64_t boot_id) {
    contract::Hello hello;
    hello.boot_id = boot_id;
    hello.process_id = static_cast<std::uint32_t>(getpid());
    hello.worker_count = bridge.worker_count();
    hello.port_count = static_cast<std::uint32_t>(bridge.ports().size());
    hello.slot_capacity = settings.dataplane.slot_capacity;
    hello.log_ring_capacity = settings.dataplane.log_ring_records;
    hello.state_capacity = states.states();
    hello.state_memory = states.bytes();
    hello.state_buckets = states.buckets();
    std::strncpy(hello.dpdk_version, worker::dpdk_version(), sizeof hello.dpdk_version - 1);
    for (std::size_t i = 0; i < bridge.ports().size(); ++i) {
        const worker::EthPort& port = bridge.ports()[i];
        contract::PortDescription& description = hello.ports[i];
        std::strncpy(description.name, port.name().c_str(), sizeof description.name - 1);
        description.mac = port.mac();
        description.link_up = port.link_up() ? 1 : 0;
        description.peer = static_cast<std::uint8_t>(settings.peer_index(i));
    }
    return hello;
}

contract::FamilyCost family_cost(const classify::ForestCost& cost) {
    return {.bytes = cost.bytes,
            .boxes = static_cast<std::uint32_t>(cost.boxes),
            .trees = cost.trees,
            .worst_nodes = cost.worst_nodes,
            .worst_blocks = cost.worst_blocks,
            .cut_short = cost.cut_short ? 1u : 0u};
}

contract::RulesetCost cost_of(const program::Runtime& runtime) {
    const classify::Cost& cost = runtime.classifier().cost();
    const auto family = [&](classify::Family which) {
        return family_cost(cost.families[static_cast<std::size_t>(which)]);
    };
    contract::RulesetCost result;
    result.bytes = cost.bytes;
    result.build_us = cost.build_us;
    result.rules = static_cast<std::uint32_t>(runtime.view().rules().size());
    std::strncpy(result.instructions, classify::name_of(classify::best_instruction_set()),
                 sizeof result.instructions - 1);
    result.v4 = family(classify::Family::v4);
    result.v6 = family(classify::Family::v6);
    result.other = family(classify::Family::other);
    return result;
}

// SIGHUP means "read your files again" to other daemons; this one has none that may change.
bool shall_stop(int signals) {
    signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGHUP)
            return true;
    return false;
}

// The rules as they are, in the interfaces and addresses as they have become. A worker that does
// not take them over in time gets them with the next try.
bool renew_environment(Gateway& gateway, worker::Bridge& bridge, packet::Environment& environment,
                       const config::DataPlane& settings, const PayloadMemory& payload) {
    environment = gateway.environment();
    const program::Runtime* current = bridge.runtime().current();
    if (current == nullptr)
        return true;
    auto runtime = program::Runtime::create(
        current->image(), environment, settings.slot_capacity,
        {.previous = current, .fib = bridge.fib(), .payload = payload.capacity()});
    if (!runtime) {
        std::fprintf(stderr, "sluice-dataplane: the rules do not take the new addresses: %s\n",
                     runtime.error().message.c_str());
        return true;
    }
    auto replaced = bridge.runtime().replace(std::move(*runtime), settings.reload_timeout_ms);
    if (!replaced)
        std::fprintf(stderr, "sluice-dataplane: new addresses have to wait: %s\n",
                     replaced.error().message.c_str());
    return static_cast<bool>(replaced);
}

// What must not wait while a large batch of changes to tables is carried out.
class Chores final : public table::Meanwhile {
  public:
    void look_after(worker::Bridge& bridge, Gateway* gateway, Watchdog& watchdog) {
        bridge_ = &bridge;
        gateway_ = gateway;
        watchdog_ = &watchdog;
    }
    void set_working(const std::function<void()>* working) { working_ = working; }

    void step() override {
        (*working_)();
        const std::uint64_t now_ms = worker::uptime_ms();
        if (bridge_ == nullptr || now_ms - last_ms_ < kChoreMs)
            return;
        last_ms_ = now_ms;
        bridge_->refresh_links();
        bridge_->refresh_sockets();
        watchdog_->tend(now_ms);
        if (gateway_ != nullptr)
            gateway_->tend(now_ms);
    }

  private:
    const std::function<void()>* working_ = nullptr;
    worker::Bridge* bridge_ = nullptr;
    Gateway* gateway_ = nullptr;
    Watchdog* watchdog_ = nullptr;
    std::uint64_t last_ms_ = 0;
};

// What the main thread looks after.
struct Duties {
    ContractServer& server;
    worker::Bridge& bridge;
    Watchdog& watchdog;
    TableMemory& tables;
    std::span<contract::DeviceStatus> devices;
    Gateway* gateway = nullptr;  // null: none
    packet::Environment& environment;
    const config::DataPlane& settings;
    const PayloadMemory& payload;
};

void serve(const Duties& duties, int signals) {
    std::vector<pollfd> sources = {{.fd = signals, .events = POLLIN, .revents = 0},
                                   {.fd = duties.server.listener(), .events = POLLIN, .revents = 0},
                                   {.fd = duties.server.client(), .events = POLLIN, .revents = 0}};
    if (duties.gateway != nullptr)
        for (const int descriptor : duties.gateway->descriptors())
            sources.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
    bool more = false;
    bool renew = false;
    std::uint64_t looked_ms = 0;
    std::uint32_t told_s = 0;
    duties.bridge.tell_devices(duties.devices);
    for (;;) {
        sources[2].fd = duties.server.client();
        if (poll(sources.data(), sources.size(), more ? 0 : kTickMs) < 0 && errno != EINTR)
            return;
        if (sources[0].revents != 0 && shall_stop(signals))
            return;
        // The client first: what it sent before it went is not lost, and its place is free again
        // for the one that waits.
        if (sources[2].revents != 0)
            duties.server.on_client();
        if (sources[1].revents != 0)
            duties.server.on_listener();
        // A flood of requests shall not pay for it each time.
        if (const std::uint64_t now_ms = worker::uptime_ms(); now_ms - looked_ms >= kChoreMs) {
            looked_ms = now_ms;
            duties.bridge.refresh_links();
            duties.bridge.refresh_sockets();
            duties.watchdog.tend(now_ms);
        }
        if (const std::uint32_t now_s = worker::uptime_s(); now_s != told_s) {
            told_s = now_s;
            duties.bridge.tell_devices(duties.devices);
        }
        duties.server.tend();
        duties.bridge.runtime().collect();
        duties.tables.tend(worker::uptime_s());
        if (duties.gateway == nullptr)
            continue;
        more = duties.gateway->tend(worker::uptime_ms());
        renew |= duties.gateway->environment_changed();
        // Not while a flood of changes goes on.
        if (renew && !more)
            renew = !renew_environment(*duties.gateway, duties.bridge, duties.environment,
                                       duties.settings, duties.payload);
    }
}

// What is named here outlives the server.
Result<ContractServer> listen(const config::Settings& settings, worker::Bridge& bridge,
                              ContractMemory& memory, const StateMemory& states,
                              TableMemory& tables, const PayloadMemory& payload,
                              const packet::Environment& environment, Chores& chores) {
    const config::DataPlane& dataplane = settings.dataplane;
    const std::uint64_t boot_id = random_number();
    ContractServer::Callbacks callbacks;
    callbacks.describe = [&, boot_id] { return describe(settings, bridge, states, boot_id); };
    using Prepared = ContractServer::Callbacks::Prepared;
    callbacks.publish = [&](std::span<const std::byte> image,
                            Prepared prepared) -> Result<contract::RulesetCost> {
        auto runtime = program::Runtime::create(image, environment, dataplane.slot_capacity,
                                                {.previous = bridge.runtime().current(),
                                                 .fib = bridge.fib(),
                                                 .payload = payload.capacity()});
        if (!runtime || prepared == Prepared::discard)
            tables.discard();
        if (!runtime)
            return runtime.error();
        if (prepared == Prepared::commit && !tables.prepared())
            return Error{ExitStatus::data, "no changes to tables are prepared"};
        bridge.get_ready_for(**runtime);
        const contract::RulesetCost cost = cost_of(**runtime);
        // The new rules never meet the old tables, nor the old rules the new ones.
        tables.announce((*runtime)->serial());
        auto replaced = bridge.runtime().replace(std::move(*runtime), dataplane.reload_timeout_ms);
        if (!replaced) {
            tables.discard();
            return replaced.error();
        }
        tables.commit();
        return cost;
    };
    callbacks.list_states = [&](const contract::StatesRequest& request) {
        return states.list(request, bridge.runtime().current(), worker::uptime_s());
    };
    callbacks.kill_states = [&](const contract::StateFilter& filter) {
        return bridge.state_orders().kill(filter, dataplane.reload_timeout_ms);
    };
    callbacks.recheck_states =
        [&](const contract::RecheckStates& request) -> Result<contract::RecheckReply> {
        if (bridge.runtime().current() == nullptr)
            return Error{ExitStatus::unavailable, "no ruleset has been loaded yet"};
        const std::vector<const state::StateTable*> shards = states.tables();
        return recheck_states(request, {.rules = {.runtime = *bridge.runtime().current(),
                                                  .tables = &tables.store(),
                                                  .sockets = bridge.socket_owners(),
                                                  .fib = bridge.fib(),
                                                  .now_ms = worker::wall_clock_ms(),
                                                  .seed = random_number()},
                                        .tables = shards,
                                        .orders = bridge.state_orders(),
                                        .uptime_s = worker::uptime_s(),
                                        .timeout_ms = dataplane.reload_timeout_ms});
    };
    callbacks.change_tables = [&](std::span<const std::byte> batch, contract::TablesMode mode,
                                  const std::function<void()>& working) {
        chores.set_working(&working);
        return tables.change(batch, mode, worker::uptime_s(), &chores);
    };
    callbacks.list_tables = [&] { return tables.descriptors(); };
    callbacks.set_panic = [&](contract::Panic panic) {
        return bridge.set_panic(panic, dataplane.reload_timeout_ms);
    };
    callbacks.watch =
        [&](const contract::WatchOrder& order) -> Result<ContractServer::Callbacks::Watch> {
        auto captures = order.on != 0 ? memory.captures() : ContractMemory::Captures();
        if (!captures)
            return captures.error();
        auto number = bridge.watch(order, captures->rings, dataplane.reload_timeout_ms);
        if (!number)
            return number.error();
        return ContractServer::Callbacks::Watch{.number = *number, .rings = captures->file};
    };
    callbacks.report_pattern = [&](std::string_view name) {
        return report_pattern(bridge.runtime().current(), name);
    };
    callbacks.trace = [&](const contract::TraceRequest& request) -> Result<TraceAnswer> {
        if (bridge.runtime().current() == nullptr)
            return Error{ExitStatus::unavailable, "no ruleset has been loaded yet"};
        const std::vector<const state::StateTable*> shards = states.tables();
        return answer_trace(request,
                            {.runtime = *bridge.runtime().current(),
                             .states = shards,
                             .tables = &tables.store(),
                             .sockets = bridge.socket_owners()},
                            worker::uptime_s(), [&](const packet::Interface& interface) {
                                return settings.ports[interface.port].role ==
                                               config::PortRole::gateway
                                           ? packet::Entry::ip
                                           : packet::Entry::bridge;
                            });
    };
    return ContractServer::listen(dataplane.socket,
                                  {.counters = memory.counters(),
                                   .log_rings = memory.log_rings(),
                                   .annotations = memory.annotations()},
                                  std::move(callbacks));
}

Result<Done> run_bridge(const config::Settings& settings, std::size_t cpus, int signals) {
    packet::Environment environment = environment_of(settings);
    auto opened = worker::Bridge::open(bridge_spec(settings, environment, cpus));
    if (!opened)
        return opened.error();
    worker::Bridge& bridge = **opened;
    for (const std::string& note : bridge.notes())
        std::fprintf(stderr, "sluice-dataplane: %s\n", note.c_str());
    auto memory = ContractMemory::create(bridge.worker_count(), settings.dataplane.slot_capacity,
                                         settings.dataplane.log_ring_records);
    if (!memory)
        return memory.error();
    auto worker_memory = memory->worker_memory();
    for (worker::WorkerMemory& each : worker_memory)
        each.seed = random_number();
    auto states = StateMemory::create(
        settings.dataplane.states,
        {random_number(), random_number(), random_number(), random_number()}, worker_memory);
    if (!states)
        return states.error();
    std::vector<std::string> interface_names;
    for (const config::Port& port : settings.ports)
        interface_names.push_back(port.name);
    TableMemory tables(bridge.runtime(), std::move(interface_names), bridge.worker_count(),
                       random_number());
    for (std::size_t i = 0; i < worker_memory.size(); ++i) {
        worker_memory[i].outputs.tables = &tables.store();
        worker_memory[i].outputs.worker = static_cast<unsigned>(i);
    }
    const PayloadMemory payload(settings.dataplane, worker_memory);
    Chores chores;
    auto server = listen(settings, bridge, *memory, *states, tables, payload, environment, chores);
    if (!server)
        return server.error();
    if (auto started = bridge.start(worker_memory); !started)
        return started.error();
    auto gateway = Gateway::create(settings, bridge);
    if (!gateway)
        return gateway.error();
    if (*gateway != nullptr)
        environment = (*gateway)->environment();
    std::vector<const std::uint64_t*> heartbeats;
    for (const worker::WorkerMemory& each : worker_memory)
        heartbeats.push_back(&each.counters->heartbeat);
    Watchdog watchdog(watchdog_period(), std::move(heartbeats),
                      [] { notify_service_manager("WATCHDOG=1"); });
    chores.look_after(bridge, gateway->get(), watchdog);
    for (const std::string& note : bridge.spreading_notes())
        std::fprintf(stderr, "sluice-dataplane: %s\n", note.c_str());
    std::fprintf(stderr, "sluice-dataplane: memory for %u states: %llu MB\n", states->states(),
                 static_cast<unsigned long long>(states->bytes() + (1 << 20) - 1) >> 20);
    std::fprintf(stderr, "sluice-dataplane: %zu ports, %u worker%s (%s), contract socket %s\n",
                 bridge.ports().size(), bridge.worker_count(),
                 bridge.worker_count() == 1 ? "" : "s",
                 workers_sleep(settings.dataplane, cpus) ? "sleeping when idle" : "polling",
                 settings.dataplane.socket.c_str());
    worker::print_dpdk_messages(true);
    if (auto confined = confine_after_start(settings); !confined)
        return confined.error();
    notify_service_manager("READY=1");
    serve({.server = *server,
           .bridge = bridge,
           .watchdog = watchdog,
           .tables = tables,
           .devices = memory->devices(),
           .gateway = gateway->get(),
           .environment = environment,
           .settings = settings.dataplane,
           .payload = payload},
          signals);
    notify_service_manager("STOPPING=1");
    bridge.stop();
    return Done{};
}

}  // namespace

Result<Done> run(const config::Settings& settings) {
    if (settings.ports.empty())
        return Error{
            ExitStatus::data,
            "the settings have no [[port]]: write two that name each other as peer, or one with "
            "gateway = true"};
    // As long as there are the rights for it. Ports that open are told the state of their links.
    if (auto up = set_links(settings, Link::up); !up)
        return up.error();
    const UniqueFd signals = block_signals();
    if (auto confined = confine_before_start(settings); !confined)
        return confined.error();
    if (settings.dataplane.huge_pages)
        if (auto enough = check_huge_pages(settings.dataplane.memory_mb); !enough)
            return enough.error();
    const std::vector<unsigned> cpus = allowed_cpus();
    auto arguments = eal_arguments(settings, cpus);
    if (!arguments)
        return arguments.error();
    // While things start, what matters of DPDK's messages is part of our own; whoever asks for more
    // than warnings wants to see all of them.
    const std::string& level = settings.dataplane.log_level;
    worker::print_dpdk_messages(level != "error" && level != "warning");
    auto eal = worker::Eal::start(*arguments);
    if (!eal)
        return eal.error();
    return run_bridge(settings, cpus.size(), signals.get());
}

}  // namespace sluice::dataplane
