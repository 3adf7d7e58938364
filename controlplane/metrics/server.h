// The HTTP port of the control plane: /metrics, and the status page at /.
//
// civetweb, which prometheus-cpp brings along, speaks HTTP, in a few threads of its own; it gets no
// folder to serve, and every request comes to one function here. Debian builds it without IPv6. A
// client that sends nothing, or takes nothing, is cut off after five seconds; so a few of those can
// delay other scrapes, and nothing else.
#pragma once

#include <cstdint>
#include <memory>

#include "common/result.h"
#include "config/settings.h"
#include "controlplane/metrics/collector.h"
#include "controlplane/metrics/status.h"

namespace sluice::metrics {

class Server {
  public:
    // Answers from now on until it is destroyed, in threads that inherit the signal mask. What it
    // tells of outlives it. Without a status there is no page.
    static Result<std::unique_ptr<Server>> listen(const config::Endpoint& endpoint,
                                                  Collector& collector,
                                                  const Status* status = nullptr);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::uint16_t port() const;

  private:
    struct Web;
    explicit Server(std::unique_ptr<Web> web);

    std::unique_ptr<Web> web_;
};

}  // namespace sluice::metrics
