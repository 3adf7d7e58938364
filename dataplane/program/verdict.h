// What the rules say of a packet.
#pragma once

#include <cstdint>

#include "common/address.h"
#include "dataplane/contract/drop_reason.h"

namespace sluice::program {

// Copies of one packet.
inline constexpr unsigned kMaximumTees = 32;

struct Verdict {
    enum class Kind : std::uint8_t {
        accept,
        deny,
        unreach,   // argument: ICMP code; deny and tell the sender
        unreach6,  // argument: ICMPv6 code
        reset,     // deny and reset the TCP connection
        reset6,
        abort,  // deny and abort the SCTP association
        abort6,
        divert,  // argument: port; continues behind `rule` when it comes back
        tee,     // argument: port; a copy goes there, then call `resume`
        fwd,     // next hop in the rule record, or, if it is tablearg, here
        reass,   // waits for the rest of its datagram; with the whole one call `resume`
    };
    Kind kind = Kind::deny;
    contract::DropReason reason = contract::DropReason::none;  // when no rule decided
    std::uint16_t argument = 0;
    std::uint16_t mtu = 0;  // unreach needfrag
    std::uint8_t tees = 0;  // that the packet has met so far
    std::int32_t rule_number =
        -1;                        // -1: dropped before any rule; 0: passed, not judged by any rule
    std::uint32_t rule_index = 0;  // of the deciding rule in the snapshot; valid if rule_number > 0
    std::uint8_t next_hop_family = 0;  // 4 or 6: fwd tablearg, and the next hop is this one
    Ipv6 next_hop{};                   // the first 4 bytes for family 4
};

}  // namespace sluice::program
