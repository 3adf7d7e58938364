// What the control plane wants to remember about a slot for as long as the data plane lives, in a
// memfd that the data plane makes and keeps: so a control plane that crashed finds it again.
//
// Threads: written by the control plane alone. Workers read `log_epoch` when they are about to log.
// Layout: SlotAnnotation[slot_capacity]. Slot 0 belongs to packets dropped before any rule (rule
// -1).
#pragma once

#include <cstdint>

namespace sluice::contract {

inline constexpr std::uint32_t kBogusSlot = 0;

struct alignas(64) SlotAnnotation {
    std::uint64_t zero_packets = 0;  // counter values when the rule was added or last zeroed
    std::uint64_t zero_bytes = 0;
    std::uint64_t first_packets =
        0;  // counter values when the rule was added: metrics know no zero
    std::uint64_t first_bytes = 0;
    std::uint32_t log_epoch = 0;  // +1 re-arms the log limit in every worker
    std::uint32_t logged = 0;     // lines written in this epoch
    std::uint64_t since_s = 0;    // when the rule was added or last zeroed, since 1970; 0: unknown
    std::uint64_t reserved[2] = {};
};

static_assert(sizeof(SlotAnnotation) == 64);

}  // namespace sluice::contract
