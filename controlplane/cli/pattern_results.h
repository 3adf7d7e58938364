// Pattern objects as `list`, `info` and `show` print them.
#pragma once

#include <span>
#include <string>

#include "controlplane/language/pattern_command.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

// Of a command that only reads.
bool asks_about_patterns(const language::PatternCommand& command);

std::string patterns_text(const language::PatternCommand& command,
                          std::span<const service::ListedPatternObject> objects);

// `sluice/patterns/1`
std::string patterns_json(const language::PatternCommand& command,
                          std::span<const service::OperationResult> results);

}  // namespace sluice::cli
