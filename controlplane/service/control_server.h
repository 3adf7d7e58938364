// The control socket: who may speak, and how long.
//
// A Unix stream socket of mode 0660. Root, the user that the control plane runs as, and members of
// the socket's group are served; the kernel tells who the peer is (SO_PEERCRED), so nobody else
// gets through even when the mode of the socket was changed. All clients are served by one thread
// without ever waiting for one of them: at most kMaximumClients at a time, a message must be whole
// within kMessageDeadline of its first byte (or of the connection), and an answer must be taken
// within kAnswerDeadline, or the client is cut off.
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

namespace sluice::service {

inline constexpr std::size_t kMaximumClients = 64;
inline constexpr std::chrono::seconds kMessageDeadline{5};
inline constexpr std::chrono::seconds kAnswerDeadline{30};

class ControlServer {
  public:
    // May be called at any time later, once; does nothing if the client has gone by then.
    using Reply = std::function<void(const Response&)>;
    using Handler = std::function<void(Request, Reply)>;

    // Creates the socket, and its folder if that is missing. An old socket is removed if nobody
    // answers on it. `group`: who may use it beside root; empty: the group that we run as.
    static Result<std::unique_ptr<ControlServer>> listen(EventLoop& loop, const std::string& path,
                                                         const std::string& group, Handler handler);
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    void set_message_deadline(std::chrono::milliseconds deadline) { message_deadline_ = deadline; }

  private:
    using ClientId = std::uint64_t;
    struct Client {
        UniqueFd socket;
        FrameReader reader;
        std::string outgoing;
        std::size_t sent = 0;
        bool busy = false;  // its request is being carried out
        bool last = false;  // the connection ends with this answer
        EventLoop::TimerId deadline = 0;
    };

    ControlServer(EventLoop& loop, std::string path, UniqueFd socket, Handler handler);
    void accept_clients();
    void serve(ClientId id, std::uint32_t events);
    void read_from(ClientId id);
    void handle_next(ClientId id);
    void answer(ClientId id, const Response& response);
    // The same for a client that is not to be heard any further.
    void dismiss(ClientId id, const Error& error);
    void write_to(ClientId id);
    void watch_for(ClientId id, std::uint32_t events);
    void set_deadline(ClientId id, std::chrono::milliseconds delay);
    void drop(ClientId id);

    EventLoop& loop_;
    std::string path_;
    UniqueFd socket_;
    Handler handler_;
    std::chrono::milliseconds message_deadline_{kMessageDeadline};
    ClientId next_id_ = 1;
    std::unordered_map<ClientId, Client> clients_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for replies that come late
};

}  // namespace sluice::service
