// What a service manager (systemd) is told, and what it wants to hear: sd_notify(3).
#pragma once

#include <chrono>
#include <optional>

namespace sluice {

// Sends `state`, as in READY=1, to the socket that NOTIFY_SOCKET names; nothing without one.
void notify_service_manager(const char* state);

// How long the service manager waits for WATCHDOG=1 before it ends us; nothing if it does not, or
// means another process.
std::optional<std::chrono::microseconds> watchdog_period();

}  // namespace sluice
