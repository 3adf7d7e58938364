#include "dataplane/app/gateway.h"

#include <poll.h>

#include <cstdio>
#include <cstring>

#include "dataplane/worker/clock.h"

namespace sluice::dataplane {

namespace {

// The first dumps of the kernel's tables; a full Internet table takes a few seconds.
constexpr std::uint64_t kReadAllMs = 30'000;
constexpr std::size_t kSolicitationsAtOnce = 256;

route::Address address_of(const worker::Solicitation& wanted) {
    if (wanted.version == 6)
        return wanted.address;
    Ipv4 address;
    std::memcpy(&address, wanted.address.bytes.data(), sizeof address);
    return address;
}

}  // namespace

packet::Environment environment_of(const config::Settings& settings) {
    packet::Environment environment;
    for (std::size_t i = 0; i < settings.ports.size(); ++i) {
        const config::Port& port = settings.ports[i];
        packet::Interface interface;
        interface.name = port.name;
        interface.port = static_cast<std::uint16_t>(i);
        interface.mtu = port.mtu;
        for (const config::InterfaceAddress& address : port.addresses)
            interface.addresses.push_back(
                {.address = address.address, .prefix_length = address.prefix_length});
        environment.interfaces.push_back(std::move(interface));
    }
    return environment;
}

Result<std::unique_ptr<Gateway>> Gateway::create(const config::Settings& settings,
                                                 worker::Bridge& bridge) {
    host::Follower::Settings follower_settings;
    for (std::size_t i = 0; i < settings.ports.size(); ++i)
        if (settings.ports[i].role == config::PortRole::gateway)
            follower_settings.ports.push_back(
                {.name = settings.ports[i].name, .index = static_cast<std::uint16_t>(i)});
    if (follower_settings.ports.empty())
        return std::unique_ptr<Gateway>();
    follower_settings.first_vlan = static_cast<std::uint16_t>(settings.ports.size());
    auto follower = host::Follower::create(follower_settings, *bridge.fib());
    if (!follower)
        return follower.error();
    std::unique_ptr<Gateway> gateway(new Gateway(settings, bridge, std::move(*follower)));
    const std::uint64_t begin = worker::uptime_ms();
    while (!gateway->follower_->complete()) {
        const std::uint64_t now = worker::uptime_ms();
        if (now - begin > kReadAllMs)
            return Error{ExitStatus::os,
                         "the kernel's routes cannot be read: it gives no end of them"};
        if (gateway->tend(now))
            continue;
        std::vector<pollfd> sources;
        for (const int descriptor : gateway->descriptors())
            sources.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
        poll(sources.data(), sources.size(), 100);
    }
    return gateway;
}

Gateway::Gateway(const config::Settings& settings, worker::Bridge& bridge,
                 std::unique_ptr<host::Follower> follower)
    : from_settings_(environment_of(settings)),
      bridge_(bridge),
      follower_(std::move(follower)),
      descriptors_(follower_->fds()) {
    for (const config::Port& port : settings.ports)
        is_gateway_.push_back(port.role == config::PortRole::gateway);
    descriptors_.push_back(bridge.solicitations()->bell());
}

bool Gateway::tend(std::uint64_t now_ms) {
    for (const worker::Solicitation& wanted : bridge_.solicitations()->take(kSolicitationsAtOnce))
        follower_->solicit(wanted.interface, address_of(wanted), now_ms);
    const bool more = follower_->handle(now_ms);
    bridge_.fib()->reclaim(bridge_.runtime());
    while (const auto complaint = follower_->complaint())
        std::fprintf(stderr, "sluice-dataplane: %s\n", complaint->c_str());
    return more;
}

packet::Environment Gateway::environment() const {
    packet::Environment environment;
    environment.interfaces = follower_->interfaces();
    for (std::size_t i = 0; i < is_gateway_.size(); ++i)
        if (!is_gateway_[i] || i >= environment.interfaces.size()) {
            if (i >= environment.interfaces.size())
                environment.interfaces.resize(i + 1);
            environment.interfaces[i] = from_settings_.interfaces[i];
        }
    return environment;
}

}  // namespace sluice::dataplane
