// What goes on until N lines or packets have come, somebody interrupts it, or the control plane
// ends:
//
//     ipfw tail [FILTER …] [-c N] [--json]                      the log as it is written
//     ipfw capture [FILTER …] [-c N] [-s BYTES] -w FILE         packets as the rules saw them
//     ipfw trace --live [FILTER …] [-c N] [--json]              and the way of each through the
//     rules
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
    std::uint64_t most = 0;  // lines or packets; 0: as many as come
    std::string file = {};   // of a capture; `-`: standard output
    bool operator==(const FollowCommand&) const = default;
};

bool is_follow_command(std::span<const std::string> arguments);

// REQUIRES: is_follow_command.
Result<FollowCommand> parse_follow_command(std::span<const std::string> arguments);

// Prints as it goes; the exit status.
ExitStatus run_follow_command(std::span<const std::string> arguments);

}  // namespace sluice::cli
