// Answers requests for how often patterns were found.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/program/runtime.h"

namespace sluice::dataplane {

// PatternReport and a number for each pattern (contract/pattern.h), of an object of the ruleset
// that runs; null: none runs. The workers may be counting meanwhile.
Result<std::vector<std::byte>> report_pattern(const program::Runtime* runtime,
                                              std::string_view name);

}  // namespace sluice::dataplane
