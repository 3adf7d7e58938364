#include "dataplane/app/state_memory.h"

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

std::vector<contract::StateRecord> StateMemory::list(const contract::StateFilter& filter,
                                                     const program::Runtime* runtime,
                                                     std::uint32_t uptime_s) const {
    std::vector<contract::StateRecord> records;
    if (runtime == nullptr)
        return records;
    for (std::size_t worker = 0; worker < tables_.size(); ++worker)
        program::append_states(*tables_[worker], *runtime, filter, uptime_s,
                               static_cast<std::uint16_t>(worker), records);
    return records;
}

}  // namespace sluice::dataplane
