// The gateway of one worker: where a packet goes that the rules have let in, and how it leaves.
//
//     in pass → `route` → out pass → `send`          between two networks
//     in pass → `route` (up to the kernel)           to this machine
//     (kernel) → out pass → `send_from_host`         from this machine
//
// Routes are those of the Fib at the moment of the look-up. What the kernel of this machine has to
// see (its own addresses, groups, whatever is not IP) goes up through the exception path as it
// came. The hop limit goes down before the `out` pass, MTU and next hop are looked at behind it.
//
// Neighbours. A packet whose next hop has no known MAC address waits here, kMaximumWaiting of them
// at most and kMaximumForOne for one next hop, while the kernel is asked to find it. If it does not
// answer within kPatienceMs the packets are dropped and their senders told.
//
// Threads: one worker. No lock, no allocation but of packet buffers; the system calls that wake
// another thread are made only if it sleeps.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/forward/hop.h"
#include "dataplane/packet/glance.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/runtime.h"
#include "dataplane/route/fib.h"
#include "dataplane/worker/exception_path.h"
#include "dataplane/worker/sender.h"
#include "dataplane/worker/solicitations.h"

struct rte_mbuf;

namespace sluice::worker {

class Router {
  public:
    static constexpr unsigned kMaximumWaiting = 256;
    static constexpr unsigned kMaximumForOne = 8;
    static constexpr std::uint64_t kPatienceMs = 3000;
    static constexpr std::uint64_t kAskAgainMs = 1000;

    // A packet on its way; the buffer is owned, the rest belongs to the caller. Null: no rule has
    // written on it.
    struct Traveller {
        rte_mbuf* mbuf = nullptr;
        const packet::Packet* packet = nullptr;
        program::PacketMarks* marks = nullptr;
    };

    // An address to send to: the destination, or what `fwd` names in its place. IPv4 in the first
    // four bytes. If it is one of this machine's, the port says which of its sockets gets the
    // packet; 0: the packet does.
    struct Target {
        Ipv6 address{};
        std::uint8_t version = 0;
        std::uint16_t port = 0;
    };
    static Target destination_of(const packet::Packet& packet) {
        return {.address = packet.headers.destination, .version = packet.headers.ip_version};
    }

    // The way on. Null: there is none.
    struct Way {
        const route::NextHop* hop = nullptr;
        Target target;  // version 0: the destination
    };

    // What outlives the router.
    struct Spec {
        unsigned worker = 0;
        contract::WorkerCounters* counters = nullptr;
        const route::Fib* fib = nullptr;
        ExceptionPath* host = nullptr;
        Solicitations* solicitations = nullptr;
        Sender* sender = nullptr;
    };

    explicit Router(const Spec& spec) : spec_(spec) {}
    // Frees what waits. Ports are stopped later.
    ~Router();
    Router(const Router&) = delete;

    const route::Fib& fib() const { return *spec_.fib; }

    // Decides about a packet that the rules have let in. A way: its hop limit is one less, and it
    // goes on to the `out` pass and then to `send`. None: it is gone, to the kernel or dropped.
    Way route(const program::Runtime& runtime, const Traveller& traveller, const Target& target);

    // The way to what `fwd` names for a packet that leaves; one without a hop if there is none.
    Way way_to(const packet::Packet& packet, const Target& target) const;

    // Sends a packet that the rules have let out, common and in one buffer, unless there is
    // anything special about its way. False: it is still the caller's, `send` knows more.
    bool send_plainly(const program::Runtime& runtime, rte_mbuf* mbuf, const packet::Glance& glance,
                      const Way& way);
    // Sends a packet that the rules have let out. A way to this machine gives it to a socket.
    void send(const program::Runtime& runtime, const Traveller& traveller, const Way& way);
    // The same for one that the kernel has made, by the port and with the Ethernet header that it
    // chose.
    void send_from_host(const program::Runtime& runtime, const Traveller& traveller);

    // Sends a copy of an IP packet of our own, with any Ethernet header, to its destination: no
    // rule sees it. Buffers are those of `port`. False: there is no way, or no buffer.
    bool send_made(const program::Runtime& runtime, std::span<const std::byte> frame,
                   std::uint16_t port, std::uint64_t now_ms);

    // Gives a frame to the kernel as if it had come in by `port`.
    void give_to_host(rte_mbuf* mbuf, std::uint16_t port);

    // A burst begins: what is remembered of the last one may be old.
    void begin_burst() { leaving_.hop = nullptr; }
    // Wakes the thread of the exception path, if frames were given to it. Once a turn.
    void wake_host();
    // Answers a frame that the kernel has given back because nobody listens at the address that
    // `fwd` named. `interface` is the one that the packet came in by.
    void answer_unheard(const program::Runtime& runtime, rte_mbuf* mbuf,
                        packet::InterfaceIndex interface, std::uint64_t now_ms);

    // Sends what has waited for a neighbour that is known by now, gives up on others. Once a turn.
    void tend(const program::Runtime& runtime, std::uint64_t now_ms);

    // The address that ICMP errors about a packet come from: one of the interface that it came in
    // by, that is known beyond its link; else such a one of another interface; else one of the
    // link.
    static std::optional<Ipv6> own_address(const program::Runtime& runtime,
                                           const packet::Packet& packet);

    // Whether a common packet that is on its way elsewhere may be this machine's own matter, so
    // that `route` has to look at it: it claims to come from here, or may be an answer to a DHCP
    // client.
    static bool may_be_ours(const program::Runtime& runtime, const packet::Glance& glance) {
        const classify::LocalAddresses& own = runtime.local_addresses();
        return glance.ip_version == 4 ? own.may_be_no_sender(glance.ip4().source) ||
                                            glance.ports == forward::kDhcpAnswerPorts
                                      : own.may_be_no_sender(glance.ip6().source);
    }

    // Writes the Ethernet header of the way out. False: there is no room for it.
    static bool address(rte_mbuf* mbuf, std::size_t network_offset, unsigned ip_version,
                        const packet::Interface& out, const MacAddress& neighbour);

    // The same for all packets of a flow; which of several paths it takes is no secret.
    static std::uint32_t flow_hash(std::uint64_t source, std::uint64_t destination,
                                   std::uint32_t ports) {
        std::uint64_t hash = (source ^ ports) * 0x9e3779b97f4a7c15;
        hash = (hash ^ hash >> 32 ^ destination) * 0x9e3779b97f4a7c15;
        return static_cast<std::uint32_t>(hash >> 32);
    }

  private:
    // How packets leave by a next hop, good for one burst.
    struct Leaving {
        const route::NextHop* hop = nullptr;
        const route::Neighbour* neighbour = nullptr;
        unsigned mtu = 0;
        std::uint16_t port = 0;
        bool is_tagged = false;
        MacAddress addresses[2];  // as they begin the frame
    };

    // False: nothing is remembered then.
    bool look_up(const program::Runtime& runtime, const route::NextHop& hop);

    struct Waiting {
        rte_mbuf* mbuf = nullptr;
        Solicitation wanted;
        Target target;
        packet::InterfaceIndex receive_interface = packet::kNoInterface;
        std::uint64_t since_ms = 0;
        std::uint64_t asked_ms = 0;
    };

    bool lower_hop_limit(const program::Runtime& runtime, const Traveller& traveller);
    bool make_changes(const Traveller& traveller);
    void give_to_socket(const program::Runtime& runtime, const Traveller& traveller,
                        const Target& target);
    void refuse(const program::Runtime& runtime, const Traveller& traveller,
                contract::DropReason reason, forward::Obstacle obstacle, std::uint16_t mtu = 0);
    void leave(const program::Runtime& runtime, const Traveller& traveller,
               const route::NextHop& hop, const packet::Interface& out,
               const MacAddress& neighbour);
    void send_fragments(const packet::Interface& out, const Traveller& traveller, unsigned mtu,
                        const MacAddress& neighbour);
    void wait_for(const Traveller& traveller, const Way& way);
    bool try_again(const program::Runtime& runtime, const Waiting& waiting);
    void give_up(const program::Runtime& runtime, const Waiting& waiting);

    Spec spec_;
    Leaving leaving_;
    bool gave_to_host_ = false;
    std::array<Waiting, kMaximumWaiting> waiting_;
    unsigned waiting_count_ = 0;
    std::uint64_t tended_ms_ = 0;
    std::byte fragment_[kLongestFrame];
};

}  // namespace sluice::worker
