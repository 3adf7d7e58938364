// Requests to the kernel's rtnetlink, one at a time, each answered before the next.
//
// Threads: a socket belongs to one thread at a time.
#pragma once

#include <libmnl/libmnl.h>

#include <memory>

namespace sluice::host {

struct CloseNetlink {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Netlink = std::unique_ptr<mnl_socket, CloseNetlink>;

// In the network namespace of this thread. Null: errno says why.
Netlink open_netlink();

// Sends one request and waits for the kernel's answer; 0 or an errno.
int carry_out(mnl_socket* socket, nlmsghdr* message);

}  // namespace sluice::host
