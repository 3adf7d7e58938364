// What is asked and answered by sock_diag(7): the sockets of this machine and their owners, as
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/host/messages.h"
#include "dataplane/sockets/owners.h"

namespace sluice::host {

// States as in the kernel's TCP.
inline constexpr std::uint8_t kEstablished = 1, kSynReceived = 3, kTimeWait = 6, kUnconnected = 7,
                              kListens = 10;

struct SocketInfo {
    // An address that an IPv6 socket has of IPv4 is one of IPv4.
    sockets::Flow flow;
    std::uint8_t state = 0;
    sockets::UserId user = 0;
    std::uint32_t inode = 0;  // 0: no process holds it, and the kernel does not know the user
    bool takes_both_families = false;  // bound to no address, of IPv6
};

// Asks for the socket that packets of the flow belong to; the kernel takes the one with both
// addresses, else one that is open to the remote one. `link`: a socket that is bound to a link is
// found only by its number.
std::vector<std::byte> socket_request(const sockets::Flow& flow, LinkIndex link,
                                      std::uint32_t sequence);

struct SocketDump {
    std::uint8_t ip_version = 4;
    std::uint8_t protocol = 0;
    std::uint32_t states = 0;  // bit N: state N
};
std::vector<std::byte> socket_dump(const SocketDump& dump, std::uint32_t sequence);

struct SocketAnswer {
    std::vector<SocketInfo> sockets;
    bool finished = false;     // nothing more comes
    bool interrupted = false;  // something has changed in between; some may be missing
    int problem = 0;           // errno
};

// Messages one behind the other. Those with another sequence number are passed over, and so is what
// is too short.
SocketAnswer parse_sockets(std::span<const std::byte> messages, std::uint32_t sequence);

}  // namespace sluice::host
