// The series of the rules: packets, bytes, last match, states, and what names them.
//
// A rule is known by its number, its set, the kind of its action, and an id of twelve hexadecimal
// digits made from its text, so that another rule that gets the number gets series of its own, and
// the same rule has the same series after any restart. Of rules that are the same in all of that
// each has another id, by its place among them.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "controlplane/metrics/families.h"
#include "controlplane/metrics/view.h"

namespace sluice::metrics {

struct RuleCount {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_match_s = 0;  // since 1970, 0: never
    std::uint64_t states = 0;
};

enum class Since : std::uint8_t {
    added,   // what metrics show
    zeroed,  // what `ipfw show` shows
};
RuleCount count_of(const Counters& counters, std::uint32_t slot, Since since = Since::added);

// All of them with the default rule, for as long as the view is there.
std::vector<const ruleset::StoredRule*> rules_in_order(const View& view);

// The id of one of those.
std::string rule_id(const std::vector<const ruleset::StoredRule*>& rules, std::size_t index);

void add_rule_series(const View& view, config::RuleMetrics which, Families& families);

}  // namespace sluice::metrics
