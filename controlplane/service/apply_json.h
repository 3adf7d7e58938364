// What is asked of an apply, and what it has done, as JSON on the control socket.
#pragma once

#include <string>

#include "controlplane/service/json_reader.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

json apply_json(const ApplyOrder& order);
json applied_json(const ApplyReport& report);
ApplyOrder read_apply(const json& value, std::string& problem);
ApplyReport read_applied(const json& value, std::string& problem);

}  // namespace sluice::service
