// A rule's tests in the rule's own words, in the order in which they stand in a snapshot: so that
// what the data plane says of a test by its place can be told to an operator.
#pragma once

#include <string>
#include <vector>

#include "controlplane/compiler/tests.h"
#include "controlplane/language/model.h"

namespace sluice::compiler {

// One for each or-block of tests: `from 10.0.0.0/8`, `{ in or via em0 }`. REQUIRES: the rule
// compiles in this context.
std::vector<std::string> test_words(const language::Rule& rule, const TestContext& context);

}  // namespace sluice::compiler
