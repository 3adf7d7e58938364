// Looks through a ruleset for rules that do nothing, or not what they seem to.
//
// A finding is never wrong, whatever packets come and whatever the machine is that filters (but for
// what is usually encrypted); a rule may be missed. So rules with tests that headers do not decide
// (states, tables, chance, owners of sockets, tags …) decide nothing here, and a rule is only held
// against those that every way to it goes through: jumps, calls and what comes back from programs
// begin new stretches of the list (classify/segments.h). Not considered are states of rules that
// are deleted, and programs at divert ports that give a packet back behind another rule than the
// one that gave it to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"

namespace sluice::analysis {

enum class FindingKind : std::uint8_t {
    never_matching,     // no packet passes all its tests
    shadowed,           // all its packets are decided before they come to it
    redundant,          // without it the same happens to all packets
    contradicting,      // which of two rules stands first decides about some packets
    missing_ipv6_twin,  // what it stops goes through as IPv6
    // It looks into payload, and hardly sees any: those ports are encrypted, as a rule; or it looks
    // for an object that would follow flows, and no packet comes to it that has a state.
    encrypted_payload,
    stream_without_states,
};
const char* name_of(FindingKind kind);  // `never matching`, `missing IPv6 twin`

struct Finding {
    FindingKind kind = FindingKind::shadowed;
    std::size_t rule = 0;             // place in Ruleset::rules()
    std::vector<std::size_t> others;  // the rules that are meant by it; size(): the default rule
    std::size_t more = 0;             // of these, that are not named
    std::string why;
};

struct Undecided {
    std::size_t rule = 0;
    std::string why;
};

struct LintReport {
    std::vector<Finding> findings;  // in the order of the rules
    std::vector<Undecided> undecided;
};

// Of a file nobody knows what the default rule will be.
enum class DefaultRule { known, unknown };

// Which rules that share some packets, and of which neither has all of the other's, contradict each
// other. That an exception is wider than its rule in one field, and narrower in another, is how
// rules are written (`deny` of some network, then `allow` to some port); that in one field each
// has values that the other has not is mostly a mistake.
enum class Crossing {
    ignored,  // only those that cross within a field
    told,     // all
};

// REQUIRES: the rules are carried out. Fails where the compiler does.
Result<LintReport> lint(const ruleset::Ruleset& rules, DefaultRule default_rule, Crossing crossing);

}  // namespace sluice::analysis
