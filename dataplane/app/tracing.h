// Answers requests for traces: the packet of the request, in the world of the workers.
//
// Threads: the main thread, while the workers run.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/message.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/tracer.h"

namespace sluice::dataplane {

struct TraceAnswer {
    contract::TraceVerdict verdict;
    std::vector<contract::TraceStep> steps;
};

// `entry_at` says how packets of an interface enter the rules.
Result<TraceAnswer> answer_trace(
    const contract::TraceRequest& request, const program::TraceWorld& world, std::uint32_t uptime_s,
    const std::function<packet::Entry(const packet::Interface&)>& entry_at);

}  // namespace sluice::dataplane
