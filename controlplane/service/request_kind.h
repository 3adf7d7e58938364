// What the metrics call a request, and how it ended.
#pragma once

#include "controlplane/metrics/tally.h"
#include "controlplane/service/control_server.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

metrics::RequestKind kind_of(const Request& request);

// The status that `ipfw` will end with: that of the request, or of the first operation that failed.
ExitStatus status_of(const Response& response);

// The same reply, which also counts the request. The tally outlives it.
ControlServer::Reply counted(const Request& request, ControlServer::Reply reply,
                             metrics::Tally& tally);

}  // namespace sluice::service
