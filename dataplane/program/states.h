// States and the rules that they belong to, put together: what listings show and kills choose.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/contract/message.h"
#include "dataplane/program/runtime.h"
#include "dataplane/state/state_table.h"

namespace sluice::program {

// Whether a state, or a parent, is meant. The one of a deleted rule never is.
bool matches(const contract::StateFilter& filter, const state::StateCopy& state,
             const Runtime& runtime, std::uint32_t uptime_s);

// What is to become of a state that was read, if it is still the same when its worker gets there.
struct StateDecision {
    state::CellIndex cell = state::kNoCell;
    state::FlowKey key;  // as in StateCopy
    std::uint32_t name = 0;
    std::uint32_t rule_id = 0;  // that it belonged to
    // The rule that it belongs to from now on; id 0: it is killed.
    std::uint32_t next_slot = 0;
    std::uint32_t next_id = 0;
};

struct SettledStates {
    std::uint64_t moved = 0;
    std::uint64_t killed = 0;  // also because the limit of the rule is reached, or the flow has a
                               // state of that rule's name already
};

// By the owner of the table. Each decision takes bounded time.
SettledStates settle_states(state::StateTable& table, const Runtime& runtime,
                            std::span<const StateDecision> decisions, std::uint32_t uptime_s);

struct CellRange {
    state::CellIndex first = 0;
    state::CellIndex end = state::kNoCell;
};

// Appends what `filter` means of some cells of one shard. May be called by any thread while the
// shard's worker changes it; each record is right in itself. States whose time is up are left out,
// whether they have been collected or not.
void append_states(const state::StateTable& table, const Runtime& runtime,
                   const contract::StateFilter& filter, std::uint32_t uptime_s,
                   std::uint16_t worker, std::vector<contract::StateRecord>& records,
                   const CellRange& cells = {});

}  // namespace sluice::program
