// `ipfw check [--json] FILE…`: what loading each file would say, without a daemon.
//
// Complaints go to standard error, `FILE:LINE:COLUMN: error: …`; standard output has the number of
// rules of each file that would be taken. The exit status is that of the load.
#pragma once

#include <span>
#include <string>

#include "analysis/checked_file.h"
#include "controlplane/cli/output.h"

namespace sluice::cli {

// `arguments` behind the word `check`.
void run_check(std::span<const std::string> arguments, Output& output);

// The file, checked; none: it cannot be read, or is refused, and the output says why.
std::optional<analysis::CheckedFile> checked_file(const std::string& path, Output& output);

// `1 rule`, `2 rules`
std::string counted(std::size_t count, const std::string& what);

}  // namespace sluice::cli
