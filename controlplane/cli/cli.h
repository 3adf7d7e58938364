// The command `ipfw`.
//
// A client that knows the language: it reads and checks what was typed, or a whole rule file, with
// the rights and the names of the user, and sends the control plane a script of operations with
// canonical rule text. It prints what comes back, byte for byte as ipfw(8) does. `-n`, `-h` and
// `replay` need no daemon; `state` (state_command.h) is no command of ipfw(8).
#pragma once

#include <string>
#include <vector>

#include "controlplane/cli/output.h"

namespace sluice::cli {

// `arguments` without the name of the program. Asks on the terminal when a flush has to be
// confirmed; everything else that is to be printed is in the result.
Output execute(const std::vector<std::string>& arguments);

}  // namespace sluice::cli
