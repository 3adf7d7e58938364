// Translates the matches of a rule into the tests of a snapshot.
#pragma once

#include "common/result.h"
#include "controlplane/compiler/image.h"
#include "controlplane/language/model.h"

namespace sluice::compiler {

// Appends the tests of `rule` to `sections` and fills first_instruction, header_count,
// residual_count and the flag link_layer of `record`. REQUIRES: every construct of the rule is
// carried out (see support.h).
Result<Done> compile_tests(const language::Rule& rule, Sections& sections,
                           contract::RuleRecord& record);

}  // namespace sluice::compiler
