// The watch against the sockets of a network namespace; other users' are made by changing the
// effective user of this process.
#include "dataplane/host/socket_watch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

constexpr uid_t kUser = 1234, kOther = 1235;
constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint8_t kSyn = 0x02, kReset = 0x04, kAck = 0x10;
constexpr std::uint64_t kRoundMs = 250;

using sockets::Candidates;
using User = std::optional<sockets::UserId>;

struct Endpoint {
    std::string address;
    std::uint16_t port = 0;
};

sockaddr_in6 sockaddr_of(const Endpoint& at) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(at.port);
    const std::string text =
        at.address.find(':') == std::string::npos ? "::ffff:" + at.address : at.address;
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &address.sin6_addr), 1) << text;
    return address;
}

class SocketWatchTest : public HostTest {
  protected:
    void SetUp() override {
        HostTest::SetUp();
        if (IsSkipped())
            return;
        auto opened = SocketWatch::open(owners);
        ASSERT_TRUE(opened) << opened.error().message;
        watch = std::move(*opened);
    }

    // Of IPv6, but for both families.
    static UniqueFd socket_of(uid_t user, int type, const Endpoint& at = {"::", 0}) {
        EXPECT_EQ(seteuid(user), 0);
        UniqueFd made(socket(AF_INET6, type, 0));
        EXPECT_EQ(seteuid(0), 0);
        const sockaddr_in6 address = sockaddr_of(at);
        EXPECT_EQ(bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return made;
    }
    static std::uint16_t port_of(const UniqueFd& made) {
        sockaddr_in6 address{};
        socklen_t length = sizeof address;
        EXPECT_EQ(getsockname(made.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
        return ntohs(address.sin6_port);
    }
    static void connect_to(const UniqueFd& made, const Endpoint& peer) {
        const sockaddr_in6 address = sockaddr_of(peer);
        EXPECT_EQ(connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
    }
    static UniqueFd accept_as(uid_t user, const UniqueFd& listener) {
        EXPECT_EQ(seteuid(user), 0);
        UniqueFd made(accept(listener.get(), nullptr, nullptr));
        EXPECT_EQ(seteuid(0), 0);
        EXPECT_TRUE(made);
        return made;
    }

    static sockets::Flow flow(std::uint8_t protocol, const Endpoint& local,
                              const Endpoint& remote) {
        sockets::Flow made{.local = {},
                           .remote = {},
                           .local_port = local.port,
                           .remote_port = remote.port,
                           .protocol = protocol,
                           .ip_version = 6};
        for (const auto& [address, text] :
             {std::pair{&made.local, local.address}, std::pair{&made.remote, remote.address}})
            if (const auto v4 = parse_ipv4(text)) {
                made.ip_version = 4;
                std::memcpy(address->bytes.data(), &*v4, sizeof *v4);
            } else {
                *address = parse_ipv6(text).value_or(Ipv6{});
            }
        return made;
    }

    void sends(const sockets::Flow& flow, std::uint8_t flags = kAck) {
        packet::Headers headers;
        headers.ip_version = flow.ip_version;
        headers.protocol = flow.protocol;
        headers.transport_offset = 34;
        headers.source = flow.local;
        headers.destination = flow.remote;
        headers.source_port = flow.local_port;
        headers.destination_port = flow.remote_port;
        headers.tcp_flags = flags;
        watch->before_sending(headers, 0);
    }
    User owner(const sockets::Flow& flow) { return owners.owner(flow, Candidates::all); }
    User listener(const sockets::Flow& flow) { return owners.owner(flow, Candidates::bound_only); }

    void round() {
        now += 100'000;
        while (watch->tend(now)) {
        }
        EXPECT_EQ(watch->complaint().value_or(""), "");
    }

    sockets::Owners owners{7};
    std::unique_ptr<SocketWatch> watch;
    std::uint64_t now = 1;
};

class Families : public SocketWatchTest, public testing::WithParamInterface<const char*> {
  protected:
    const std::string here = GetParam();
};

TEST_P(Families, AConnectionIsAskedForAsItOpens) {
    const UniqueFd server = socket_of(0, SOCK_STREAM);
    ASSERT_EQ(listen(server.get(), 5), 0);
    const UniqueFd client = socket_of(kUser, SOCK_STREAM);
    connect_to(client, {here, port_of(server)});
    const auto sent = flow(kTcp, {here, port_of(client)}, {here, port_of(server)});
    EXPECT_EQ(owner(sent), User());
    sends(sent, kSyn);
    EXPECT_EQ(owner(sent), kUser);
}

TEST_P(Families, AConnectionIsTheListenersUntilSomebodyTakesIt) {
    const UniqueFd server = socket_of(kUser, SOCK_STREAM);
    ASSERT_EQ(listen(server.get(), 5), 0);
    const UniqueFd client = socket_of(0, SOCK_STREAM);
    connect_to(client, {here, port_of(server)});
    const auto sent = flow(kTcp, {here, port_of(server)}, {here, port_of(client)});
    sends(sent, kSyn | kAck);
    EXPECT_EQ(listener(sent), kUser);
    sends(sent);
    EXPECT_EQ(owner(sent), kUser);
    const UniqueFd taken = accept_as(kOther, server);
    sends(sent);
    EXPECT_EQ(owner(sent), kOther);
    EXPECT_EQ(listener(sent), kUser);
}

TEST_P(Families, ASocketThatHasGoneKeepsItsOwner) {
    const UniqueFd server = socket_of(0, SOCK_STREAM);
    ASSERT_EQ(listen(server.get(), 5), 0);
    UniqueFd client = socket_of(kUser, SOCK_STREAM);
    connect_to(client, {here, port_of(server)});
    const auto sent = flow(kTcp, {here, port_of(client)}, {here, port_of(server)});
    sends(sent, kSyn);
    client.reset();
    sends(sent);
    EXPECT_EQ(owner(sent), kUser);
}

TEST_P(Families, TheFirstRoundBringsWhatThereIs) {
    const UniqueFd server = socket_of(kUser, SOCK_STREAM);
    ASSERT_EQ(listen(server.get(), 5), 0);
    const UniqueFd client = socket_of(kOther, SOCK_STREAM);
    connect_to(client, {here, port_of(server)});
    const UniqueFd datagrams = socket_of(kUser, SOCK_DGRAM, {here, 0});
    const UniqueFd connected = socket_of(kOther, SOCK_DGRAM, {here, 0});
    connect_to(connected, {here, 9});
    watch->begin();
    round();
    EXPECT_EQ(owner(flow(kTcp, {here, port_of(client)}, {here, port_of(server)})), kOther);
    EXPECT_EQ(listener(flow(kTcp, {here, port_of(server)}, {here, 1})), kUser);
    EXPECT_EQ(owner(flow(kUdp, {here, port_of(datagrams)}, {here, 1})), kUser);
    EXPECT_EQ(owner(flow(kUdp, {here, port_of(connected)}, {here, 9})), kOther);
    EXPECT_EQ(owner(flow(kUdp, {here, port_of(connected)}, {here, 10})), User());
    EXPECT_EQ(watch->rounds(), 1u);
}

TEST_P(Families, LaterRoundsFollowWhatListens) {
    watch->begin();
    round();
    UniqueFd server = socket_of(kUser, SOCK_STREAM);
    ASSERT_EQ(listen(server.get(), 5), 0);
    const auto wanted = flow(kTcp, {here, port_of(server)}, {here, 1});
    EXPECT_EQ(listener(wanted), User());
    round();
    EXPECT_EQ(listener(wanted), kUser);
    server.reset();
    round();
    EXPECT_EQ(listener(wanted), User());
}

TEST_P(Families, ADatagramIsAskedForOnce) {
    const UniqueFd made = socket_of(kUser, SOCK_DGRAM);
    const auto sent = flow(kUdp, {here, port_of(made)}, {here, 9});
    sends(sent);
    EXPECT_EQ(owner(sent), kUser);
    // To others as well: the socket is open to them.
    EXPECT_EQ(owner(flow(kUdp, {here, port_of(made)}, {here, 10})), kUser);
}

INSTANTIATE_TEST_SUITE_P(Both, Families, testing::Values("127.0.0.1", "::1"));

TEST_F(SocketWatchTest, WhatNoSocketSendsBelongsToNobody) {
    const auto none = flow(kTcp, {"127.0.0.1", 1}, {"127.0.0.1", 2});
    for (const std::uint8_t flags : {kSyn, std::uint8_t{kSyn | kAck}, kAck, kReset}) {
        sends(none, flags);
        EXPECT_EQ(owner(none), User());
    }
    const auto datagram = flow(kUdp, {"127.0.0.1", 1}, {"127.0.0.1", 2});
    sends(datagram);
    EXPECT_EQ(owner(datagram), User());
    EXPECT_EQ(watch->complaint().value_or(""), "");
}

TEST_F(SocketWatchTest, ASocketForIpv6OnlyTakesNoIpv4) {
    EXPECT_EQ(seteuid(kUser), 0);
    const UniqueFd made(socket(AF_INET6, SOCK_DGRAM, 0));
    EXPECT_EQ(seteuid(0), 0);
    const int on = 1;
    ASSERT_EQ(setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    const sockaddr_in6 any = sockaddr_of({"::", 0});
    ASSERT_EQ(bind(made.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    watch->begin();
    round();
    EXPECT_EQ(owner(flow(kUdp, {"::1", port_of(made)}, {"::1", 1})), kUser);
    EXPECT_EQ(owner(flow(kUdp, {"127.0.0.1", port_of(made)}, {"127.0.0.1", 1})), User());
}

TEST_F(SocketWatchTest, RoundsLeaveTime) {
    watch->begin();
    EXPECT_EQ(watch->until_next_round(now), 0u);
    round();
    EXPECT_FALSE(watch->tend(now + kRoundMs - 1));
    EXPECT_TRUE(watch->tend(now + kRoundMs));
    // A round that took 100 ms in all is followed by a second without.
    while (watch->tend(now + kRoundMs + 100)) {
    }
    EXPECT_EQ(watch->until_next_round(now + kRoundMs + 100), 1000u);
}

}  // namespace
}  // namespace sluice::host
