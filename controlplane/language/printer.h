// Rule → canonical text, as `ipfw list` prints it after the columns (number, counters, set).
//
// Style: today's FreeBSD. Ports stand bare after their address, `keep-state :default`, /32 and
// /128 are omitted, lists have no blanks, state options come last. parse_rule(print_rule(r)) == r
// for every canonical rule (see canonical.h); with `resolve_names` or a resolver that knows other
// names than the reader's this need not hold.
#pragma once

#include <string>

#include "controlplane/language/model.h"
#include "controlplane/language/names.h"

namespace sluice::language {

struct PrintOptions {
    // -c: leaves out `ip from any to any` in front of options.
    bool compact = false;
    // -b: only the action and the comment (`// ...` when there is none).
    bool action_and_comment_only = false;
    // -N: hosts and services by name.
    bool resolve_names = false;
    // Where user, group and (with resolve_names) host names come from; null: numbers.
    const NameResolver* resolver = nullptr;
};

// `prob 0.500000 allow log tcp from any to me 80 in // comment`
std::string print_rule(const Rule& rule, const PrintOptions& options = {});

// Pieces of it, for messages and explanations.
std::string print_action(const Action& action, const PrintOptions& options = {});
std::string print_term(const Term& term, const PrintOptions& options = {});
std::string print_group(const Group& group, const PrintOptions& options = {});

// `00100`: five digits.
std::string print_rule_number(std::uint16_t number);

}  // namespace sluice::language
