#include "dataplane/host/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace sluice::host {

namespace {

Error failure(const std::string& what) {
    return {ExitStatus::unavailable, "netlink: " + what + ": " + std::strerror(errno)};
}

bool send_to_kernel(int fd, const nlmsghdr* header) {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    return sendto(fd, header, header->nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&kernel),
                  sizeof kernel) == static_cast<ssize_t>(header->nlmsg_len);
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(const Spec& spec) {
    NetlinkSocket socket;
    socket.fd_ =
        UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket.fd_)
        return failure("no socket");
    if (spec.receive_buffer != 0) {
        const int bytes = static_cast<int>(spec.receive_buffer);
        // The one needs CAP_NET_ADMIN, the other stays within net.core.rmem_max.
        if (setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0 &&
            setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0)
            return failure("no receive buffer of " + std::to_string(bytes) + " bytes");
    }
    sockaddr_nl own{};
    own.nl_family = AF_NETLINK;
    if (bind(socket.fd(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
        return failure("bind");
    for (const unsigned group : spec.groups)
        if (setsockopt(socket.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            return failure("group " + std::to_string(group));
    socket.buffer_.reset(
        static_cast<std::byte*>(::operator new[](kBufferSize)));  // aligned for any header
    return socket;
}

NetlinkSocket::Outcome NetlinkSocket::receive() {
    sockaddr_nl sender{};
    socklen_t length = sizeof sender;
    size_ = 0;
    const ssize_t got = recvfrom(fd(), buffer_.get(), kBufferSize, MSG_TRUNC,
                                 reinterpret_cast<sockaddr*>(&sender), &length);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return Outcome::nothing;
        return errno == ENOBUFS ? Outcome::overrun : Outcome::failed;
    }
    if (static_cast<std::size_t>(got) > kBufferSize)
        return Outcome::overrun;
    // Other processes may send to this socket; only the kernel has something to say.
    if (sender.nl_pid == 0)
        size_ = static_cast<std::size_t>(got);
    return Outcome::messages;
}

bool NetlinkSocket::request_dump(unsigned type, unsigned char family, std::uint32_t sequence) {
    alignas(nlmsghdr) std::array<char, 128> buffer{};
    nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = static_cast<std::uint16_t>(type);
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = sequence;
    // Each kind has a header of its own, whose first byte is the family.
    std::size_t size = sizeof(ifinfomsg);
    if (type == RTM_GETADDR)
        size = sizeof(ifaddrmsg);
    else if (type == RTM_GETNEIGH)
        size = sizeof(ndmsg);
    else if (type == RTM_GETROUTE)
        size = sizeof(rtmsg);
    *static_cast<unsigned char*>(mnl_nlmsg_put_extra_header(header, size)) = family;
    return send_to_kernel(fd(), header);
}

bool NetlinkSocket::probe_neighbour(LinkIndex link, const route::Address& address,
                                    std::uint32_t sequence) {
    alignas(nlmsghdr) std::array<char, 128> buffer{};
    nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = RTM_NEWNEIGH;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
    header->nlmsg_seq = sequence;
    auto* neighbour = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ndmsg)));
    const bool is_v4 = std::holds_alternative<Ipv4>(address);
    neighbour->ndm_family = is_v4 ? AF_INET : AF_INET6;
    neighbour->ndm_ifindex = link;
    neighbour->ndm_flags = NTF_USE;
    const auto bytes = address_bytes(address);
    mnl_attr_put(header, NDA_DST, is_v4 ? sizeof(Ipv4) : sizeof(Ipv6), bytes.data());
    return send_to_kernel(fd(), header);
}

}  // namespace sluice::host
