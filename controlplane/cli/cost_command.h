// `ipfw show --cost [--json]`: what the running rules cost a packet, as the data plane tells. No
// command of ipfw(8), and no command of a rule file.
#pragma once

#include <span>
#include <string>

#include "common/result.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct CostCommand {
    bool json = false;  // --json
    bool operator==(const CostCommand&) const = default;
};

// Whether the first word that is no flag is `show` and `--cost` is among those behind it.
bool is_cost_command(std::span<const std::string> arguments);

// REQUIRES: is_cost_command.
Result<CostCommand, language::ParseError> parse_cost_command(
    std::span<const std::string> arguments);

// What is printed for the answer.
void show_cost(const CostCommand& command, const contract::RulesetCost& cost, Output& output);

}  // namespace sluice::cli
