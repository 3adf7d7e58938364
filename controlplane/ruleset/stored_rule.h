// A rule of a ruleset.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "controlplane/language/model.h"

namespace sluice::ruleset {

struct StoredRule {
    language::Rule rule;          // with the number that it was given
    std::string text;             // canonical, without number and set
    std::uint32_t slot = 0;       // of its counters
    std::uint32_t log_limit = 0;  // lines; fixed when the rule was added. 0: no limit, or no log
    std::uint32_t id = 0;         // of its states; never given to another rule. 0: the default rule
};

using RulePointer = std::shared_ptr<const StoredRule>;

}  // namespace sluice::ruleset
