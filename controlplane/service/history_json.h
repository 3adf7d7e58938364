// Entries of the history as JSON: on the control socket, and for `ipfw history --json`.
#pragma once

#include <string>
#include <vector>

#include "controlplane/history/entry.h"
#include "controlplane/service/json_reader.h"

namespace sluice::service {

json history_json(const std::vector<history::Entry>& entries);
history::Entry read_history_entry(const json& value, std::string& problem);

}  // namespace sluice::service
