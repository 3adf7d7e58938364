// `ipfw diff [--json] A B`: which rules tell two rulesets apart. A and B are rule files, or
// `running`. One line a rule, in the order of the numbers: `-` only in A, `+` only in B, `~` in
// both, but changed. The exit status is 0 if there is none, 1 if there are some.
#pragma once

#include <span>
#include <string>

#include "controlplane/cli/output.h"

namespace sluice::cli {

// `arguments` behind the word `diff`.
void run_diff(std::span<const std::string> arguments, Output& output);

}  // namespace sluice::cli
