#include "dataplane/host/socket_messages.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace sluice::host {

namespace {

constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kAddress = 16;

std::vector<std::byte> request(const inet_diag_req_v2& wanted, std::uint16_t flags,
                               std::uint32_t sequence) {
    std::vector<std::byte> message(NLMSG_HDRLEN + sizeof wanted);
    const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(message.size()),
                          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = sequence,
                          .nlmsg_pid = 0};
    std::memcpy(message.data(), &header, sizeof header);
    std::memcpy(message.data() + NLMSG_HDRLEN, &wanted, sizeof wanted);
    return message;
}

std::uint8_t family_of(std::uint8_t ip_version) {
    return ip_version == 4 ? AF_INET : AF_INET6;
}

bool is_mapped(const Ipv6& address) {
    constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(address.bytes.data(), kPrefix, sizeof kPrefix) == 0;
}

Ipv6 unmapped(const Ipv6& address) {
    Ipv6 v4;
    std::copy(address.bytes.begin() + 12, address.bytes.end(), v4.bytes.begin());
    return v4;
}

bool only_v6(const nlmsghdr* message) {
    const auto* attribute =
        static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, sizeof(inet_diag_msg)));
    const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
    for (; mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
         attribute = mnl_attr_next(attribute))
        if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY &&
            mnl_attr_get_payload_len(attribute) >= sizeof(std::uint8_t))
            return mnl_attr_get_u8(attribute) != 0;
    return false;
}

SocketInfo socket_of(const nlmsghdr* message, const inet_diag_msg& found) {
    SocketInfo socket{.flow = {},
                      .state = found.idiag_state,
                      .user = found.idiag_uid,
                      .inode = found.idiag_inode};
    sockets::Flow& flow = socket.flow;
    flow.local_port = ntohs(found.id.idiag_sport);
    flow.remote_port = ntohs(found.id.idiag_dport);
    flow.ip_version = found.idiag_family == AF_INET ? 4 : 6;
    const std::size_t size = flow.ip_version == 4 ? sizeof(Ipv4) : kAddress;
    std::memcpy(flow.local.bytes.data(), found.id.idiag_src, size);
    std::memcpy(flow.remote.bytes.data(), found.id.idiag_dst, size);
    if (flow.ip_version == 4)
        return socket;
    if (is_mapped(flow.local)) {
        flow.ip_version = 4;
        flow.local = unmapped(flow.local);
        flow.remote = is_mapped(flow.remote) ? unmapped(flow.remote) : Ipv6{};
    } else {
        socket.takes_both_families = flow.local == Ipv6{} && !only_v6(message);
    }
    return socket;
}

}  // namespace

std::vector<std::byte> socket_request(const sockets::Flow& flow, LinkIndex link,
                                      std::uint32_t sequence) {
    inet_diag_req_v2 wanted{};
    wanted.sdiag_family = family_of(flow.ip_version);
    wanted.sdiag_protocol = flow.protocol;
    wanted.idiag_states = ~0u;
    // The kernel looks for a UDP socket as it does for a packet that comes in: what it calls the
    // source is the other end.
    const bool swapped = flow.protocol == kUdp;
    wanted.id.idiag_sport = htons(swapped ? flow.remote_port : flow.local_port);
    wanted.id.idiag_dport = htons(swapped ? flow.local_port : flow.remote_port);
    std::memcpy(swapped ? wanted.id.idiag_dst : wanted.id.idiag_src, flow.local.bytes.data(),
                kAddress);
    std::memcpy(swapped ? wanted.id.idiag_src : wanted.id.idiag_dst, flow.remote.bytes.data(),
                kAddress);
    wanted.id.idiag_if = static_cast<std::uint32_t>(link);
    wanted.id.idiag_cookie[0] = wanted.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return request(wanted, 0, sequence);
}

std::vector<std::byte> socket_dump(const SocketDump& dump, std::uint32_t sequence) {
    inet_diag_req_v2 wanted{};
    wanted.sdiag_family = family_of(dump.ip_version);
    wanted.sdiag_protocol = dump.protocol;
    wanted.idiag_states = dump.states;
    return request(wanted, NLM_F_DUMP, sequence);
}

SocketAnswer parse_sockets(std::span<const std::byte> messages, std::uint32_t sequence) {
    SocketAnswer answer;
    int left = static_cast<int>(messages.size());
    const auto* message = reinterpret_cast<const nlmsghdr*>(messages.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq != sequence)
            continue;
        answer.interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        const std::size_t size = mnl_nlmsg_get_payload_len(message);
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
            int code = 0;
            if (size >= sizeof code)
                std::memcpy(&code, mnl_nlmsg_get_payload(message), sizeof code);
            answer.problem = -code;
            answer.finished = true;
            break;
        }
        inet_diag_msg found;
        if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY || size < sizeof found)
            continue;
        std::memcpy(&found, mnl_nlmsg_get_payload(message), sizeof found);
        if (found.idiag_family == AF_INET || found.idiag_family == AF_INET6)
            answer.sockets.push_back(socket_of(message, found));
    }
    return answer;
}

}  // namespace sluice::host
