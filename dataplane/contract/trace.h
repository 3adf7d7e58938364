// What the data plane tells of the way that a packet would take through the rules.
//
// A trace is asked for with a packet as bytes and the way it comes (TraceRequest in message.h). The
// answer is a verdict and one TraceStep for each rule on the way, in order. Nothing that a trace
// does can be seen afterwards: no counter, no state, no log line, no random number.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::contract {

// What a `prob` rule is taken for.
enum class ChanceIs : std::uint32_t { match, skip, count_ };

enum class TraceOutcome : std::uint8_t {
    test_failed,      // `test` says which
    no_state,         // check-state: the packet has none
    looked_before,    // check-state: the walk has looked for this name already
    state_hit,        // the action of the rule that made the state is carried out
    state_elsewhere,  // the packet has a state, and goes on behind the rule that made it
    not_for_frames,   // what is not IP passes a bridge unless the rule names the link layer
    deferred,         // it matches, and its action waits for the next packet
    passed_over,      // it matches, and its action means nothing to this packet
    matched,          // counted, and its action carried out
    state_refused,    // it matches, and its state cannot be made: the packet is dropped
    count_
};

namespace trace_flag {
inline constexpr std::uint8_t looked_for_state = 1;  // and found none, before its tests
inline constexpr std::uint8_t makes_state = 2;
inline constexpr std::uint8_t has_state = 4;        // that it would make is there already
inline constexpr std::uint8_t logs = 8;             // as far as its limit allows
inline constexpr std::uint8_t by_chance = 16;       // a `prob` was asked
inline constexpr std::uint8_t found_entry = 32;     // `table` and `table_value` hold
inline constexpr std::uint8_t reverse = 64;         // state_hit: the packet goes the other way
inline constexpr std::uint8_t without_state = 128;  // there is no room for it, and it goes on
}  // namespace trace_flag

struct TraceStep {
    std::uint32_t slot = 0;  // of the rule
    std::uint32_t id = 0;
    std::uint16_t number = 0;
    TraceOutcome outcome = TraceOutcome::matched;
    std::uint8_t flags = 0;  // trace_flag
    // test_failed: the first or-block of the rule that did not match; header blocks first, then
    // residual ones, as they stand in the snapshot.
    std::uint32_t test = 0;
    std::uint32_t parent_slot = 0;  // state_hit, state_elsewhere: of the rule that made the state
    std::uint32_t parent_id = 0;
    std::uint16_t parent_number = 0;
    std::uint16_t next_number =
        0;                    // where the walk goes on, if not at the next rule; 0: it is that
    std::uint32_t table = 0;  // id of the one that the rule found its entry in last
    std::uint32_t table_value = 0;
};

// What a worker's engine says of the same packet, asked on memory of its own.
enum class TraceCheck : std::uint32_t {
    agrees,      // verdict, deciding rule, and which rules count
    disagrees,   // a defect
    impossible,  // a full or small table, states of one second, or a way too long to be told
                 // make the answer depend on more
    count_
};

struct TraceVerdict {
    std::uint32_t kind = 0;  // TraceEnd
    std::int32_t rule_number = -1;
    std::uint32_t reason = 0;  // DropReason
    std::uint16_t argument = 0;
    std::uint16_t next_hop_port = 0;
    std::uint16_t next_hop_family = 0;  // 4, 6 or 0
    std::uint8_t tees = 0;
    std::uint8_t reserved = 0;
    Ipv6 next_hop;
    TraceCheck check = TraceCheck::agrees;
};

enum class TraceEnd : std::uint32_t {
    accept,
    deny,
    unreach,
    unreach6,
    reset,
    reset6,
    abort,
    abort6,
    divert,
    tee,
    fwd,
    reass,
    count_
};

// More steps than these a walk has only if rules call each other in a circle; the rest is left out.
inline constexpr std::uint32_t kMaximumTraceSteps = 262'144;

static_assert(sizeof(TraceStep) == 36 && sizeof(TraceVerdict) == 40);
static_assert(std::has_unique_object_representations_v<TraceStep>);
static_assert(std::has_unique_object_representations_v<TraceVerdict>);

}  // namespace sluice::contract
