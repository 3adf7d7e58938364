// The client's end of the control socket. One request, one answer; or, of who follows something,
// one request, one answer, and what comes behind it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

// $SLUICE_CONTROL_SOCKET, else the default.
std::string control_socket_path();

// Errors say which process is missing, and how to start it. A refusal of the control plane is no
// error here but a Response with a status.
Result<service::Response> exchange(const std::string& path, const service::Request& request);

class Following {
  public:
    // SIGINT, SIGTERM and SIGHUP do not end the process from here on, but what it follows.
    static Result<std::unique_ptr<Following>> begin(const std::string& path,
                                                    const service::Request& request);

    const service::Response& answer() const { return answer_; }

    // Waits for what comes next. None: a signal has come.
    Result<std::optional<service::StreamPiece>> next();

  private:
    Following() = default;

    UniqueFd socket_;
    UniqueFd signals_;
    service::FrameReader reader_;
    service::Response answer_;
};

}  // namespace sluice::cli
