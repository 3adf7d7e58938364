// Carries a request out on a copy of the ruleset.
//
// Pure logic: what a script would change comes back as a new ruleset and a list of counters to
// clear; the caller publishes the one, clears the others, and only then lets them count. Until then
// nothing has happened, so a script that fails anywhere leaves no trace.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// Since the rule was added or zeroed.
struct RuleTotals {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_match_s = 0;  // 0: never
};

using CounterReader = std::function<RuleTotals(std::uint32_t slot)>;

struct ClearOrder {
    std::uint32_t slot = 0;
    bool log_only = false;  // resetlog: the log limit alone
};

struct ScriptOutcome {
    ruleset::Ruleset ruleset;
    bool changed = false;  // the ruleset, or a sysctl: a new snapshot is due
    std::vector<ClearOrder> clear;
    std::vector<OperationResult> results;
};

struct ScriptError {
    std::uint32_t line = 0;
    Error error;
};

Result<ScriptOutcome, ScriptError> run_script(const Request& request,
                                              const ruleset::Ruleset& current,
                                              const CounterReader& counters);

}  // namespace sluice::service
