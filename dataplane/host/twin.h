// The kernel's side of a gateway port: a TAP interface of the same name.
//
// To the kernel, its tools and its daemons the twin is the port: `ip addr`, `ip route`, ARP and ND,
// sshd and routing daemons use it like any interface. What is written to its descriptor the kernel
// receives, what the kernel sends is read from it, one Ethernet frame a time, without FCS and with
// finished checksums.
//
// Threads: open, configure and set_carrier belong to the main thread; one other thread may read and
// write the descriptor at the same time.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/address.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/packet/environment.h"

namespace sluice::host {

struct TwinSpec {
    std::string name;
    MacAddress mac;
    unsigned mtu = 1500;  // bytes of an IP packet
    std::vector<packet::InterfaceAddress> addresses;
};

class Twin {
  public:
    // Makes the interface in the network namespace of this process, or takes over one that was made
    // for it (`ip tuntap add`), gives it MAC address, MTU and addresses, and sets it up. Needs
    // CAP_NET_ADMIN. It goes when the Twin goes, unless it was made persistent.
    static Result<Twin> open(const TwinSpec& spec);

    // Non-blocking.
    int descriptor() const { return descriptor_.get(); }

    // Whether the kernel sees a link: that of the port.
    void set_carrier(bool up) const;

    // The kernel still has the interface that the descriptor belongs to.
    bool is_there() const;

  private:
    Twin(UniqueFd descriptor, std::string name)
        : descriptor_(std::move(descriptor)), name_(std::move(name)) {}

    UniqueFd descriptor_;
    std::string name_;
};

}  // namespace sluice::host
