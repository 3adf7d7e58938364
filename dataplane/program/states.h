// States and the rules that they belong to, put together: what listings show and kills choose.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/message.h"
#include "dataplane/program/runtime.h"
#include "dataplane/state/state_table.h"

namespace sluice::program {

// Whether a state, or a parent, is meant. The one of a deleted rule never is.
bool matches(const contract::StateFilter& filter, const state::StateCopy& state,
             const Runtime& runtime, std::uint32_t uptime_s);

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
