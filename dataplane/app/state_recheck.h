// Has the running rules judge states anew (program/state_judge.h), a piece of them at a time: the
// main thread decides, the worker that owns the states carries the decisions out.
//
// Threads: the main thread, while the workers run.
#pragma once

#include <cstdint>
#include <span>

#include "common/result.h"
#include "dataplane/contract/message.h"
#include "dataplane/program/state_judge.h"
#include "dataplane/worker/state_orders.h"

namespace sluice::dataplane {

struct RecheckWorld {
    program::StateJudge::Spec rules;
    std::span<const state::StateTable* const> tables;  // by worker
    worker::StateOrders& orders;
    std::uint32_t uptime_s = 0;
    unsigned timeout_ms = 0;  // for a worker to carry it out
};

// Cells that are looked at for a piece, which keep the main thread for some milliseconds.
inline constexpr state::CellIndex kCellsRecheckedAtOnce = 16384;

Result<contract::RecheckReply> recheck_states(const contract::RecheckStates& request,
                                              const RecheckWorld& world);

}  // namespace sluice::dataplane
