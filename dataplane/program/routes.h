// What `verrevpath`, `versrcreach` and `antispoof` ask: a Fib about the source of a packet, and the
// environment about connected networks.
#pragma once

#include <memory>
#include <vector>

#include "common/result.h"
#include "dataplane/packet/packet.h"
#include "dataplane/route/fib.h"

namespace sluice::program {

// The forwarding table of an environment: its connected networks and its routes.
Result<std::unique_ptr<const route::Fib>> make_fib(const packet::Environment& environment);

class Routes {
  public:
    // `fib` outlives it. Null: nothing will be asked.
    Routes(const packet::Environment& environment, const route::Fib* fib);

    // The route back to the source leaves by the interface that the packet came in by.
    bool reverse_path_ok(const packet::Packet& packet) const;
    // There is a route to the source that is not the default and does not discard.
    bool source_reachable(const packet::Packet& packet) const;
    // A source in a directly connected network came in by that network's interface.
    bool not_spoofed(const packet::Packet& packet) const;

  private:
    struct Network {
        unsigned version = 4;
        Ipv6 first{};  // IPv4 in the first four bytes
        Ipv6 mask{};
    };

    const route::NextHop* find(const packet::Headers& headers) const;
    bool leads_to(const packet::Headers& headers, packet::InterfaceIndex interface) const;
    bool in_connected_network(const packet::Headers& headers) const;

    const route::Fib* fib_;
    // Sorted; none lies in another one.
    std::vector<Network> connected_;
    bool has_ipv6_address_ = false;
};

}  // namespace sluice::program
