#include "dataplane/program/states.h"

#include <algorithm>
#include <cstring>

namespace sluice::program {

namespace {

using contract::StateFilter;
using contract::StateKind;
using state::Cell;
using state::StateCopy;

bool is_in_network(const Ipv6& address, const StateFilter& filter) {
    const unsigned whole = filter.prefix_length / 8;
    const unsigned rest = filter.prefix_length % 8;
    if (std::memcmp(address.bytes.data(), filter.address.bytes.data(), whole) != 0)
        return false;
    if (rest == 0)
        return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
    return ((address.bytes[whole] ^ filter.address.bytes[whole]) & mask) == 0;
}

bool has_address(const StateCopy& state, const StateFilter& filter) {
    return filter.ip_version == 0 ||
           (state.key.ip_version == filter.ip_version &&
            (is_in_network(state.key.low(), filter) || is_in_network(state.key.high(), filter)));
}

contract::StateRecord record_of(const StateCopy& copy, const contract::RuleRecord& rule,
                                std::uint32_t uptime_s, std::uint16_t worker) {
    const Cell& cell = copy.cell;
    const bool parent = state::is_parent(cell.kind);
    const bool from_low = copy.key.from_low;
    contract::StateRecord record;
    record.source = from_low ? copy.key.low() : copy.key.high();
    record.destination = from_low ? copy.key.high() : copy.key.low();
    record.source_port = from_low ? copy.key.low_port : copy.key.high_port;
    record.destination_port = from_low ? copy.key.high_port : copy.key.low_port;
    record.protocol = cell.protocol;
    record.ip_version = copy.key.ip_version;
    record.rule_number = rule.number;
    record.rule_slot = cell.rule_slot;
    record.rule_id = cell.rule_id;
    record.name = cell.name;
    record.expires_s = cell.expires_s > uptime_s ? cell.expires_s - uptime_s : 0;
    record.age_s = uptime_s > copy.made_s ? uptime_s - copy.made_s : 0;
    record.worker = worker;
    if (parent) {
        record.kind = StateKind::parent;
        record.children = static_cast<std::uint32_t>(cell.packets);
        record.limit_mask = cell.tcp_seen;
        return record;
    }
    record.kind = (cell.marks & state::mark::limited) != 0 ? StateKind::limited : StateKind::state;
    record.packets = cell.packets;
    record.bytes = cell.bytes;
    record.answered = (cell.marks & state::mark::answered) != 0 ? 1 : 0;
    record.tcp_flags =
        static_cast<std::uint16_t>((cell.tcp_seen & 0xf) | (cell.tcp_seen >> 4) << 8);
    return record;
}

// The same ends, and the same one of them began.
bool same_flow(const state::FlowKey& a, const state::FlowKey& b) {
    return a.ip_version == b.ip_version && a.protocol == b.protocol && a.low() == b.low() &&
           a.high() == b.high() && a.ports() == b.ports() && a.from_low == b.from_low;
}

bool moves(state::StateTable& table, const Runtime& runtime, const StateDecision& decision,
           const StateCopy& copy, std::uint32_t uptime_s) {
    if (decision.next_id == 0)
        return false;
    const auto index = runtime.rule_of_state(decision.next_slot, decision.next_id);
    if (!index)
        return false;
    const contract::RuleRecord& rule = runtime.view().all_rules()[*index];
    if (rule.state_name != copy.cell.name &&
        table.find(copy.key, table.hash(copy.key), rule.state_name, uptime_s))
        return false;
    return table.move(decision.cell, rule, runtime.view().sysctls(), uptime_s);
}

}  // namespace

bool matches(const StateFilter& filter, const StateCopy& state, const Runtime& runtime,
             std::uint32_t uptime_s) {
    const Cell& cell = state.cell;
    const auto rule = runtime.rule_of_state(cell.rule_slot, cell.rule_id);
    if (!rule)
        return false;
    const std::uint32_t age_s = uptime_s > state.made_s ? uptime_s - state.made_s : 0;
    return has_address(state, filter) &&
           (filter.has_protocol == 0 || cell.protocol == filter.protocol) &&
           (filter.port == 0 || cell.low_port == filter.port || cell.high_port == filter.port) &&
           (filter.rule_number == 0 ||
            runtime.view().all_rules()[*rule].number == filter.rule_number) &&
           (filter.name == 0 || cell.name == filter.name) && age_s >= filter.minimum_age_s;
}

void append_states(const state::StateTable& table, const Runtime& runtime,
                   const StateFilter& filter, std::uint32_t uptime_s, std::uint16_t worker,
                   std::vector<contract::StateRecord>& records, const CellRange& cells) {
    const state::CellIndex end = std::min(cells.end, table.used_cells());
    for (state::CellIndex index = cells.first; index < end; ++index) {
        const auto copy = table.read(index);
        if (!copy || !matches(filter, *copy, runtime, uptime_s))
            continue;
        // A parent lives as long as it counts something.
        const bool over = copy->cell.expires_s <= uptime_s &&
                          (!state::is_parent(copy->cell.kind) || copy->cell.packets == 0);
        if (over)
            continue;
        const auto rule = runtime.rule_of_state(copy->cell.rule_slot, copy->cell.rule_id);
        records.push_back(record_of(*copy, runtime.view().all_rules()[*rule], uptime_s, worker));
    }
}

SettledStates settle_states(state::StateTable& table, const Runtime& runtime,
                            std::span<const StateDecision> decisions, std::uint32_t uptime_s) {
    SettledStates settled;
    for (const StateDecision& decision : decisions) {
        const auto copy = table.read(decision.cell);
        if (!copy || !state::is_state(copy->cell.kind) || copy->cell.expires_s <= uptime_s ||
            copy->cell.rule_id != decision.rule_id || copy->cell.name != decision.name ||
            !same_flow(copy->key, decision.key))
            continue;
        if (moves(table, runtime, decision, *copy, uptime_s)) {
            ++settled.moved;
            continue;
        }
        table.remove(decision.cell);
        ++settled.killed;
    }
    return settled;
}

}  // namespace sluice::program
