// `ipfw state list|kill|count [FILTER …] [--json]`: the states of the data plane, picked by what
// they are. No command of ipfw(8), and no command of a rule file.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "common/result.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct StateCommand {
    service::StateOperation operation;
    bool json = false;   // --json
    bool force = false;  // -f, -q: do not ask; nothing there is no failure
    bool quiet = false;  // -q
    bool operator==(const StateCommand&) const = default;
};

// Whether the first word that is no flag is `state`.
bool is_state_command(std::span<const std::string> arguments);

// REQUIRES: is_state_command.
Result<StateCommand, language::ParseError> parse_state_command(
    std::span<const std::string> arguments);

nlohmann::ordered_json state_json(const ruleset::ListedState& state);

// What is printed for the answer.
void show_states(const StateCommand& command, const service::OperationResult& result,
                 Output& output);

}  // namespace sluice::cli
