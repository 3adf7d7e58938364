// `ipfw tail [FILTER …] [-c N] [--json]`: the log as it is written. It goes on until N lines have
// been printed, somebody interrupts it, or the control plane ends.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/exit_status.h"
#include "common/result.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct FollowCommand {
    service::FollowOperation operation;
    std::uint64_t most = 0;  // lines; 0: as many as come
    bool operator==(const FollowCommand&) const = default;
};

bool is_follow_command(std::span<const std::string> arguments);

// REQUIRES: is_follow_command.
Result<FollowCommand> parse_follow_command(std::span<const std::string> arguments);

// Prints as it goes; the exit status.
ExitStatus run_follow_command(std::span<const std::string> arguments);

}  // namespace sluice::cli
