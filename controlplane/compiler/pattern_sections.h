// Pattern objects in a snapshot.
#pragma once

#include <memory>
#include <vector>

#include "common/result.h"
#include "controlplane/compiler/image.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/pattern_catalogue.h"

namespace sluice::compiler {

using PatternObjects = std::vector<ruleset::PatternCatalogue::Pointer>;

// Whether the tests of rules mean the same with both: the objects stand in the same places.
bool have_same_places(const PatternObjects& a, const PatternObjects& b);

// Replaces what the sections have of patterns. REQUIRES: the objects are complete.
Result<Done> set_patterns(const PatternObjects& objects, Sections& sections);

// The test of what a packet carries. Null: there are no objects.
Result<contract::Instruction> payload_test(const language::PayloadMatch& match,
                                           const ruleset::PatternCatalogue* patterns);

}  // namespace sluice::compiler
