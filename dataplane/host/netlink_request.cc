#include "dataplane/host/netlink_request.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace sluice::host {

Netlink open_netlink() {
    Netlink socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
    if (socket != nullptr && mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return nullptr;
    return socket;
}

int carry_out(mnl_socket* socket, nlmsghdr* message) {
    std::array<char, 8192> buffer;
    message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
        return errno;
    const ssize_t length = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (length < 0)
        return errno;
    // Without a port and a sequence number to compare: the socket is ours alone.
    return mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, nullptr, nullptr) < 0
               ? errno
               : 0;
}

}  // namespace sluice::host
