// Finds out who owns the sockets of this machine, for rules with `uid`, `gid` or `lookup uid`.
//
// TCP. A connection is asked for when its first packet leaves, before any rule sees that, and again
// by each packet until a process holds it. Those that there are when the watch begins come with the
// first round.
// Listening sockets and UDP sockets. Those of all the machine are listed in rounds, a quarter of a
// second or more apart, so that listing takes a tenth of the time at most. One that sends before it
// was listed is asked for as well.
//
// A question is one message to the kernel, which answers at once. Failures: what the kernel does
// not tell belongs to nobody; a round that failed removes nothing.
//
// Threads: all functions belong to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/host/socket_messages.h"
#include "dataplane/packet/packet.h"
#include "dataplane/sockets/owners.h"

namespace sluice::host {

class SocketWatch {
  public:
    // In the network namespace of this thread. `owners` outlives it.
    static Result<std::unique_ptr<SocketWatch>> open(sockets::Owners& owners);

    // The sockets that there are now, with the connections: a round begins at once. REQUIRES: not
    // in a round.
    void begin();

    // Makes sure that the owner is known of a packet that the kernel sends out by `link`.
    void before_sending(const packet::Headers& headers, LinkIndex link);

    // A bounded piece of a round. True: there is more to do at once.
    bool tend(std::uint64_t now_ms);
    // Milliseconds.
    std::uint64_t until_next_round(std::uint64_t now_ms) const {
        return next_round_ms_ > now_ms ? next_round_ms_ - now_ms : 0;
    }
    bool in_round() const { return part_.has_value(); }
    // Finished since `begin`.
    unsigned rounds() const { return rounds_; }

    // A sentence for the operator about what does not work, once.
    std::optional<std::string> complaint();

  private:
    explicit SocketWatch(sockets::Owners& owners) : owners_(owners) {}

    void ask(const sockets::Flow& flow, LinkIndex link);
    void remember(const SocketInfo& socket);
    bool is_bound(const sockets::Flow& flow);
    bool request_part();
    void receive_part();
    void end_round(std::uint64_t now_ms);
    void complain(const std::string& what, int problem);

    sockets::Owners& owners_;
    UniqueFd questions_;
    UniqueFd lists_;
    std::unique_ptr<std::byte[]> buffer_;
    std::uint32_t sequence_ = 0;
    std::uint32_t list_sequence_ = 0;
    std::uint64_t packets_ = 0;     // the clock that stamps connections
    std::uint64_t round_ = 1;       // the stamp of what is bound
    std::optional<unsigned> part_;  // of a round that goes on
    bool complete_ = true;          // the round so far
    std::uint64_t round_began_ms_ = 0;
    std::uint64_t next_round_ms_ = 0;
    unsigned rounds_ = 0;
    bool has_complained_ = false;
    std::string complaint_;
};

}  // namespace sluice::host
