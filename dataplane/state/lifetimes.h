// How long a state lives, and what a packet changes in it (ip_fw_dynamic.c, ipfw(8) "SYSCTL
// VARIABLES").
//
// TCP: the flags FIN, SYN and RST seen so far, from each side, choose the class. An established
// connection is prolonged only when ACKs of both sides have moved on. UDP has a lifetime of its
// own, everything else the short one.
#pragma once

#include <cstdint>

#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/state/cell.h"

namespace sluice::state {

// In seconds, each at least 1.
struct Lifetimes {
    std::uint32_t syn = 20;
    std::uint32_t unanswered_syn = 20;  // shorter while the table fills
    std::uint32_t established = 300;
    std::uint32_t fin = 1;
    std::uint32_t rst = 1;
    std::uint32_t udp = 10;
    std::uint32_t other = 5;

    // As the sysctls say, with `states` of dyn_max in use.
    static Lifetimes of(const contract::Sysctls& sysctls, std::uint64_t states);

    // With `lifetime_s` of `keep-state lifetime N` in place of established, udp and other; 0: as it
    // is.
    Lifetimes with(std::uint32_t lifetime_s) const;
};

// The part of a state that packets move.
struct Progress {
    std::uint8_t marks = 0;
    std::uint8_t tcp_seen = 0;
    std::uint32_t expires_s = 0;
    std::uint32_t acknowledged_forward = 0;
    std::uint32_t acknowledged_reverse = 0;
};

enum class Step : std::uint8_t {
    creation,  // the packet that makes the state: its ACK counts for nothing
    forward,   // the same direction
    reverse,
};

Progress advance(const Progress& before, const packet::Headers& headers, Step step,
                 const Lifetimes& lifetimes, std::uint32_t uptime_s);

// An established connection: it gets keepalives before it ends.
constexpr bool wants_keepalive(std::uint8_t protocol, std::uint8_t tcp_seen) {
    constexpr std::uint8_t kTcp = 6;
    return protocol == kTcp && (tcp_seen & tcp_seen::both_syn) == tcp_seen::both_syn;
}

}  // namespace sluice::state
