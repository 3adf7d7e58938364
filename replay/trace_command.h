// `ipfw trace --rules FILE [--env ENV] [--prob-as match|skip] PACKET`: which way a packet would
// take through the rules of a file, without a daemon.
#pragma once

#include <span>
#include <string>

#include "common/result.h"

namespace sluice::replay {

// What is printed. `arguments` stand behind the word `trace`.
Result<std::string> trace_through_file(std::span<const std::string> arguments);

}  // namespace sluice::replay
