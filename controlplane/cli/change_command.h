// The commands that change what runs as a whole, and that ipfw(8) does not have:
//
//     apply [-fnqv] [--if-gen N] [--confirm TIME] [--states keep|recheck|flush] FILE
//     confirm
//     rollback [[--if-gen N] [--confirm TIME] [--states keep|recheck|flush] N]
//     lock
//     panic deny|pass|off
//
// No commands of a rule file.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>

#include "common/result.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/command.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct ApplyCommand {
    language::Flags flags;
    service::ApplyOrder order;
    std::string path;
    bool operator==(const ApplyCommand&) const = default;
};

struct RollbackCommand {
    service::ApplyOrder order;
    std::uint64_t number = 0;
    bool operator==(const RollbackCommand&) const = default;
};

struct ChangeCommand {
    std::variant<ApplyCommand, RollbackCommand, service::SafetyOperation> what;
    bool quiet = false;  // -q
    bool operator==(const ChangeCommand&) const = default;
};

// Whether the first word that is no flag is one of these commands.
bool is_change_command(std::span<const std::string> arguments);

// REQUIRES: is_change_command.
Result<ChangeCommand, language::ParseError> parse_change_command(
    std::span<const std::string> arguments);

// `generation 42 -> 43 (+3 -1 ~2 rules, 7 ms)`, and how long it waits for its confirmation.
std::string applied_text(const service::Response& response, unsigned milliseconds);

// What an operator must know who looks at the rules: one line each.
std::vector<std::string> warnings_of(const service::Condition& condition);

}  // namespace sluice::cli
