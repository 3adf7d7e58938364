// What sluice-controlplane gives up: rights before and after it starts, and system calls.
//
// It needs no capability once its sockets are open. With `user` in the settings it becomes that
// user before it opens anything, so that whatever it opens it can open again. A system call that
// nobody foresaw ends the process: this is the one that talks to clients and to the network, its
// end costs no packet, and the service manager starts it again.
#pragma once

#include "common/result.h"
#include "config/settings.h"

namespace sluice::service {

// REQUIRES: the process has one thread.
Result<Done> confine_before_start(const config::Settings& settings);

// False: this build has no system call filter.
Result<bool> confine_after_start();

}  // namespace sluice::service
