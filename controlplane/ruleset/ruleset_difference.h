// What tells two rulesets apart, rule by rule.
//
// Rules belong together by their number. Those of one number that are the same in set and text on
// both sides are the same rules; of what is left, an old and a new one make one change, in their
// order, and the rest was removed or added. Two rules of one number that only changed places are no
// difference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/ruleset/stored_rule.h"

namespace sluice::ruleset {

struct ComparedRule {
    std::uint16_t number = 0;
    std::uint8_t set = 0;
    std::string_view text;  // canonical; its owner outlives the comparison
    bool operator==(const ComparedRule&) const = default;
};

struct ChangedRule {
    ComparedRule before, after;
    bool operator==(const ChangedRule&) const = default;
};

// Each list in the order of the numbers.
struct RulesetDifference {
    std::vector<ComparedRule> added;
    std::vector<ComparedRule> removed;
    std::vector<ChangedRule> changed;
    bool operator==(const RulesetDifference&) const = default;
};

// REQUIRES: both are in the order of their numbers.
RulesetDifference difference(std::span<const ComparedRule> before,
                             std::span<const ComparedRule> after);

std::vector<ComparedRule> compared(std::span<const RulePointer> rules);

// How many there are of each.
struct DifferenceCounts {
    std::size_t added = 0;
    std::size_t removed = 0;
    std::size_t changed = 0;
    bool operator==(const DifferenceCounts&) const = default;
};
DifferenceCounts counts(const RulesetDifference& difference);
// `+3 -1 ~2 rules`
std::string to_string(const DifferenceCounts& counts);

}  // namespace sluice::ruleset
