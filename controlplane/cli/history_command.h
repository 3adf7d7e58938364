// The commands about rulesets of the past, which ipfw(8) does not have:
//
//     history [--json]
//     history show N [--json]
//     save [-q] [FILE]
//
// No commands of a rule file.
#pragma once

#include <span>
#include <string>

#include "common/result.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct HistoryCommand {
    service::HistoryOperation operation;
    bool json = false;
    bool quiet = false;  // -q
    std::string path;    // save: the rule file; empty: what the appliance boots with
    bool operator==(const HistoryCommand&) const = default;
};

// Whether the first word that is no flag is one of these commands.
bool is_history_command(std::span<const std::string> arguments);

// REQUIRES: is_history_command.
Result<HistoryCommand, language::ParseError> parse_history_command(
    std::span<const std::string> arguments);

// Shows the answer, or writes the file that it was asked for.
void show_history(const HistoryCommand& command, const service::Response& response, Output& output);

}  // namespace sluice::cli
