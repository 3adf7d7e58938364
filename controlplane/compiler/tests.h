// Translates the matches of a rule into the tests of a snapshot.
#pragma once

#include "common/result.h"
#include "controlplane/compiler/image.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/table_catalogue.h"

namespace sluice::compiler {

// Appends the tests of `rule` to `sections` and fills first_instruction, header_count,
// residual_count and the flag link_layer of `record`. A table that is not among `tables` (null:
// there are none) is an error. REQUIRES: every construct of the rule is carried out (see
// support.h).
Result<Done> compile_tests(const language::Rule& rule, const ruleset::TableCatalogue* tables,
                           Sections& sections, contract::RuleRecord& record);

}  // namespace sluice::compiler
