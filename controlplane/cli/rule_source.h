// The text of a rule file, straight or through a preprocessor.
//
// Everything happens with the rights of the user who typed the command. Statuses are those of
// ipfw(8): a path that cannot be read is 64, a failing preprocessor 69, one that cannot be started
// 71.
#pragma once

#include <string>

#include "common/result.h"
#include "controlplane/language/command.h"

namespace sluice::cli {

Result<std::string> read_rules(const language::FileCommand& file);

}  // namespace sluice::cli
