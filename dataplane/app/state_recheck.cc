#include "dataplane/app/state_recheck.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::dataplane {

namespace {

// Cells of one worker.
struct Piece {
    std::uint32_t worker = 0;
    state::CellIndex first = 0;
    state::CellIndex end = 0;
};

// None: there are no cells behind `from`.
Piece next_piece(std::span<const state::StateTable* const> tables,
                 const contract::StatePosition& from) {
    Piece piece{.worker = from.worker, .first = from.cell, .end = from.cell};
    for (; piece.worker < tables.size(); ++piece.worker, piece.first = 0) {
        const state::CellIndex used = tables[piece.worker]->used_cells();
        if (piece.first >= used)
            continue;
        piece.end = piece.first + std::min(used - piece.first, kCellsRecheckedAtOnce);
        return piece;
    }
    return {.worker = piece.worker};
}

program::StateDecision decision(state::CellIndex cell, const state::StateCopy& state) {
    return {.cell = cell, .key = state.key, .name = state.cell.name, .rule_id = state.cell.rule_id};
}

}  // namespace

Result<contract::RecheckReply> recheck_states(const contract::RecheckStates& request,
                                              const RecheckWorld& world) {
    contract::RecheckReply reply;
    reply.header.length = sizeof reply;
    const Piece piece = next_piece(world.tables, request.from);
    reply.next = {.worker = piece.worker, .cell = piece.end};
    if (piece.first == piece.end) {
        reply.last = 1;
        return reply;
    }
    auto judge = program::StateJudge::create(world.rules);
    if (!judge)
        return judge.error();
    const program::Runtime& runtime = world.rules.runtime;
    std::vector<program::StateDecision> decisions;
    for (state::CellIndex i = piece.first; i < piece.end; ++i) {
        const auto state = world.tables[piece.worker]->read(i);
        // What has ended, and those of rules that are not there any more, are being swept out.
        if (!state || !state::is_state(state->cell.kind) ||
            state->cell.expires_s <= world.uptime_s ||
            !runtime.rule_of_state(state->cell.rule_slot, state->cell.rule_id))
            continue;
        program::StateDecision next = decision(i, *state);
        if (const auto rule = (*judge)->judge(*state)) {
            const contract::RuleRecord& record = runtime.view().all_rules()[*rule];
            if (record.id == state->cell.rule_id) {
                ++reply.kept;
                continue;
            }
            next.next_slot = record.slot;
            next.next_id = record.id;
        }
        decisions.push_back(next);
    }
    if (decisions.empty())
        return reply;
    const auto settled = world.orders.settle(piece.worker, std::move(decisions), world.timeout_ms);
    if (!settled)
        return settled.error();
    reply.moved = settled->moved;
    reply.killed = settled->killed;
    return reply;
}

}  // namespace sluice::dataplane
