#include "dataplane/app/state_memory.h"

#include <algorithm>

#include "dataplane/program/states.h"

namespace sluice::dataplane {

state::CellIndex cells_per_worker(std::uint32_t states, std::size_t workers) {
    if (workers == 1)
        return states;
    const std::uint64_t parts = 4 * std::uint64_t{workers};
    return static_cast<state::CellIndex>((std::uint64_t{states} * 5 + parts - 1) / parts);
}

Result<StateMemory> StateMemory::create(std::uint32_t states,
                                        const state::FlowHasher::Secret& secret,
                                        std::vector<worker::WorkerMemory>& memory) {
    StateMemory result;
    result.states_ = states;
    const state::CellIndex cells = cells_per_worker(states, memory.size());
    std::vector<const state::StateTable*> shards;
    for (worker::WorkerMemory& worker : memory) {
        auto table = state::StateTable::create(
            {.cells = cells,
             .secret = secret,
             .counters = worker.counters,
             .rules = {worker.outputs.counters, worker.outputs.slot_capacity}});
        if (!table)
            return table.error();
        if (auto populated = (*table)->populate(); !populated)
            return populated.error();
        result.bytes_ += state::StateTable::memory_for(cells);
        result.buckets_ += static_cast<std::uint32_t>((*table)->bucket_count());
        worker.outputs.states = table->get();
        shards.push_back(table->get());
        result.tables_.push_back(std::move(*table));
    }
    for (const auto& table : result.tables_)
        table->join(shards);
    return result;
}

std::vector<const state::StateTable*> StateMemory::tables() const {
    std::vector<const state::StateTable*> tables;
    for (const auto& table : tables_)
        tables.push_back(table.get());
    return tables;
}

StatesPiece StateMemory::list(const contract::StatesRequest& request,
                              const program::Runtime* runtime, std::uint32_t uptime_s) const {
    StatesPiece piece{.records = {}, .count = 0, .next = request.from, .last = runtime == nullptr};
    contract::StatePosition& at = piece.next;
    for (state::CellIndex left = kCellsAtOnce; !piece.last && left != 0;) {
        if (at.worker >= tables_.size()) {
            piece.last = true;
            break;
        }
        const state::StateTable& table = *tables_[at.worker];
        const state::CellIndex used = table.used_cells();
        if (at.cell >= used) {
            at = {.worker = at.worker + 1, .cell = 0};
            continue;
        }
        const state::CellIndex count = std::min(left, used - at.cell);
        program::append_states(table, *runtime, request.filter, uptime_s,
                               static_cast<std::uint16_t>(at.worker), piece.records,
                               {.first = at.cell, .end = at.cell + count});
        at.cell += count;
        left -= count;
    }
    piece.count = static_cast<std::uint64_t>(std::count_if(
        piece.records.begin(), piece.records.end(),
        [](const auto& record) { return record.kind != contract::StateKind::parent; }));
    if (request.wanted == contract::StatesWanted::count)
        piece.records.clear();
    return piece;
}

}  // namespace sluice::dataplane
