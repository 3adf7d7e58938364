// The results of ipfw(8)'s reading commands as JSON (json_text.h): `list` and `show`, `set show`,
// `sysctl`, and `table … list|info|detail|lookup`.
#pragma once

#include <span>

#include "controlplane/cli/output.h"

namespace sluice::cli {

// Whether there is a JSON form of what the command prints.
bool has_json_form(const language::Command& command);

// Complaints and exit status are those of show_results. REQUIRES: has_json_form.
void show_json_results(const language::Command& command, const language::Flags& flags,
                       const service::Response& response, Output& output);

}  // namespace sluice::cli
