// The memory for states: one table for each worker, joined, taken before the workers start.
//
// Flows do not spread evenly, so that each of several workers has a quarter more than its share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/app/states_piece.h"
#include "dataplane/program/runtime.h"
#include "dataplane/state/state_table.h"
#include "dataplane/worker/bridge.h"

namespace sluice::dataplane {

class StateMemory {
  public:
    // `states` of IPv4 flows, of all workers together. Gives each worker its table; `memory` says
    // where tables count. The workers must have stopped when this goes.
    static Result<StateMemory> create(std::uint32_t states, const state::FlowHasher::Secret& secret,
                                      std::vector<worker::WorkerMemory>& memory);

    std::uint32_t states() const { return states_; }
    std::uint64_t bytes() const { return bytes_; }
    std::uint32_t buckets() const { return buckets_; }

    // A piece of what is asked for, of all workers while they run. `runtime` is the ruleset that
    // they run; null: there is none, and no state.
    StatesPiece list(const contract::StatesRequest& request, const program::Runtime* runtime,
                     std::uint32_t uptime_s) const;

    // Of all workers.
    std::vector<const state::StateTable*> tables() const;

    // Cells that are looked at for a piece.
    static constexpr state::CellIndex kCellsAtOnce = 65536;

  private:
    std::uint32_t states_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint32_t buckets_ = 0;
    std::vector<std::unique_ptr<state::StateTable>> tables_;
};

// Cells that each worker's table has.
state::CellIndex cells_per_worker(std::uint32_t states, std::size_t workers);

}  // namespace sluice::dataplane
