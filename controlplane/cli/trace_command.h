// `ipfw trace [--prob-as match|skip] PACKET [--json]`: which way a packet would take through the
// running rules. With --rules those of a file are asked (replay/trace_command.h), and no daemon.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

bool is_trace_command(std::span<const std::string> arguments);
// REQUIRES: is_trace_command.
bool traces_a_file(std::span<const std::string> arguments);

struct TraceCommand {
    std::string packet;
    std::vector<contract::ChanceIs> chances;  // one; none: both ways, where there are two
};

// REQUIRES: is_trace_command.
Result<TraceCommand> parse_trace_command(std::span<const std::string> arguments);

// Whether chance has a part in what a trace says.
bool told_by_chance(const service::OperationResult& trace);

}  // namespace sluice::cli
