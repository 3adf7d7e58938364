// The client's end of the control socket. One request, one answer.
#pragma once

#include <string>

#include "common/result.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

// $SLUICE_CONTROL_SOCKET, else the default.
std::string control_socket_path();

// Errors say which process is missing, and how to start it. A refusal of the control plane is no
// error here but a Response with a status.
Result<service::Response> exchange(const std::string& path, const service::Request& request);

}  // namespace sluice::cli
