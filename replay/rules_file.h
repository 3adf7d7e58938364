// The rule file of a replay, carried out as the appliance does it: the same script on the same
// ruleset, as a whole or not at all. A line with `-n` changes nothing. What a line would print is
// not printed: a replay prints at its end.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "replay/environment_file.h"

namespace sluice::replay {

// Starts from the default rule and the sysctls of the environment. Errors name the line. `origin`
// is the file's name, for them.
Result<ruleset::Ruleset> parse_rules(std::string_view text, const std::string& origin,
                                     const EnvironmentFile& environment);

}  // namespace sluice::replay
