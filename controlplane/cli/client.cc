#include "controlplane/cli/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/unique_fd.h"

namespace sluice::cli {
namespace {

constexpr timeval kAnswerTimeout{.tv_sec = 120, .tv_usec = 0};
constexpr std::size_t kReadSize = 64 * 1024;

Error unavailable(std::string message) {
    return {ExitStatus::unavailable, std::move(message)};
}

Error cannot_connect(const std::string& path, int error) {
    if (error == ENOENT || error == ECONNREFUSED)
        return unavailable("sluice-controlplane is not running (nobody listens on " + path +
                           "); start it with `sluice-controlplane --config "
                           "/etc/sluice/sluice.toml`");
    if (error == EACCES || error == EPERM)
        return Error{
            ExitStatus::no_permission,
            "permission denied on " + path + ": only root and members of its group may use ipfw"};
    return unavailable("cannot connect to sluice-controlplane on " + path + ": " +
                       std::strerror(error));
}

Error lost() {
    return unavailable(errno == EAGAIN || errno == EWOULDBLOCK
                           ? "sluice-controlplane does not answer"
                           : "sluice-controlplane has closed the connection without an answer; "
                             "its own messages say why");
}

Result<UniqueFd> connected(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return unavailable("the path of the control socket is too long: " + path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd)
        return Error{ExitStatus::os, std::string("socket: ") + std::strerror(errno)};
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return cannot_connect(path, errno);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout);
    return fd;
}

}  // namespace

std::string control_socket_path() {
    const char* path = std::getenv(service::kControlSocketVariable);
    return path != nullptr && *path != '\0' ? path : service::kDefaultControlSocket;
}

Result<service::Response> exchange(const std::string& path, const service::Request& request) {
    const std::string body = service::encode(request);
    if (body.size() > service::kMaximumMessageSize)
        return Error{ExitStatus::data, "the rule file is too long for one transaction"};
    const std::string message = service::framed(body);
    // Only now: the control plane does not wait long for a client to say what it wants.
    const Result<UniqueFd> socket = connected(path);
    if (!socket)
        return socket.error();
    for (std::size_t sent = 0; sent < message.size();) {
        const ssize_t n =
            send(socket->get(), message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        // An answer may be waiting that says why nobody takes the rest.
        if (n < 0 && errno == EPIPE)
            break;
        if (n < 0)
            return lost();
        sent += static_cast<std::size_t>(n);
    }
    service::FrameReader reader;
    std::string buffer(kReadSize, '\0');
    for (;;) {
        const ssize_t n = recv(socket->get(), buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            return lost();
        reader.append(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
        Result<std::optional<std::string>> answer = reader.next();
        if (!answer)
            return answer.error();
        if (*answer)
            return service::decode_response(**answer);
    }
}

}  // namespace sluice::cli
