// Translates the matches of a rule into the tests of a snapshot.
#pragma once

#include "common/result.h"
#include "controlplane/compiler/image.h"
#include "controlplane/language/model.h"

namespace sluice::compiler {

// Headers that rules of the ruleset change. What tests those cannot be left to the classifier,
// which sees a packet as it came.
struct HeaderChanges {
    bool traffic_class = false;  // setdscp
    bool segment_size = false;   // tcp-setmss

    void add(const language::Rule& rule);
};

// Appends the tests of `rule` to `sections` and fills first_instruction, header_count,
// residual_count and the flags link_layer and expires of `record`. REQUIRES: every construct of the
// rule is carried out (see support.h).
Result<Done> compile_tests(const language::Rule& rule, const HeaderChanges& changes,
                           Sections& sections, contract::RuleRecord& record);

}  // namespace sluice::compiler
