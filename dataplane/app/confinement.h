// What sluice-dataplane gives up: rights before and after it starts, and system calls.
//
// Before: with `user` in the settings it becomes that user, with the capabilities that opening
// ports takes. After: it keeps CAP_NET_ADMIN if it has twins, which it makes again when the kernel
// has lost them and whose neighbours it asks for, and nothing else; and only the system calls
// remain that forwarding, the contract, netlink and the twins need. A call that nobody foresaw is
// refused and the process goes on: it is just as impossible, and does not stop the traffic of
// everybody.
#pragma once

#include "common/result.h"
#include "config/settings.h"

namespace sluice::dataplane {

// REQUIRES: the process has one thread.
Result<Done> confine_before_start(const config::Settings& settings);

Result<Done> confine_after_start(const config::Settings& settings);

}  // namespace sluice::dataplane
