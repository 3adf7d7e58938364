// `ipfw logsum [--inside NET,…] [--top N] [--json] [FILE|-]`: what the log lines of a file, or of
// the standard input, say together (analysis/log_summary.h). An interrupt ends the input, so that
// `ipfw tail | ipfw logsum` tells what there was until then.
#pragma once

#include <span>
#include <string>

#include "controlplane/cli/output.h"

namespace sluice::cli {

// `arguments` behind the word `logsum`.
void run_logsum(std::span<const std::string> arguments, Output& output);

}  // namespace sluice::cli
