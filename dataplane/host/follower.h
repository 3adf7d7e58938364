// Follows the host's own network settings by netlink, and keeps a Fib and the list of interfaces
// like them: the kernel is the control plane of a gateway.
//
// Purpose. Every gateway port has a twin, a link of the host with the port's name (a TAP that the
// data plane makes). What `ip`, a DHCP client or a routing daemon does to the twin and its VLANs is
// true for the port. Everything happens in the network namespace of the thread that calls `create`.
// What becomes of a route: through twins and their VLANs: `forward`. Local addresses, broadcast,
// anycast and multicast: `local`. Through any other link of the host (management port, lo, a
// tunnel): `local` too, as the kernel then routes the packet on its own. blackhole, unreachable,
// prohibit: the same; `throw`: unreachable, as no table follows. Of several routes to one prefix
// the one of the local table counts, then main, then default, then the lowest metric. Other tables
// and `ip rule` are not followed. Whatever the tables say, 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4,
// 255.255.255.255, ::, ::1, fe80::/10 and ff00::/8 are `local` unless there is a route of the very
// prefix.
// A link that is down has no routes: as in the kernel its paths are left out, others stay. Carrier
// does not matter here, it is the port's.
// Threads. All of it belongs to the main thread.
// Failure. Lost messages (the socket's buffer ran over) and interrupted dumps lead to new dumps,
// after which only what is really gone is withdrawn; the Fib is never emptied in between. A route
// that the Fib refuses is counted, told once by `complaint`, and tried again when the Fib has room.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/host/interfaces.h"
#include "dataplane/packet/environment.h"
#include "dataplane/route/fib.h"

namespace sluice::host {

class Follower {
  public:
    struct Settings {
        std::vector<Port> ports = {};  // the gateway ports
        // Interfaces from here on are VLANs: the number of all ports, bridged ones too.
        packet::InterfaceIndex first_vlan = 0;
        // Of each socket that hears of changes, in bytes; as far as the kernel allows.
        std::size_t receive_buffer = std::size_t{16} << 20;
        // Messages that one call of `handle` works on; it ends a little later, at the end of what
        // one system call gave.
        unsigned messages_per_turn = 2000;
    };
    // `fib` outlives the follower. Nothing has been read yet when this returns: call `handle` until
    // `complete()`.
    static Result<std::unique_ptr<Follower>> create(const Settings& settings, route::Fib& fib);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    // Readable when there is something to do. The set does not change.
    std::vector<int> fds() const;
    // A bounded piece of work: netlink messages, the refreshing of neighbours that are used, and
    // what waits for a later time. To be called when one of fds() is readable, and at least every
    // 250 ms. `now_ms` is monotonic. True: there is more to do at once.
    bool handle(std::uint64_t now_ms);
    // Everything that the kernel had at the start has been read once.
    bool complete() const;

    // Interfaces, addresses, MAC addresses, MTUs or IFF_UP are others than at the last call.
    bool environment_changed();
    // By InterfaceIndex. Places of ports that are not gateway ports, and of VLANs that are gone,
    // have no name. A gateway port without a twin is down and has no addresses. A new VLAN takes
    // the place that it had before, then a new one, then the one that has been free for longest;
    // VLANs for which there is no place are counted. A NextHop may name an interface that a Runtime
    // made before the last change does not know yet.
    const std::vector<packet::Interface>& interfaces() const;

    // Asks the kernel to find out the MAC address of a neighbour, by ARP or neighbour discovery out
    // of the twin; the answer comes as a change of the Fib. The same neighbour is asked for at most
    // once a second, and 1,000 neighbours a second in all. False: not asked now.
    bool solicit(packet::InterfaceIndex interface, const route::Address& address,
                 std::uint64_t now_ms);

    struct Counters {
        std::uint64_t messages = 0;
        std::uint64_t malformed = 0;           // messages that were left out
        std::uint64_t overruns = 0;            // of a receive buffer
        std::uint64_t resyncs = 0;             // complete sets of dumps, the first one included
        std::uint64_t interrupted = 0;         // dumps that were begun again
        std::uint64_t withdrawn = 0;           // routes that a resync has found gone
        std::uint64_t refused = 0;             // routes and neighbours that the Fib did not take
        std::uint64_t interfaces_refused = 0;  // VLANs without a place
        std::uint64_t solicited = 0;
        std::uint64_t not_solicited = 0;  // too many, or too soon
        std::uint64_t refreshed = 0;      // neighbours in use that were about to be forgotten
    };
    Counters counters() const;
    // What an operator should know, one sentence in ten seconds at most; none: nothing new.
    std::optional<std::string> complaint();

  private:
    struct Implementation;
    explicit Follower(std::unique_ptr<Implementation> implementation);

    std::unique_ptr<Implementation> implementation_;
};

}  // namespace sluice::host
