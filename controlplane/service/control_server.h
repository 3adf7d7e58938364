// The control socket: who may speak, and how long.
//
// A Unix stream socket of mode 0660, or 0666 if others than its group have roles (roles.h). The
// kernel tells who the peer is (SO_PEERCRED), so nobody without a role gets through, whatever the
// mode of the socket; what a role allows is the handler's business. All clients are served by one
// thread without ever waiting for one of them: at most kMaximumClients at a time, of which
// kPlacesOfAdmins are for admins only, a message must be whole
// within kMessageDeadline of its first byte (or of the connection), and an answer must be taken
// within kAnswerDeadline, or the client is cut off. Clients that follow something (stream.h) are
// at most kMaximumStreams, so that they take nobody's place; they have as much time as they like.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/service/event_loop.h"
#include "controlplane/service/protocol.h"
#include "controlplane/service/roles.h"
#include "controlplane/service/stream.h"

namespace sluice::service {

inline constexpr std::size_t kMaximumClients = 64;
inline constexpr std::size_t kPlacesOfAdmins = 16;
// What requests and answers of all clients may take together, and a request of who may only look.
inline constexpr std::size_t kMaximumHeld = std::size_t{256} << 20;
inline constexpr std::size_t kMaximumRequestOfReaders = std::size_t{64} << 10;
inline constexpr std::size_t kMaximumStreams = 16;
inline constexpr std::size_t kMaximumHeldByStream = std::size_t{1} << 20;
inline constexpr std::chrono::seconds kMessageDeadline{5};
inline constexpr std::chrono::seconds kAnswerDeadline{30};
// Before clients are accepted again when there is no descriptor or no memory for one.
inline constexpr std::chrono::milliseconds kRest{100};

struct Access {
    std::string group;  // of the socket; empty: the one that we run as
    Roles roles;
};

// Who asks, and the way to tell them more than an answer.
struct Caller : Peer {
    // Before the answer is given. Null: there are too many already, or the client has gone.
    std::function<std::shared_ptr<Stream>()> follow;
};

class ControlServer {
  public:
    // May be called at any time later, once; does nothing if the client has gone by then.
    using Reply = std::function<void(const Response&)>;
    using Handler = std::function<void(Request, const Caller&, Reply)>;

    // Creates the socket, and its folder if that is missing. An old socket is removed if nobody
    // answers on it.
    static Result<std::unique_ptr<ControlServer>> listen(EventLoop& loop, const std::string& path,
                                                         Access access, Handler handler);
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    void set_message_deadline(std::chrono::milliseconds deadline) { message_deadline_ = deadline; }

  private:
    using ClientId = std::uint64_t;
    struct Client {
        UniqueFd socket;
        Peer peer;
        FrameReader reader;
        std::string outgoing;
        std::size_t sent = 0;
        bool busy = false;     // its request is being carried out
        bool last = false;     // the connection ends with this answer
        bool follows = false;  // behind the answer come pieces of a stream
        EventLoop::TimerId deadline = 0;
    };

    class ClientStream;

    ControlServer(EventLoop& loop, std::string path, UniqueFd socket, Access access,
                  Handler handler);
    void accept_clients();
    void rest();
    void serve(ClientId id, std::uint32_t events);
    void read_from(ClientId id);
    void handle_next(ClientId id);
    void answer(ClientId id, const Response& response);
    // The same for a client that is not to be heard any further.
    void dismiss(ClientId id, const Error& error);
    std::shared_ptr<Stream> follow(ClientId id);
    void write_to(ClientId id);
    void watch_for(ClientId id, std::uint32_t events);
    void set_deadline(ClientId id, std::chrono::milliseconds delay);
    void drop(ClientId id);
    std::size_t held() const;

    EventLoop& loop_;
    std::string path_;
    UniqueFd socket_;
    Roles roles_;
    Handler handler_;
    std::chrono::milliseconds message_deadline_{kMessageDeadline};
    ClientId next_id_ = 1;
    std::unordered_map<ClientId, Client> clients_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for replies that come late
};

}  // namespace sluice::service
