// Translates the matches of a rule into the tests of a snapshot.
#pragma once

#include "common/result.h"
#include "controlplane/compiler/image.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/pattern_catalogue.h"
#include "controlplane/ruleset/table_catalogue.h"

namespace sluice::compiler {

// Headers that rules of the ruleset change. What tests those cannot be left to the classifier,
// which sees a packet as it came.
struct HeaderChanges {
    bool traffic_class = false;  // setdscp
    bool segment_size = false;   // tcp-setmss

    void add(const language::Rule& rule);
    bool operator==(const HeaderChanges&) const = default;
};

// What the tests of a rule depend on beside the rule.
struct TestContext {
    HeaderChanges changes;
    const ruleset::TableCatalogue* tables = nullptr;      // null: there are none
    const ruleset::PatternCatalogue* patterns = nullptr;  // likewise
};

// Appends the tests of `rule` to `sections` and fills first_instruction, header_count,
// residual_count and the flags link_layer and expires of `record`. A table that is not among those
// of the context is an error. REQUIRES: every construct of the rule is carried out (see support.h).
Result<Done> compile_tests(const language::Rule& rule, const TestContext& context,
                           Sections& sections, contract::RuleRecord& record);

}  // namespace sluice::compiler
