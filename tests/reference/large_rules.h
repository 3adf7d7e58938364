// Thousands of rules that let most packets pass, between rules of every kind.
#pragma once

#include <string>
#include <vector>

#include "tests/reference/random_source.h"

namespace sluice::reference {

// As random_ruleset. Among a hundred rules about one is of any kind; the others are of few hosts or
// ports, so that packets get far.
std::vector<std::string> large_ruleset(Random& random, unsigned rule_count);

}  // namespace sluice::reference
