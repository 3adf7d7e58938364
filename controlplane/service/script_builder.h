// Commands → the operations that the control plane is asked for.
//
// A command may need none (`help`), one, or several (`sysctl a=1 b`). Commands that the appliance
// does not have yet are refused here by name, with status 69. Used by whoever has a command:
// `ipfw`, to send the operations, and `ipfw replay`, to carry them out by itself.
#pragma once

#include <cstdint>
#include <vector>

#include "common/result.h"
#include "controlplane/language/command.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// `line` is that of the rule file, 0 for a single command.
Result<std::vector<Operation>> operations_for(const language::Command& command,
                                              const language::Flags& flags, std::uint32_t line);

// Makes one operation of two that add records to a table or patterns to an object, or delete some,
// in the same way: files have a command for each. False: they are not of that kind, and nothing was
// changed.
bool join(Operation& last, Operation& next);

// What follows `add` in canonical form, with number and set.
std::string rule_text(const language::Rule& rule);
void append_rule_text(const language::Rule& rule, std::string& text);

}  // namespace sluice::service
