// What the workers remember of flows whose payload is followed, and how much of it they may.
//
// Flows do not spread evenly, so that each of several workers has a quarter more than its share.
#pragma once

#include <memory>
#include <vector>

#include "config/settings.h"
#include "dataplane/payload/flow_streams.h"
#include "dataplane/payload/matcher.h"
#include "dataplane/worker/bridge.h"

namespace sluice::dataplane {

class PayloadMemory {
  public:
    // Gives each worker its own. REQUIRES: they have their states. The workers must have stopped
    // when this goes.
    PayloadMemory(const config::DataPlane& settings, std::vector<worker::WorkerMemory>& memory);

    // Of the matchers of pattern objects: the workers read them, and, as the last one, this thread.
    const payload::Matcher::Capacity& capacity() const { return capacity_; }

  private:
    payload::Matcher::Capacity capacity_;
    std::vector<std::unique_ptr<payload::FlowStreams>> flows_;
};

}  // namespace sluice::dataplane
