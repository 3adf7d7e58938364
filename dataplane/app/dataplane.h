// The data plane process behind its command line: starts DPDK and the bridge, then serves the
// control plane until a signal ends it.
//
// The main thread never touches a packet and the workers never wait for it: they go on forwarding
// with the last ruleset whatever the control plane does.
#pragma once

#include "common/result.h"
#include "config/settings.h"

namespace sluice::dataplane {

// Runs until SIGTERM or SIGINT. Signals of the process are blocked from here on; call it before
// other threads are started.
Result<Done> run(const config::Settings& settings);

}  // namespace sluice::dataplane
