#include "dataplane/program/trace_check.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "dataplane/program/engine.h"
#include "dataplane/state/lifetimes.h"

namespace sluice::program {

namespace {

using contract::TraceCheck;

constexpr state::CellIndex kCells = 256;
constexpr std::uint32_t kLong = 1u << 30;  // seconds
constexpr std::uint32_t kLogRecords = 64;  // that nobody reads; what finds no room is dropped

class SameDraw final : public RandomSource {
  public:
    explicit SameDraw(contract::ChanceIs chance) : chance_(chance) {}
    std::uint32_t draw(const packet::Packet&, std::uint32_t) override {
        return chance_ == contract::ChanceIs::match ? 0 : 0x7fffffff;
    }

  private:
    contract::ChanceIs chance_;
};

struct alignas(64) Line {
    std::byte bytes[64];
};

std::uint32_t slots_of(const Runtime& runtime) {
    std::uint32_t slots = 1;
    for (const contract::RuleRecord& rule : runtime.view().all_rules())
        slots = std::max(slots, rule.slot + 1);
    return slots;
}

// False: one finds no place.
bool give_states(state::StateTable& table, const Runtime& runtime, const packet::Packet& packet,
                 const std::vector<TracedState>& states) {
    contract::Sysctls sysctls = runtime.view().sysctls();
    sysctls.dyn_max = kCells;
    // They are as old as they are, and have not ended.
    for (std::uint32_t* lifetime :
         {&sysctls.dyn_ack_lifetime, &sysctls.dyn_syn_lifetime, &sysctls.dyn_fin_lifetime,
          &sysctls.dyn_rst_lifetime, &sysctls.dyn_udp_lifetime, &sysctls.dyn_short_lifetime})
        *lifetime = kLong;
    const state::Lifetimes lifetimes = state::Lifetimes::of(sysctls, 0);
    for (const TracedState& state : states) {
        const auto index = runtime.rule_of_state(state.rule_slot, state.rule_id);
        if (!index)
            continue;
        contract::RuleRecord rule = runtime.view().all_rules()[*index];
        rule.state = contract::StateOption::keep;  // it has been counted
        rule.state_name = state.name;
        packet::Packet maker = packet;
        maker.uptime_s = state.made_s;
        if (table.create(state.key, table.hash(state.key), rule, maker, sysctls, lifetimes) !=
            state::Creation::made)
            return false;
    }
    return true;
}

// Whether these states of one flow, and those that its packet may make, could be all that there may
// be. The states are given without their history, so a table so small says nothing.
bool may_fill_up(const Runtime& runtime, std::size_t states) {
    const std::uint64_t names = runtime.state_name_count();
    return runtime.uses_states() &&
           state::StateTable::is_full(
               {.states = states + names, .unanswered = states + names, .parents = names},
               runtime.view().sysctls());
}

}  // namespace

TraceCheck check_trace(const TraceWorld& world, const packet::Packet& packet,
                       contract::ChanceIs chance, const Trace& trace) {
    if (trace.state_refused || trace.ambiguous || trace.cut_short)
        return TraceCheck::impossible;
    const Runtime& runtime = world.runtime;
    if (may_fill_up(runtime, trace.states.size()))
        return TraceCheck::impossible;
    const std::uint32_t slots = slots_of(runtime);
    std::vector<contract::RuleCounters> counters(slots), kept_apart(slots);
    const std::vector<contract::SlotAnnotation> annotations(slots);
    std::vector<Line> ring(contract::log_ring_stride(kLogRecords) / sizeof(Line));
    const auto worker_counters = std::make_unique<contract::WorkerCounters>();
    auto states = state::StateTable::create({.cells = kCells,
                                             .secret = {1, 2, 3, 4},
                                             .counters = worker_counters.get(),
                                             .rules = kept_apart});
    if (!states || !give_states(**states, runtime, packet, trace.states))
        return TraceCheck::impossible;
    SameDraw draws(chance);
    EngineOutputs outputs;
    outputs.counters = counters.data();
    outputs.annotations = annotations.data();
    outputs.slot_capacity = slots;
    outputs.log = contract::LogRing::create(ring.data(), kLogRecords);
    outputs.states = world.states.empty() ? nullptr : states->get();
    outputs.tables = world.tables;
    outputs.worker = table::Store::kNobody;
    outputs.sockets = world.sockets;
    outputs.reader = runtime.payload_readers() - 1;
    Engine engine(outputs, 1, &draws);
    const auto burst = std::make_unique<packet::Burst>();
    const auto judgement = std::make_unique<Judgement>();
    burst->begin({.parser_settings = runtime.parser_settings(),
                  .first_sequence = packet.sequence,
                  .now_ms = packet.now_ms,
                  .uptime_s = packet.uptime_s});
    burst->add(packet.headers.frame, packet.headers.frame_length, packet.passage);
    engine.filter(runtime, *burst, *judgement);
    Verdict verdict = Engine::verdict(runtime, *judgement, 0);
    while (verdict.kind == Verdict::Kind::tee)
        verdict = engine.resume(runtime, packet, verdict, judgement->mark(0));
    bool same = verdict.kind == trace.verdict.kind && verdict.reason == trace.verdict.reason &&
                verdict.rule_number == trace.verdict.rule_number &&
                verdict.argument == trace.verdict.argument;
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
        const auto counted = trace.counted.find(slot);
        same &= counters[slot].packets == (counted == trace.counted.end() ? 0 : counted->second);
    }
    return same ? TraceCheck::agrees : TraceCheck::disagrees;
}

}  // namespace sluice::program
