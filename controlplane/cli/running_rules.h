// The rules of the control plane as a ruleset of ours, for commands that compare or look through
// rules. Counters, slots and states stay where they are; tables are there without contents,
// pattern objects with their patterns and without databases.
#pragma once

#include <optional>

#include "controlplane/cli/output.h"
#include "controlplane/ruleset/ruleset.h"

namespace sluice::cli {

// The word that stands for them where a file could stand.
inline constexpr char kRunning[] = "running";

// None: the output says why.
std::optional<ruleset::Ruleset> running_rules(Output& output);

}  // namespace sluice::cli
