// What is known of a packet while it walks through the rules.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/classify/header_key.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/runtime.h"
#include "dataplane/program/table_tests.h"
#include "dataplane/state/flow_key.h"
#include "dataplane/state/state_table.h"

namespace sluice::program {

inline constexpr std::uint32_t kNoRule = 0xffffffff;

// What is counted by `limit` is bounded also when the table is full.
inline bool passes_without_state(const contract::RuleRecord& rule,
                                 const contract::Sysctls& sysctls) {
    return sysctls.dyn_full_pass != 0 && rule.state != contract::StateOption::limit;
}

struct Walk {
    const Runtime& runtime;
    const packet::Packet& packet;
    const classify::HeaderKey& key_of_headers;
    // The rules that match it, from the index `matches_from` on.
    classify::Matches& matches;
    std::uint32_t listed_from = 0;  // before this rule it is asked for each whether it matches
    std::uint32_t matches_from = 0;
    std::uint32_t asked_from = 0;  // the last time …
    std::uint32_t next_match = 0;  // … and the first place in `matches` that may be at or behind it
    PacketMarks& marks;
    // The packet as the rules see it: itself, or a copy with the headers that they have changed.
    // What those may be is no header test, so the classifier is asked with the packet itself.
    const packet::Packet* seen;
    state::FlowKey key{};
    state::FlowHash hash = 0;
    state::CellIndex guess = state::kNoCell;  // where its state may be
    bool has_flow = false;                    // it is IP, and states are in use: key and hash hold
    std::uint32_t names_left = 0;        // that may still be looked for; a look-up for any ends it
    std::size_t next_probe = 0;          // where to search for it
    std::uint32_t drawn_rule = kNoRule;  // `prob` of this rule has drawn already …
    bool drawn = false;                  // … and that was the answer
    unsigned tees = 0;                   // met before
    unsigned came_back_behind = 0;       // this number, from a program
    const contract::RuleRecord* parent = nullptr;  // of the last state that was hit
    bool forward = true;       // the packet went the way of the state's first one
    TableArgument argument{};  // `tablearg` of the rule that is looked at
    // A test has found that the packet must not pass, whatever rules say.
    contract::DropReason refused = contract::DropReason::none;
};

}  // namespace sluice::program
