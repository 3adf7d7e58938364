// What the engine of a worker writes to and asks, all of it owned by others.
#pragma once

#include <cstdint>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/log_ring.h"
#include "dataplane/packet/packet.h"
#include "dataplane/payload/flow_streams.h"
#include "dataplane/sockets/owners.h"
#include "dataplane/state/state_table.h"
#include "dataplane/table/table_store.h"

namespace sluice::program {

// Where an engine writes. The memory outlives the engine.
struct EngineOutputs {
    contract::RuleCounters* counters = nullptr;             // [slot_capacity]
    const contract::SlotAnnotation* annotations = nullptr;  // [slot_capacity]
    std::uint32_t slot_capacity = 0;
    contract::LogRing log;
    std::uint64_t* log_dropped = nullptr;
    std::uint64_t* without_state = nullptr;  // null: nobody counts it
    std::uint64_t* log_limited = nullptr;
    // The worker's shard. Null: no state can be made, and none is found.
    state::StateTable* states = nullptr;
    // Null: no table has any entry.
    const table::Store* tables = nullptr;
    unsigned worker = 0;  // whose hits are counted
    // Null: no packet belongs to a socket.
    const sockets::Owners* sockets = nullptr;
    unsigned reader = 0;  // of the matchers of pattern objects
    // Null: each packet is looked at by itself, also where an object wants to follow flows.
    payload::FlowStreams* flows = nullptr;
    contract::WorkerCounters* payload = nullptr;  // null: nobody counts what is looked at
};

// The numbers that `prob` draws, 31 bits each.
class RandomSource {
  public:
    virtual ~RandomSource() = default;
    virtual std::uint32_t draw(const packet::Packet& packet, std::uint32_t rule_index) = 0;
};

}  // namespace sluice::program
