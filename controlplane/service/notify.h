// Tells systemd that the service is ready, see sd_notify(3). Nothing happens when it was not
// systemd that started us.
#pragma once

namespace sluice::service {

void notify_ready();

}  // namespace sluice::service
