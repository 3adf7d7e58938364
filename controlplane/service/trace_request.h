// A packet in words as the data plane is asked about it, and its answer as a result.
#pragma once

#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/dataplane_link.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// The operation of a request that is a question for a trace; null: it is none.
const TraceOperation* trace_in(const Request& request);

Result<contract::TraceRequest> trace_request(const TraceOperation& operation);

OperationResult trace_result(const ruleset::Ruleset& rules, const TraceAnswer& answer);

}  // namespace sluice::service
