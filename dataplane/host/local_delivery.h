// `fwd` to an address of this machine: the kernel gives a packet to the socket that listens there,
// though the packet is for somebody else, and as it came.
//
// A program on the ingress of each twin (tc's clsact) acts on frames that carry a DeliveryOrder and
// lets all others go on at once. A socket that has the packet's own addresses and ports keeps its
// connection; else the packet is assigned to the listener that the order names. The mark kMark then
// makes the kernel take the packet in, whoever it is for: a routing rule sends marked packets to
// the table kTable, in which every address is local. Where nobody listens the frame comes back down
// the twin as it went up, and the worker answers it. Protocols without ports are only taken in.
//
// Not done: a SYN that meets a connection in TIME_WAIT is left to the kernel, which makes the
// sender begin anew. Listeners with SO_REUSEPORT need Linux 6.6; older kernels lose the packet.
// With the sysctl net.ipv4.tcp_fwmark_accept the kernel would send the answers to itself.
//
// Rule and routes are those of the network namespace, and go with this object. Left behind by a
// process that was killed, they are taken over. Needs CAP_NET_ADMIN and CAP_BPF.
//
// Threads: `open` and the end belong to the main thread; `attach` may be called from one other.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice::host {

class LocalDelivery {
  public:
    static constexpr std::uint32_t kMark = 0x66776401;
    static constexpr std::uint32_t kTable = 26231;
    static constexpr std::uint32_t kRulePriority = 26231;

    // Loads the program and sets up routing.
    static Result<LocalDelivery> open();
    LocalDelivery(LocalDelivery&&) = default;
    ~LocalDelivery();

    // Puts the program in front of an interface, in place of one that it had from here.
    Result<Done> attach(const std::string& interface) const;

  private:
    explicit LocalDelivery(UniqueFd program) : program_(std::move(program)) {}

    UniqueFd program_;  // none: moved from
};

}  // namespace sluice::host
