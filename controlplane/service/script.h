// Carries a request out on a copy of the ruleset.
//
// Pure logic: what a script would change comes back as a new ruleset and a list of counters to
// clear; the caller publishes the one, clears the others, and only then lets them count. Until then
// nothing has happened, so a script that fails anywhere leaves no trace.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/protocol.h"
#include "controlplane/service/table_work.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

// Since the rule was added or zeroed.
struct RuleTotals {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_match_s = 0;  // 0: never
    std::uint64_t since_s = 0;       // when that was; 0: nobody knows
};

using CounterReader = std::function<RuleTotals(std::uint32_t slot)>;

struct ClearOrder {
    std::uint32_t slot = 0;
    bool log_only = false;  // resetlog: the log limit alone
};

// States to be killed, or all of them to be judged anew, once the rest has taken effect.
struct KillOrder {
    enum class What : std::uint8_t { kill, judge_anew };
    static constexpr std::size_t kNoResult = static_cast<std::size_t>(-1);
    std::size_t result = 0;  // index of the one that says how many there were, or kNoResult
    std::vector<contract::StateFilter> filters;
    std::string complaint;  // if there were none; empty: that is all right
    bool forgive = false;   // the complaint costs no exit status
    What what = What::kill;

    // REQUIRES: all filters have been carried out and counted.
    void conclude(OperationResult& counted) const;
};

struct ScriptOutcome {
    ruleset::Ruleset ruleset;
    bool changed = false;  // the ruleset, or a sysctl: a new snapshot is due
    std::vector<ClearOrder> clear;
    std::vector<KillOrder> kills;
    // What the data plane has to do with tables first; its answer completes the results.
    TableWork tables;
    std::vector<OperationResult> results;
    // Databases of patterns that are not there yet. If there are any, nothing else of this counts:
    // the script is to be run again when they are.
    std::vector<patterns::DatabaseOrder> missing = {};
};

// What the data plane tells of its states. `records` are those that `states_wanted` asks for; a
// script that does not ask needs none.
struct DataplaneStates {
    ruleset::StateFacts facts;
    std::span<const contract::StateRecord> records;  // more than kMaximumListedStates: not all
    std::uint64_t count = 0;
    contract::RulesetCost cost{};  // of the running ruleset
};

// More than this many make too long an answer.
inline constexpr std::size_t kMaximumListedStates = 400'000;

// Which states the data plane has to be asked for; none: it need not be asked.
struct WantedStates {
    contract::StateFilter filter;
    contract::StatesWanted wanted = contract::StatesWanted::records;
};
std::optional<WantedStates> states_wanted(const Request& request);

struct ScriptError {
    std::uint32_t line = 0;
    Error error;
};

Result<ScriptOutcome, ScriptError> run_script(
    const Request& request, const ruleset::Ruleset& current, const CounterReader& counters,
    const DataplaneStates& states = {},
    const patterns::DatabaseSource& databases = patterns::make_database);

}  // namespace sluice::service
