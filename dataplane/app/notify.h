// Tells the service manager how we are, as sd_notify(3) does. Without one, nothing happens.
#pragma once

namespace sluice::dataplane {

// `state` as in "READY=1".
void notify_service_manager(const char* state);

}  // namespace sluice::dataplane
