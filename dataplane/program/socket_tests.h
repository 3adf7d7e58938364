// Tests that ask for the owner of the local socket that a packet belongs to.
//
// TCP and UDP packets belong to one if this machine has made them, or receives them as a host.
// Fragments without ports, forwarded packets and those of a bridge belong to none. The answer is
// found once for each packet.
//
// Threads: belongs to the engine of one worker.
#pragma once

#include <optional>

#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/runtime.h"
#include "dataplane/sockets/owners.h"

namespace sluice::program {

class SocketTests {
  public:
    // `owners` may be null: then no packet belongs to any socket.
    explicit SocketTests(const sockets::Owners* owners) : owners_(owners) {}

    void begin_packet() { asked_ = false; }

    std::optional<sockets::UserId> owner(const Runtime& runtime, const packet::Packet& packet);

    // REQUIRES: the test is Opcode::socket_user.
    bool matches(const Runtime& runtime, const contract::Instruction& test,
                 const packet::Packet& packet);

  private:
    const sockets::Owners* owners_;
    bool asked_ = false;
    std::optional<sockets::UserId> owner_;
};

}  // namespace sluice::program
