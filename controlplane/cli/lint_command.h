// `ipfw lint [--all] [--json] [FILE|running]`: what is odd about a ruleset, see analysis/lint.h.
// The exit status is 0 if nothing is, 1 if there are findings. With --all rules that cross like a
// rule and its exceptions contradict each other, too.
#pragma once

#include <span>
#include <string>

#include "controlplane/cli/output.h"

namespace sluice::cli {

// `arguments` behind the word `lint`.
void run_lint(std::span<const std::string> arguments, Output& output);

}  // namespace sluice::cli
