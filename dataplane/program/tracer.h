// The way of one packet through the rules, rule by rule, told instead of taken.
//
// A walk of its own, linear as the manual has it, with the tests of the engine: each rule on the
// way and the first of its tests that fails. What it finds out is held against a worker's engine
// (trace_check.h), so that a trace that would lie says so.
//
// Threads: the main thread, while workers run: tables are read as they read them, states by copies.
// Nothing is written. It may allocate and takes time in proportion to rules and states.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "dataplane/contract/trace.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/runtime.h"
#include "dataplane/program/verdict.h"
#include "dataplane/sockets/owners.h"
#include "dataplane/state/state_table.h"
#include "dataplane/table/table_store.h"

namespace sluice::program {

// What is asked, and not changed. Null or empty: there is none.
struct TraceWorld {
    const Runtime& runtime;
    std::span<const state::StateTable* const> states = {};
    const table::Store* tables = nullptr;
    const sockets::Owners* sockets = nullptr;
};

// A state of the flow of a packet.
struct TracedState {
    state::FlowKey key;  // from_low: of the packet that made it
    std::uint32_t name = 0;
    std::uint32_t rule_slot = 0;
    std::uint32_t rule_id = 0;
    std::uint32_t made_s = 0;
    bool answered = false;  // a packet came back
};

struct Trace {
    std::vector<contract::TraceStep> steps;
    Verdict verdict;
    // Behind which rules the packet was copied, or which it waits for others at.
    std::map<std::uint32_t, std::uint64_t> counted;  // by slot
    std::vector<TracedState> states;                 // that there were
    bool state_refused = false;
    bool ambiguous = false;  // several states of one flow and second were asked for the newest
    bool cut_short = false;  // there were more steps than are told
};

Trace trace(const TraceWorld& world, const packet::Packet& packet, contract::ChanceIs chance);

// The verdict as it travels.
contract::TraceVerdict to_contract(const Verdict& verdict, const Runtime& runtime,
                                   contract::TraceCheck check);

}  // namespace sluice::program
