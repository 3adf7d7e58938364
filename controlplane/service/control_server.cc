#include "controlplane/service/control_server.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace sluice::service {
namespace {

constexpr std::size_t kReadSize = 64 * 1024;
constexpr int kBacklog = 64;

Error failed(const std::string& what) {
    return {ExitStatus::os, what + ": " + std::strerror(errno)};
}

// The group of the socket; our own if that cannot be told.
gid_t group_of(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_gid : getegid();
}

Result<Done> make_folder(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
    // Members of the group have to pass through it, whatever our umask is.
    if (folder.empty() || (mkdir(folder.c_str(), 0755) == 0 && chmod(folder.c_str(), 0755) == 0) ||
        errno == EEXIST)
        return Done{};
    return failed("cannot create the folder " + folder + " of the control socket");
}

// Another control plane answers: an error. Nobody answers: the socket goes.
Result<Done> remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0)
        return Done{};
    if (!S_ISSOCK(status.st_mode))
        return Error{ExitStatus::unavailable, path +
                                                  " is there and is no socket; remove it, or "
                                                  "set control_socket in sluice.toml"};
    const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EAGAIN)
        return Error{ExitStatus::unavailable,
                     "another sluice-controlplane is running on " + path + "; stop it first"};
    if (errno != ECONNREFUSED)
        return failed("cannot tell whether anybody listens on " + path);
    if (unlink(path.c_str()) != 0)
        return failed("cannot remove the old socket " + path);
    return Done{};
}

Result<Done> give_to(const std::string& path, const Access& access) {
    const std::string& group = access.group;
    if (!group.empty()) {
        const struct group* entry = getgrnam(group.c_str());
        if (entry == nullptr)
            return Error{ExitStatus::data, "there is no group " + group +
                                               "; create it, or change control_group in "
                                               "sluice.toml"};
        if (chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0)
            return failed("cannot give " + path + " to the group " + group);
    }
    if (chmod(path.c_str(), access.roles.names_anybody() ? 0666 : 0660) != 0)
        return failed("cannot set the mode of " + path);
    return Done{};
}

}  // namespace

class ControlServer::ClientStream final : public Stream {
  public:
    ClientStream(ControlServer& server, ClientId id)
        : server_(server), id_(id), alive_(server.alive_) {}

    bool there() const override { return *alive_ && server_.clients_.contains(id_); }

    std::size_t room() const override {
        if (!there())
            return 0;
        const Client& client = server_.clients_.at(id_);
        const std::size_t waiting = client.outgoing.size() - client.sent;
        return kMaximumHeldByStream - std::min(kMaximumHeldByStream, waiting);
    }

    bool send(const StreamPiece& piece) override {
        if (!there())
            return false;
        const std::string message = framed(encode(piece));
        if (message.size() > room())
            return false;
        Client& client = server_.clients_.at(id_);
        client.outgoing.erase(0, client.sent);
        client.sent = 0;
        client.outgoing += message;
        server_.write_to(id_);
        return true;
    }

  private:
    ControlServer& server_;
    ClientId id_;
    std::shared_ptr<bool> alive_;
};

Result<std::unique_ptr<ControlServer>> ControlServer::listen(EventLoop& loop,
                                                             const std::string& path, Access access,
                                                             Handler handler) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return Error{ExitStatus::data,
                     "the path of the control socket is empty or too long: " + path};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const Result<Done> folder = make_folder(path);
    if (!folder)
        return folder.error();
    const Result<Done> removed = remove_stale(path, address);
    if (!removed)
        return removed.error();
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return failed("socket");
    // Nobody but us until owner and mode are what they should be.
    const mode_t old_mask = umask(0177);
    const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(old_mask);
    if (bound != 0)
        return failed("cannot create the control socket " + path);
    const Result<Done> given = give_to(path, access);
    if (!given || ::listen(fd.get(), kBacklog) != 0) {
        const Error error = given ? failed("listen") : given.error();
        unlink(path.c_str());
        return error;
    }
    return std::unique_ptr<ControlServer>(
        new ControlServer(loop, path, std::move(fd), std::move(access), std::move(handler)));
}

ControlServer::ControlServer(EventLoop& loop, std::string path, UniqueFd socket, Access access,
                             Handler handler)
    : loop_(loop),
      path_(std::move(path)),
      socket_(std::move(socket)),
      roles_(std::move(access.roles)),
      handler_(std::move(handler)) {
    loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { accept_clients(); });
}

ControlServer::~ControlServer() {
    *alive_ = false;
    loop_.forget(socket_.get());
    while (!clients_.empty())
        drop(clients_.begin()->first);
    unlink(path_.c_str());
}

void ControlServer::accept_clients() {
    for (;;) {
        UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                rest();
            return;
        }
        const ClientId id = next_id_++;
        const int number = fd.get();
        const Peer peer = roles_.peer(number, group_of(path_));
        // Whoever only looks cannot take the places of those who must act.
        const std::size_t places =
            peer.role == Role::admin ? kMaximumClients : kMaximumClients - kPlacesOfAdmins;
        const bool full = clients_.size() >= places;
        if (full) {
            const std::string words = framed(encode(refusal(
                {ExitStatus::unavailable, "sluice-controlplane serves too many clients already"})));
            send(number, words.data(), words.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            continue;
        }
        clients_[id].socket = std::move(fd);
        clients_[id].peer = peer;
        loop_.watch(number, EPOLLIN, [this, id](std::uint32_t events) { serve(id, events); });
        set_deadline(id, message_deadline_);
        if (peer.role == Role::none)
            dismiss(id, {ExitStatus::no_permission,
                         "permission denied: only root, members of the group of the control "
                         "socket, and who has a role in [control] of sluice.toml may speak to "
                         "sluice-controlplane"});
    }
}

// Whoever waits goes on waiting; trying at once again would only burn the CPU.
void ControlServer::rest() {
    loop_.change(socket_.get(), 0);
    loop_.after(kRest, [this, alive = alive_] {
        if (*alive)
            loop_.change(socket_.get(), EPOLLIN);
    });
}

void ControlServer::serve(ClientId id, std::uint32_t events) {
    if ((events & EPOLLOUT) != 0)
        write_to(id);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && clients_.contains(id))
        read_from(id);
}

void ControlServer::read_from(ClientId id) {
    Client& client = clients_.at(id);
    std::string buffer(kReadSize, '\0');
    const ssize_t n = recv(client.socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    // Who follows has nothing more to say.
    if (n <= 0 || client.follows)
        return drop(id);
    if (held() + static_cast<std::size_t>(n) > kMaximumHeld)
        return dismiss(id, {ExitStatus::unavailable,
                            "sluice-controlplane holds too much for its clients already"});
    client.reader.append(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    if (!client.busy)
        handle_next(id);
}

void ControlServer::handle_next(ClientId id) {
    Client& client = clients_.at(id);
    Result<std::optional<std::string>> message = client.reader.next(
        client.peer.role == Role::read ? kMaximumRequestOfReaders : kMaximumMessageSize);
    if (message && !*message)
        return;  // not whole yet; the deadline goes on
    client.busy = true;
    loop_.cancel(client.deadline);
    // What comes after the first message waits in the kernel, not here.
    watch_for(id, 0);
    const Result<Request> request =
        message ? decode_request(**message) : Result<Request>(message.error());
    if (!request)
        return dismiss(id, request.error());
    Caller caller{client.peer, [this, id] { return follow(id); }};
    handler_(*request, caller, [this, id, alive = alive_](const Response& response) {
        if (*alive)
            answer(id, response);
    });
}

void ControlServer::answer(ClientId id, const Response& response) {
    const auto at = clients_.find(id);
    if (at == clients_.end())
        return;
    std::string body = encode(response);
    if (body.size() > kMaximumMessageSize)
        body = encode(refusal(
            {ExitStatus::unavailable, "the answer is too long; list fewer rules at a time"}));
    else if (held() + body.size() > kMaximumHeld)
        body = encode(refusal({ExitStatus::unavailable,
                               "sluice-controlplane holds too much for its clients already"}));
    at->second.busy = true;
    at->second.outgoing = framed(body);
    at->second.sent = 0;
    set_deadline(id, kAnswerDeadline);
    write_to(id);
}

void ControlServer::dismiss(ClientId id, const Error& error) {
    clients_.at(id).last = true;
    answer(id, refusal(error));
}

std::shared_ptr<Stream> ControlServer::follow(ClientId id) {
    const auto at = clients_.find(id);
    const auto streams = std::count_if(clients_.begin(), clients_.end(),
                                       [](const auto& client) { return client.second.follows; });
    if (at == clients_.end() || static_cast<std::size_t>(streams) >= kMaximumStreams)
        return nullptr;
    at->second.follows = true;
    return std::make_shared<ClientStream>(*this, id);
}

void ControlServer::write_to(ClientId id) {
    Client& client = clients_.at(id);
    while (client.sent < client.outgoing.size()) {
        const ssize_t n = send(client.socket.get(), client.outgoing.data() + client.sent,
                               client.outgoing.size() - client.sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return watch_for(id, client.follows ? EPOLLOUT | EPOLLIN : EPOLLOUT);
        if (n < 0)
            return drop(id);
        client.sent += static_cast<std::size_t>(n);
    }
    if (client.last)
        return drop(id);
    client.outgoing.clear();
    client.outgoing.shrink_to_fit();
    client.sent = 0;
    if (client.follows) {
        loop_.cancel(client.deadline);
        return watch_for(id, EPOLLIN);
    }
    client.busy = false;
    set_deadline(id, message_deadline_);
    watch_for(id, EPOLLIN);
    // A second request may have come with the first. Not from here: a thousand of them would be a
    // thousand calls deep.
    if (!client.reader.empty())
        loop_.after(std::chrono::seconds(0), [this, id] {
            const auto at = clients_.find(id);
            if (at != clients_.end() && !at->second.busy)
                handle_next(id);
        });
}

void ControlServer::watch_for(ClientId id, std::uint32_t events) {
    loop_.change(clients_.at(id).socket.get(), events);
}

void ControlServer::set_deadline(ClientId id, std::chrono::milliseconds delay) {
    Client& client = clients_.at(id);
    loop_.cancel(client.deadline);
    client.deadline = loop_.after(delay, [this, id, delay] {
        const auto at = clients_.find(id);
        if (at == clients_.end())
            return;
        // A client whose bytes wait for us is not slow, we are: a large ruleset was compiled.
        char byte = 0;
        const bool waiting = !at->second.busy &&
                             recv(at->second.socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
        if (waiting)
            set_deadline(id, delay);
        else
            drop(id);
    });
}

std::size_t ControlServer::held() const {
    std::size_t sum = 0;
    for (const auto& [id, client] : clients_)
        sum += client.reader.size() + client.outgoing.size();
    return sum;
}

void ControlServer::drop(ClientId id) {
    Client& client = clients_.at(id);
    loop_.cancel(client.deadline);
    loop_.forget(client.socket.get());
    clients_.erase(id);
}

}  // namespace sluice::service
