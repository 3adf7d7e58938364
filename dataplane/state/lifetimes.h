// How long a state lives, and what a packet changes in it (ip_fw_dynamic.c, ipfw(8) "SYSCTL
// VARIABLES").
//
// TCP: the flags FIN, SYN and RST seen so far, from each side, choose the class. An established
// connection is prolonged only when ACKs of both sides have moved on. UDP has a lifetime of its
// own, everything else the short one.
#pragma once

#include <cstdint>

#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/glance.h"
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

// What a state wants to know of a packet.
struct Segment {
    explicit Segment(const packet::Headers& headers)
        : protocol(headers.protocol),
          tcp_flags(headers.tcp_flags),
          has_header(headers.fragment_offset == 0),
          tcp_acknowledgement(headers.tcp_acknowledgement),
          bytes(headers.counted_bytes()) {}
    // REQUIRES: the packet is common.
    explicit Segment(const packet::Glance& glance)
        : protocol(glance.protocol), has_header(true), bytes(glance.ip_length) {
        if (protocol != packet::wire::protocol::tcp)
            return;
        tcp_flags = glance.tcp().flags;
        tcp_acknowledgement = glance.tcp().acknowledgement.host();
    }

    std::uint8_t protocol;
    std::uint8_t tcp_flags = 0;
    bool has_header;  // of the upper layer; fragments behind the first have none
    std::uint32_t tcp_acknowledgement = 0;
    std::uint32_t bytes;  // that are counted
};

enum class Step : std::uint8_t {
    creation,  // the packet that makes the state: its ACK counts for nothing
    forward,   // the same direction
    reverse,
};

namespace detail {

inline constexpr std::uint8_t kTcp = 6, kUdp = 17;
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4;  // RFC 9293
static_assert(kFin == tcp_seen::fin && kSyn == tcp_seen::syn && kRst == tcp_seen::rst);

inline bool has_moved_on(std::uint32_t acknowledgement, std::uint32_t before) {
    return before == 0 || static_cast<std::int32_t>(acknowledgement - before) >= 0;
}

// Notes the ACK. True: both sides have moved on since the state was last prolonged.
inline bool both_moved_on(Progress& progress, std::uint32_t acknowledgement, Step step) {
    std::uint32_t& last =
        step == Step::forward ? progress.acknowledged_forward : progress.acknowledged_reverse;
    if (has_moved_on(acknowledgement, last)) {
        last = acknowledgement;
        progress.marks |= step == Step::forward ? mark::ack_forward : mark::ack_reverse;
    }
    constexpr std::uint8_t kBoth = mark::ack_forward | mark::ack_reverse;
    if ((progress.marks & kBoth) != kBoth)
        return false;
    progress.marks &= static_cast<std::uint8_t>(~kBoth);
    return true;
}

}  // namespace detail

// Always inline, for every packet of a flow comes here: what is passed stays in registers.
[[gnu::always_inline]] inline Progress advance(const Progress& before, const Segment& segment,
                                               Step step, const Lifetimes& lifetimes,
                                               std::uint32_t uptime_s) {
    using namespace detail;
    Progress after = before;
    if (step == Step::reverse)
        after.marks |= mark::answered;
    if (segment.protocol == kUdp) {
        after.expires_s = uptime_s + lifetimes.udp;
        return after;
    }
    if (segment.protocol != kTcp) {
        after.expires_s = uptime_s + lifetimes.other;
        return after;
    }
    const std::uint8_t flags = segment.has_header ? segment.tcp_flags & (kFin | kSyn | kRst) : 0;
    after.tcp_seen |= static_cast<std::uint8_t>(step == Step::reverse ? flags << 4 : flags);
    switch (after.tcp_seen) {
        case tcp_seen::syn:
            after.expires_s =
                uptime_s +
                ((after.marks & mark::answered) != 0 ? lifetimes.syn : lifetimes.unanswered_syn);
            break;
        case tcp_seen::both_syn:
        case tcp_seen::both_syn | tcp_seen::fin:
        case tcp_seen::both_syn | tcp_seen::fin << 4:
            if (segment.has_header && step != Step::creation &&
                both_moved_on(after, segment.tcp_acknowledgement, step))
                after.expires_s = uptime_s + lifetimes.established;
            break;
        case tcp_seen::both_syn | tcp_seen::both_fin:
            after.expires_s = uptime_s + lifetimes.fin;
            break;
        default:
            after.expires_s = uptime_s + lifetimes.rst;
            break;
    }
    return after;
}

inline Progress advance(const Progress& before, const packet::Headers& headers, Step step,
                        const Lifetimes& lifetimes, std::uint32_t uptime_s) {
    return advance(before, Segment(headers), step, lifetimes, uptime_s);
}

// A connection that both sides have opened gets keepalives before it ends; also when one of them
// has closed its side: so do the answers of the real engine (conformance/classic-stateful-000).
constexpr bool wants_keepalive(std::uint8_t protocol, std::uint8_t tcp_seen) {
    return protocol == detail::kTcp && (tcp_seen & tcp_seen::both_syn) == tcp_seen::both_syn;
}

}  // namespace sluice::state
