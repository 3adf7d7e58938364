// Random rules: for round trips of the language, for differential tests of engines, for fuzzing.
//
// Every rule is canonical and can be printed and read back. Addresses, ports and interfaces are
// drawn from small pools, so that rules overlap and packets drawn from the same pools hit them. The
// same seed gives the same rules.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "controlplane/language/construct.h"
#include "controlplane/language/model.h"

namespace sluice::language {

struct GeneratorOptions {
    std::vector<Ipv4Network> ipv4_networks;  // empty: a built-in pool
    std::vector<Ipv6Network> ipv6_networks;
    std::vector<std::uint16_t> ports;
    std::vector<std::string> interfaces;  // names; patterns are made from them
    std::vector<std::string> tables = {"1", "2", "hosts"};
    std::vector<std::string> patterns = {"PATTERNS"};  // objects of type bytes
    std::vector<std::string> names = {"NAMES"};

    bool ipv6 = true;
    unsigned maximum_options = 3;
    std::uint16_t number = 0;  // of the rule; skipto and call jump beyond it
    // Only rules whose constructs are all accepted are given; empty: all. The predicate must accept
    // action_allow, protocol_any and address_any.
    std::function<bool(Construct)> accept;
};

Rule random_rule(std::mt19937_64& random, const GeneratorOptions& options = {});

// Ascending numbers with gaps and doubles, `count` rules.
std::vector<Rule> random_ruleset(std::mt19937_64& random, std::size_t count,
                                 const GeneratorOptions& options = {});

}  // namespace sluice::language
