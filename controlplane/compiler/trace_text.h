// A trace in words: one line for each rule on the way, and the verdict.
#pragma once

#include <span>
#include <string>

#include "controlplane/ruleset/ruleset.h"
#include "dataplane/contract/trace.h"

namespace sluice::compiler {

// Rules that the ruleset does not have are told by number alone.
std::string trace_text(const ruleset::Ruleset& rules, std::span<const contract::TraceStep> steps,
                       const contract::TraceVerdict& verdict);

}  // namespace sluice::compiler
