// The main thread's part of a gateway: follows the kernel's links, addresses, routes and
// neighbours, hands on what the workers want to know, and tells when the rules need a new
// environment.
//
// Threads: the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/result.h"
#include "config/settings.h"
#include "dataplane/host/follower.h"
#include "dataplane/packet/environment.h"
#include "dataplane/worker/bridge.h"

namespace sluice::dataplane {

// The interfaces as the settings say: all that there is to know where no port is a gateway's.
packet::Environment environment_of(const config::Settings& settings);

class Gateway {
  public:
    // After the bridge has started. Waits until the kernel has been read once. Null: no port is a
    // gateway's.
    static Result<std::unique_ptr<Gateway>> create(const config::Settings& settings,
                                                   worker::Bridge& bridge);

    // Readable when there is something to do. The set does not change.
    const std::vector<int>& descriptors() const { return descriptors_; }

    // A bounded piece of work. True: there is more to do at once.
    bool tend(std::uint64_t now_ms);

    // Interfaces or addresses are others than those of the last `environment`.
    bool environment_changed() { return follower_->environment_changed(); }
    // Ports that are bridged are as the settings say.
    packet::Environment environment() const;

  private:
    Gateway(const config::Settings& settings, worker::Bridge& bridge,
            std::unique_ptr<host::Follower> follower);

    packet::Environment from_settings_;
    std::vector<bool> is_gateway_;  // by port
    worker::Bridge& bridge_;
    std::unique_ptr<host::Follower> follower_;
    std::vector<int> descriptors_;
};

}  // namespace sluice::dataplane
