#include "dataplane/host/socket_watch.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

namespace sluice::host {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint8_t kSyn = 0x02, kReset = 0x04, kAck = 0x10;

constexpr std::uint64_t kRoundMs = 250;
constexpr std::uint64_t kShareOfTime = 10;
// A list comes in pieces of at most 32 KB.
constexpr std::size_t kBuffer = std::size_t{64} << 10;

constexpr std::uint32_t kAllStates = 0xfff & ~(1u << kTimeWait | 1u << kSynReceived);

// IPv6 before IPv4, so that a socket of IPv4 takes the place of one that takes both.
constexpr SocketDump kParts[] = {
    {.ip_version = 6, .protocol = kTcp, .states = 1u << kListens},
    {.ip_version = 4, .protocol = kTcp, .states = 1u << kListens},
    {.ip_version = 6, .protocol = kUdp, .states = ~0u},
    {.ip_version = 4, .protocol = kUdp, .states = ~0u},
};

Result<UniqueFd> open_socket() {
    UniqueFd socket(
        ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    // Connected to the kernel, so that nobody else can answer.
    if (!socket ||
        connect(socket.get(), reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0)
        return Error{ExitStatus::os,
                     std::string("the kernel cannot be asked for sockets (sock_diag): ") +
                         std::strerror(errno)};
    return socket;
}

bool send_to(int socket, std::span<const std::byte> message) {
    return send(socket, message.data(), message.size(), 0) == static_cast<ssize_t>(message.size());
}

}  // namespace

Result<std::unique_ptr<SocketWatch>> SocketWatch::open(sockets::Owners& owners) {
    std::unique_ptr<SocketWatch> watch(new SocketWatch(owners));
    for (UniqueFd* socket : {&watch->questions_, &watch->lists_}) {
        auto opened = open_socket();
        if (!opened)
            return opened.error();
        *socket = std::move(*opened);
    }
    watch->buffer_.reset(new std::byte[kBuffer]);
    return watch;
}

void SocketWatch::begin() {
    rounds_ = 0;
    next_round_ms_ = 0;
    // What was true when the watch ended need not be true now.
    owners_.connections().remove_all_but(++packets_);
}

void SocketWatch::before_sending(const packet::Headers& h, LinkIndex link) {
    if (h.transport_offset == 0 || h.fragment_offset != 0 ||
        (h.protocol != kTcp && h.protocol != kUdp))
        return;
    const sockets::Flow flow{.local = h.source,
                             .remote = h.destination,
                             .local_port = h.source_port,
                             .remote_port = h.destination_port,
                             .protocol = h.protocol,
                             .ip_version = h.ip_version};
    ++packets_;
    if (h.protocol == kUdp) {
        if (!is_bound(flow))
            ask(flow, link);
        return;
    }
    // Most resets answer what no socket has asked for.
    if ((h.tcp_flags & kReset) != 0)
        return;
    switch (h.tcp_flags & (kSyn | kAck)) {
        case kSyn:  // the connection that had these addresses before is another one
            ask(flow, link);
            break;
        case kSyn | kAck: {
            // The connection has no owner yet, and half-open ones could fill the table.
            const sockets::Flow listener = sockets::without_remote(flow);
            if (!is_bound(listener))
                ask(listener, link);
            break;
        }
        default:
            if (!owners_.connections().stamp(flow, packets_))
                ask(flow, link);
            break;
    }
}

bool SocketWatch::is_bound(const sockets::Flow& flow) {
    return owners_.bound().find(flow) || owners_.bound().find(sockets::without_remote(flow)) ||
           owners_.bound().find(sockets::without_addresses(flow));
}

void SocketWatch::ask(const sockets::Flow& flow, LinkIndex link) {
    if (!send_to(questions_.get(), socket_request(flow, link, ++sequence_)))
        return complain("questions are not taken", errno);
    // One answer, behind what is left of another, if there is anything.
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        const ssize_t length = recv(questions_.get(), buffer_.get(), kBuffer, 0);
        if (length < 0)
            return complain("there is no answer", errno);
        const SocketAnswer answer =
            parse_sockets({buffer_.get(), static_cast<std::size_t>(length)}, sequence_);
        for (const SocketInfo& socket : answer.sockets)
            // A kernel that takes the ends of UDP the other way round would speak of another one.
            if (socket.flow.local_port == flow.local_port) {
                SocketInfo found = socket;
                found.flow.protocol = flow.protocol;
                remember(found);
            }
        if (answer.finished || !answer.sockets.empty())
            return;
    }
}

void SocketWatch::remember(const SocketInfo& socket) {
    // The kernel says `root` of connections that no process has taken or holds any more.
    if (socket.inode == 0)
        return;
    const bool is_open =
        socket.flow.protocol == kTcp ? socket.state == kListens : socket.flow.remote_port == 0;
    if (!is_open) {
        if (socket.flow.protocol == kTcp)
            owners_.connections().set(socket.flow, socket.user, packets_);
        else
            owners_.bound().set(socket.flow, socket.user, round_);
        return;
    }
    sockets::Flow bound = sockets::without_remote(socket.flow);
    owners_.bound().set(bound, socket.user, round_);
    if (!socket.takes_both_families)
        return;
    bound.ip_version = 4;
    owners_.bound().set(bound, socket.user, round_);
}

bool SocketWatch::tend(std::uint64_t now_ms) {
    if (!part_) {
        if (now_ms < next_round_ms_)
            return false;
        part_ = 0;
        complete_ = true;
        round_began_ms_ = now_ms;
        ++round_;
        if (!request_part())
            end_round(now_ms);
        return part_.has_value();
    }
    receive_part();
    if (*part_ == std::size(kParts))
        end_round(now_ms);
    return part_.has_value();
}

bool SocketWatch::request_part() {
    SocketDump dump = kParts[*part_];
    if (rounds_ == 0 && dump.protocol == kTcp)
        dump.states = kAllStates;
    list_sequence_ = ++sequence_;
    if (send_to(lists_.get(), socket_dump(dump, list_sequence_)))
        return true;
    complain("lists are not given", errno);
    complete_ = false;
    return false;
}

void SocketWatch::receive_part() {
    const ssize_t length = recv(lists_.get(), buffer_.get(), kBuffer, 0);
    if (length < 0) {
        complain("a list has no end", errno);
        complete_ = false;
        part_ = std::size(kParts);
        return;
    }
    const SocketAnswer answer =
        parse_sockets({buffer_.get(), static_cast<std::size_t>(length)}, list_sequence_);
    for (const SocketInfo& socket : answer.sockets) {
        SocketInfo found = socket;
        found.flow.protocol = kParts[*part_].protocol;
        remember(found);
    }
    complete_ = complete_ && !answer.interrupted;
    if (!answer.finished)
        return;
    if (answer.problem != 0) {
        complain("a list is refused", answer.problem);
        complete_ = false;
    }
    ++*part_;
    if (*part_ < std::size(kParts) && !request_part())
        part_ = std::size(kParts);
}

void SocketWatch::end_round(std::uint64_t now_ms) {
    part_.reset();
    if (complete_)
        owners_.bound().remove_all_but(round_);
    ++rounds_;
    next_round_ms_ =
        std::max(round_began_ms_ + kRoundMs, now_ms + (now_ms - round_began_ms_) * kShareOfTime);
}

void SocketWatch::complain(const std::string& what, int problem) {
    if (has_complained_)
        return;
    has_complained_ = true;
    complaint_ = "the owners of sockets, which rules ask for, are not known (sock_diag): " + what +
                 ": " + std::strerror(problem);
}

std::optional<std::string> SocketWatch::complaint() {
    if (complaint_.empty())
        return std::nullopt;
    return std::exchange(complaint_, {});
}

}  // namespace sluice::host
