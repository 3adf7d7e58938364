#include "controlplane/cli/client.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>

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

// The next message; waits for it.
Result<std::string> next_message(int socket, service::FrameReader& reader) {
    std::string buffer(kReadSize, '\0');
    for (;;) {
        Result<std::optional<std::string>> message = reader.next();
        if (!message)
            return message.error();
        if (*message)
            return std::move(**message);
        const ssize_t n = recv(socket, buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            return lost();
        reader.append(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    }
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
    const Result<std::string> answer = next_message(socket->get(), reader);
    return answer ? service::decode_response(*answer) : Result<service::Response>(answer.error());
}

// ---- Following
// -----------------------------------------------------------------------------------

Result<std::unique_ptr<Following>> Following::begin(const std::string& path,
                                                    const service::Request& request) {
    std::unique_ptr<Following> following(new Following);
    Result<UniqueFd> socket = connected(path);
    if (!socket)
        return socket.error();
    following->socket_ = std::move(*socket);
    // From here on an interruption is a message like any other.
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    following->signals_ = UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
    if (!following->signals_)
        return Error{ExitStatus::os, std::string("signalfd: ") + std::strerror(errno)};
    const std::string message = service::framed(service::encode(request));
    if (send(following->socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message.size()))
        return lost();
    const Result<std::string> answer = next_message(following->socket_.get(), following->reader_);
    if (!answer)
        return answer.error();
    Result<service::Response> response = service::decode_response(*answer);
    if (!response)
        return response.error();
    following->answer_ = std::move(*response);
    return following;
}

Result<std::optional<service::StreamPiece>> Following::next() {
    for (;;) {
        const Result<std::optional<std::string>> message = reader_.next();
        if (!message)
            return message.error();
        if (*message) {
            Result<service::StreamPiece> piece = service::decode_piece(**message);
            if (!piece)
                return piece.error();
            return std::optional(std::move(*piece));
        }
        pollfd waits[] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                          {.fd = signals_.get(), .events = POLLIN, .revents = 0}};
        if (poll(waits, std::size(waits), -1) < 0 && errno != EINTR)
            return Error{ExitStatus::os, std::string("poll: ") + std::strerror(errno)};
        if (waits[1].revents != 0)
            return std::optional<service::StreamPiece>();
        if (waits[0].revents == 0)
            continue;
        std::string buffer(kReadSize, '\0');
        const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return unavailable(
                "sluice-controlplane has ended the connection: there is nothing to "
                "follow any more");
        reader_.append(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    }
}

}  // namespace sluice::cli
