// Where a packet goes next: what a look-up in the Fib gives.
//
// A NextHop is immutable while a reader may see it; a Neighbour is one word that changes under the
// readers' eyes, so that all routes through a gateway are good at the instant its MAC address is
// known.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>

#include "common/address.h"
#include "dataplane/packet/environment.h"

namespace sluice::route {

enum class Kind : std::uint8_t {
    none,         // there is no route
    forward,      // out of `interface`
    local,        // to the host: its addresses, broadcast, multicast, and what its kernel routes
    blackhole,    // dropped in silence
    unreachable,  // dropped; the sender is told "host unreachable"
    prohibit,     // dropped; the sender is told "administratively prohibited"
};

using NeighbourIndex = std::uint32_t;
inline constexpr NeighbourIndex kNoNeighbour = 0;

struct alignas(64) NextHop {
    // As on the wire; an IPv4 address stands in the first four bytes.
    Ipv6 gateway{};
    // kNoNeighbour: the destination itself is the neighbour, and it is not known yet (glean). Else
    // ask Fib::neighbour, which may say that it is not resolved yet.
    NeighbourIndex neighbour = kNoNeighbour;
    // Of IP packets on this route, in bytes; 0: that of the interface.
    std::uint32_t mtu = 0;
    // forward: the way out. local: the interface that owns the address, as far as it is one of
    // ours.
    packet::InterfaceIndex interface = packet::kNoInterface;
    Kind kind = Kind::none;
    // 0: no gateway, the destination itself is the neighbour. An IPv4 route may have a gateway of
    // version 6.
    std::uint8_t gateway_version = 0;
    // The destination lies in a network of `interface`: forward without a gateway.
    bool connected = false;
    // By the route of length 0.
    bool is_default = false;

    bool discards() const { return kind >= Kind::blackhole; }
    // REQUIRES: gateway_version == 4.
    Ipv4 gateway4() const {
        Ipv4 address;
        std::memcpy(&address, gateway.bytes.data(), sizeof address);
        return address;
    }
};
static_assert(sizeof(NextHop) == 64);

// Threads. `word` has one writer, the main thread; `used` is set by workers and cleared by the main
// thread, and nobody minds when a set is lost now and then.
class Neighbour {
  public:
    // Worth a store only once for each time that the main thread looks.
    void mark_used() const {
        if (used_.load(std::memory_order_relaxed) == 0)
            used_.store(1, std::memory_order_relaxed);
    }
    // The MAC address in the low 48 bits, in the order of the wire when the word is stored to
    // memory, and kResolved. 0: not resolved.
    std::uint64_t word() const { return word_.load(std::memory_order_relaxed); }
    static constexpr std::uint64_t kResolved = std::uint64_t{1} << 48;

    std::optional<MacAddress> mac() const {
        const std::uint64_t seen = word();
        if ((seen & kResolved) == 0)
            return std::nullopt;
        MacAddress mac;
        std::memcpy(mac.bytes.data(), &seen, sizeof mac.bytes);
        return mac;
    }

    // -- main thread --
    void resolve(const MacAddress& mac) {
        std::uint64_t next = 0;
        std::memcpy(&next, mac.bytes.data(), sizeof mac.bytes);
        word_.store(next | kResolved, std::memory_order_relaxed);
    }
    void forget() { word_.store(0, std::memory_order_relaxed); }
    bool used() const { return used_.load(std::memory_order_relaxed) != 0; }
    void clear_used() { used_.store(0, std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> word_{0};
    mutable std::atomic<std::uint8_t> used_{0};
};
static_assert(sizeof(Neighbour) == 16);

}  // namespace sluice::route
