// The rule file of a replay, carried out as the appliance does it: the same script on the same
// ruleset, as a whole or not at all. A line with `-n` changes nothing. What a line would print is
// not printed: a replay prints at its end.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/script.h"
#include "dataplane/table/table_store.h"
#include "replay/environment_file.h"

namespace sluice::replay {

struct RulesFile {
    ruleset::Ruleset ruleset;
    std::shared_ptr<table::Store> tables;
};

// What a file makes of a ruleset, and what each of its operations has answered.
struct CarriedOut {
    ruleset::Ruleset ruleset;
    std::shared_ptr<table::Store> tables;
    std::vector<service::Operation> operations;
    std::vector<service::OperationResult> results;  // one per operation
};

// REQUIRES: the file has no errors. The error names the line.
Result<CarriedOut, service::ScriptError> carry_out(const language::RuleFile& file,
                                                   const ruleset::Ruleset& start,
                                                   const table::Store::Spec& spec);

// Starts from the default rule and the sysctls of the environment. Errors name the line. `origin`
// is the file's name, for them. The tables count hits for `workers`.
Result<RulesFile> parse_rules(std::string_view text, const std::string& origin,
                              const EnvironmentFile& environment, unsigned workers = 1);

}  // namespace sluice::replay
