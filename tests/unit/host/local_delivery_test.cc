// The kernel's side of `fwd` to a local address, tried with real sockets: frames are written to a
// twin in a network namespace of the test's own, as the exception path writes them.
#include "dataplane/host/local_delivery.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/host/delivery_order.h"
#include "dataplane/host/twin.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"

namespace sluice::host {
namespace {

using Bytes = std::vector<std::uint8_t>;
using packet::Headers;

constexpr MacAddress kTwinMac = {{2, 0, 0, 0, 0, 1}}, kPeerMac = {{2, 0, 0, 0, 0, 2}};
constexpr std::uint8_t kSyn = 2, kAck = 16;

Ipv6 stored(const std::string& text) {
    Ipv6 address{};
    if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) != 1)
        inet_pton(AF_INET, text.c_str(), address.bytes.data());
    return address;
}

void put16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

void put32(Bytes& bytes, std::size_t at, std::uint32_t value) {
    put16(bytes, at, value >> 16);
    put16(bytes, at + 2, value & 0xffff);
}

Be16 checksum(std::span<const std::uint8_t> bytes, packet::Checksum sum = {}) {
    sum.add(std::as_bytes(bytes));
    return sum.finish();
}

struct Flow {
    std::string source, destination;
    std::uint16_t source_port = 0, destination_port = 0;

    bool is_v6() const { return source.find(':') != std::string::npos; }
};

Bytes frame(const Flow& flow, std::uint8_t protocol, Bytes transport) {
    put16(transport, 0, flow.source_port);
    put16(transport, 2, flow.destination_port);
    const std::size_t header = flow.is_v6() ? 40 : 20, size = flow.is_v6() ? 16 : 4;
    const Ipv6 source = stored(flow.source), destination = stored(flow.destination);
    Bytes addresses(source.bytes.begin(), source.bytes.begin() + static_cast<long>(size));
    addresses.insert(addresses.end(), destination.bytes.begin(),
                     destination.bytes.begin() + static_cast<long>(size));
    packet::Checksum sum;
    sum.add(std::as_bytes(std::span(addresses)));
    sum.add(protocol);
    sum.add(static_cast<std::uint16_t>(transport.size()));
    const Be16 total = checksum(transport, sum);
    std::memcpy(&transport[protocol == IPPROTO_TCP ? 16 : 6], &total, sizeof total);

    Bytes bytes(14 + header);
    std::memcpy(&bytes[0], &kTwinMac, sizeof kTwinMac);
    std::memcpy(&bytes[6], &kPeerMac, sizeof kPeerMac);
    put16(bytes, 12, flow.is_v6() ? 0x86dd : 0x0800);
    if (flow.is_v6()) {
        bytes[14] = 0x60;
        put16(bytes, 18, static_cast<unsigned>(transport.size()));
        bytes[20] = protocol;
        bytes[21] = 64;
        std::memcpy(&bytes[22], addresses.data(), addresses.size());
    } else {
        bytes[14] = 0x45;
        put16(bytes, 16, static_cast<unsigned>(header + transport.size()));
        bytes[22] = 64;
        bytes[23] = protocol;
        std::memcpy(&bytes[26], addresses.data(), addresses.size());
        const Be16 ip = checksum(std::span(bytes).subspan(14));
        std::memcpy(&bytes[24], &ip, sizeof ip);
    }
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    return bytes;
}

Bytes datagram(const Flow& flow, const std::string& text) {
    Bytes transport(8);
    put16(transport, 4, static_cast<unsigned>(8 + text.size()));
    transport.insert(transport.end(), text.begin(), text.end());
    return frame(flow, IPPROTO_UDP, transport);
}

Bytes segment(const Flow& flow, std::uint8_t flags, std::uint32_t sequence,
              std::uint32_t acknowledgement) {
    Bytes transport(20);
    put32(transport, 4, sequence);
    put32(transport, 8, acknowledgement);
    transport[12] = 5 << 4;
    transport[13] = flags;
    put16(transport, 14, 65535);
    return frame(flow, IPPROTO_TCP, transport);
}

Headers parse(const Bytes& bytes) {
    Headers headers;
    packet::parse_frame(std::as_bytes(std::span(bytes)), {}, headers);
    return headers;
}

// The frame as the exception path sends it.
Bytes ordered(Bytes bytes, const std::string& address, std::uint16_t port) {
    const DeliveryOrder order = delivery_order(parse(bytes), stored(address), port);
    std::memcpy(bytes.data(), &kToSocket, sizeof kToSocket);
    const auto* begin = reinterpret_cast<const std::uint8_t*>(&order);
    bytes.insert(bytes.end(), begin, begin + sizeof order);
    return bytes;
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const std::string& text, std::uint16_t port) {
    SocketAddress made;
    if (text.find(':') != std::string::npos) {
        auto& v6 = reinterpret_cast<sockaddr_in6&>(made.storage);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr);
        made.length = sizeof v6;
    } else {
        auto& v4 = reinterpret_cast<sockaddr_in&>(made.storage);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        inet_pton(AF_INET, text.c_str(), &v4.sin_addr);
        made.length = sizeof v4;
    }
    return made;
}

std::string text_of(const void* address) {
    char text[INET6_ADDRSTRLEN];
    if (static_cast<const sockaddr*>(address)->sa_family == AF_INET6) {
        const auto& v6 = *static_cast<const sockaddr_in6*>(address);
        return inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text) + std::string(" ") +
               std::to_string(ntohs(v6.sin6_port));
    }
    const auto& v4 = *static_cast<const sockaddr_in*>(address);
    return inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text) + std::string(" ") +
           std::to_string(ntohs(v4.sin_port));
}

UniqueFd make_socket(int type, const std::string& address, std::uint16_t port) {
    const bool v6 = address.find(':') != std::string::npos;
    UniqueFd made(socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (v6)
        setsockopt(made.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof on);
    else
        setsockopt(made.get(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on);
    if (v6)
        setsockopt(made.get(), IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &on, sizeof on);
    else
        setsockopt(made.get(), IPPROTO_IP, IP_RECVORIGDSTADDR, &on, sizeof on);
    SocketAddress name = socket_address(address, port);
    EXPECT_EQ(bind(made.get(), name.get(), name.length), 0) << address << " " << port;
    if (type == SOCK_STREAM) {
        EXPECT_EQ(listen(made.get(), 8), 0);
    }
    return made;
}

bool readable(int descriptor, int milliseconds = 1000) {
    pollfd source = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&source, 1, milliseconds) == 1;
}

// "TEXT for ADDRESS PORT", or "nothing".
std::string received(const UniqueFd& socket) {
    if (!readable(socket.get(), 300))
        return "nothing";
    char text[100], control[200];
    iovec data = {.iov_base = text, .iov_len = sizeof text};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t length = recvmsg(socket.get(), &message, 0);
    std::string result(text, static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(&message, each))
        result += " for " + text_of(CMSG_DATA(each));
    return result;
}

class LocalDeliveryTest : public testing::Test {
  protected:
    void SetUp() override {
        if (unshare(CLONE_NEWNET) != 0)
            GTEST_SKIP() << "no network namespace: this needs root";
        run("ip link set lo up");
        auto twin = Twin::open(
            {.name = "em0",
             .mac = kTwinMac,
             .mtu = 1500,
             .addresses = {{.address = Ipv4::from_host(0xc0000202), .prefix_length = 24},
                           {.address = *parse_ipv6("2001:db8::2"), .prefix_length = 64}}});
        if (!twin)
            GTEST_SKIP() << twin.error().message;
        twin_.emplace(std::move(*twin));
        run("ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:02 dev em0");
        run("ip neighbour add 2001:db8::1 lladdr 02:00:00:00:00:02 dev em0");
        auto delivery = LocalDelivery::open();
        if (!delivery && (delivery.error().message.find("not permitted") != std::string::npos ||
                          delivery.error().message.find("not implemented") != std::string::npos))
            GTEST_SKIP() << delivery.error().message;
        ASSERT_TRUE(delivery) << delivery.error().message;
        delivery_.emplace(std::move(*delivery));
        const auto attached = delivery_->attach("em0");
        ASSERT_TRUE(attached) << attached.error().message;
    }

    static void run(const std::string& command) {
        EXPECT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
    }
    static bool finds(const std::string& command, const std::string& text) {
        return std::system((command + " 2>/dev/null | grep -q '" + text + "'").c_str()) == 0;
    }

    void write(const Bytes& bytes) {
        EXPECT_EQ(::write(twin_->descriptor(), bytes.data(), bytes.size()),
                  static_cast<ssize_t>(bytes.size()));
    }
    // The next frame to this port of the peer that the kernel sends; empty: none.
    Bytes sent_to(std::uint16_t port) {
        while (readable(twin_->descriptor(), 1000)) {
            Bytes bytes(2000);
            const ssize_t length = read(twin_->descriptor(), bytes.data(), bytes.size());
            bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
            if (parse(bytes).destination_port == port)
                return bytes;
        }
        return {};
    }

    std::optional<Twin> twin_;
    std::optional<LocalDelivery> delivery_;
};

const Flow kToUs = {"192.0.2.1", "192.0.2.2", 1000, 80};
const Flow kToOthers = {"192.0.2.1", "203.0.113.9", 1000, 80};
const Flow kToUs6 = {"2001:db8::1", "2001:db8::2", 1000, 80};
const Flow kToOthers6 = {"2001:db8::1", "2001:db8:9::9", 1000, 80};

TEST(DeliveryOrder, HasTheTuplesThatSocketsAreLookedUpBy) {
    const DeliveryOrder order =
        delivery_order(parse(datagram(kToOthers, "x")), stored("127.0.0.1"), 82);
    const Bytes own(order.own.bytes, order.own.bytes + SocketTuple::kSize4);
    EXPECT_EQ(own, (Bytes{192, 0, 2, 1, 203, 0, 113, 9, 1000 >> 8, 1000 & 0xff, 0, 80}));
    const Bytes listener(order.listener.bytes, order.listener.bytes + SocketTuple::kSize4);
    EXPECT_EQ(listener, (Bytes{192, 0, 2, 1, 127, 0, 0, 1, 0, 0, 0, 82}));
    EXPECT_EQ(order.protocol, IPPROTO_UDP);

    const DeliveryOrder same_port =
        delivery_order(parse(datagram(kToUs6, "x")), stored("2001:db8::5"), 0);
    EXPECT_EQ(same_port.listener.bytes[16], 0x20);
    EXPECT_EQ(same_port.listener.bytes[31], 5);
    EXPECT_EQ(same_port.listener.bytes[35], 80);
}

TEST_F(LocalDeliveryTest, DatagramsReachTheListenerAsTheyCame) {
    const UniqueFd server = make_socket(SOCK_DGRAM, "127.0.0.1", 82);
    write(ordered(datagram(kToUs, "to us"), "127.0.0.1", 82));
    EXPECT_EQ(received(server), "to us for 192.0.2.2 80");
    write(ordered(datagram(kToOthers, "to others"), "127.0.0.1", 82));
    EXPECT_EQ(received(server), "to others for 203.0.113.9 80");
}

TEST_F(LocalDeliveryTest, TheSameInIpv6) {
    const UniqueFd server = make_socket(SOCK_DGRAM, "::1", 82);
    write(ordered(datagram(kToUs6, "to us"), "::1", 82));
    EXPECT_EQ(received(server), "to us for 2001:db8::2 80");
    write(ordered(datagram(kToOthers6, "to others"), "::1", 82));
    EXPECT_EQ(received(server), "to others for 2001:db8:9::9 80");
}

TEST_F(LocalDeliveryTest, VlanTagsStayWhereTheyAre) {
    if (std::system("ip link add link em0 name em0.10 type vlan id 10 2>/dev/null") != 0)
        GTEST_SKIP() << "this kernel has no VLAN interfaces";
    run("ip link set em0.10 up && ip route add 198.51.100.0/24 dev em0.10");
    const UniqueFd server = make_socket(SOCK_DGRAM, "127.0.0.1", 82);
    Flow flow = kToOthers;
    flow.source = "198.51.100.1";
    Bytes bytes = datagram(flow, "tagged");
    const Bytes tag = {0x81, 0x00, 0, 10};
    bytes.insert(bytes.begin() + 12, tag.begin(), tag.end());
    write(ordered(bytes, "127.0.0.1", 82));
    EXPECT_EQ(received(server), "tagged for 203.0.113.9 80");
    write(ordered(bytes, "127.0.0.1", 83));
    EXPECT_EQ(sent_to(80), ordered(bytes, "127.0.0.1", 83));
}

TEST_F(LocalDeliveryTest, FramesWithoutAnOrderAreLeftAlone) {
    const UniqueFd named = make_socket(SOCK_DGRAM, "127.0.0.1", 82);
    const UniqueFd usual = make_socket(SOCK_DGRAM, "192.0.2.2", 80);
    write(datagram(kToUs, "plain"));
    EXPECT_EQ(received(usual), "plain for 192.0.2.2 80");
    write(ordered(datagram(kToUs, "ordered"), "127.0.0.1", 82));
    EXPECT_EQ(received(usual), "nothing");
    EXPECT_EQ(received(named), "ordered for 192.0.2.2 80");
    write(datagram(kToOthers, "not ours"));
    EXPECT_EQ(received(named), "nothing");
}

TEST_F(LocalDeliveryTest, AConnectedSocketKeepsItsDatagrams) {
    const UniqueFd server = make_socket(SOCK_DGRAM, "127.0.0.1", 82);
    const UniqueFd connected = make_socket(SOCK_DGRAM, "203.0.113.9", 80);
    SocketAddress peer = socket_address("192.0.2.1", 1000);
    ASSERT_EQ(connect(connected.get(), peer.get(), peer.length), 0);
    write(ordered(datagram(kToOthers, "more"), "127.0.0.1", 82));
    EXPECT_EQ(received(connected), "more for 203.0.113.9 80");
    Flow other = kToOthers;
    other.source_port = 1001;
    write(ordered(datagram(other, "another"), "127.0.0.1", 82));
    EXPECT_EQ(received(server), "another for 203.0.113.9 80");
}

TEST_F(LocalDeliveryTest, WithoutAListenerTheFrameComesBack) {
    // Somebody else who could have it.
    const UniqueFd usual = make_socket(SOCK_DGRAM, "192.0.2.2", 80);
    for (const Bytes& bytes : {ordered(datagram(kToUs, "lost"), "127.0.0.1", 82),
                               ordered(segment(kToOthers, kSyn, 1, 0), "127.0.0.1", 82),
                               ordered(datagram(kToOthers6, "lost"), "::1", 82)}) {
        write(bytes);
        EXPECT_EQ(sent_to(80), bytes);
    }
    EXPECT_EQ(received(usual), "nothing");
}

class ConnectionTest : public LocalDeliveryTest, public testing::WithParamInterface<Flow> {};

TEST_P(ConnectionTest, HasTheOriginalDestinationForItsName) {
    const Flow flow = GetParam();
    const std::string listener = flow.is_v6() ? "::1" : "127.0.0.1";
    const UniqueFd server = make_socket(SOCK_STREAM, listener, 82);
    write(ordered(segment(flow, kSyn, 100, 0), listener, 82));
    const Headers answer = parse(sent_to(flow.source_port));
    ASSERT_EQ(answer.tcp_flags, kSyn | kAck);
    EXPECT_EQ(answer.source, stored(flow.destination));
    EXPECT_EQ(answer.source_port, flow.destination_port);
    EXPECT_EQ(answer.tcp_acknowledgement, 101u);
    write(ordered(segment(flow, kAck, 101, answer.tcp_sequence + 1), listener, 82));
    ASSERT_TRUE(readable(server.get()));
    SocketAddress name, peer;
    name.length = peer.length = sizeof name.storage;
    const UniqueFd connection(accept(server.get(), peer.get(), &peer.length));
    ASSERT_TRUE(connection);
    ASSERT_EQ(getsockname(connection.get(), name.get(), &name.length), 0);
    EXPECT_EQ(text_of(&name.storage),
              flow.destination + " " + std::to_string(flow.destination_port));
    EXPECT_EQ(text_of(&peer.storage), flow.source + " " + std::to_string(flow.source_port));
}

INSTANTIATE_TEST_SUITE_P(All, ConnectionTest,
                         testing::Values(kToUs, kToOthers, kToUs6, kToOthers6));

TEST_F(LocalDeliveryTest, GoesWithoutATrace) {
    EXPECT_TRUE(finds("ip rule", "0x66776401"));
    EXPECT_TRUE(finds("ip -6 rule", "0x66776401"));
    EXPECT_TRUE(finds("ip route show table 26231", "local default dev lo"));
    EXPECT_TRUE(finds("ip -6 route show table 26231", "local default dev lo"));
    delivery_.reset();
    EXPECT_FALSE(finds("ip rule", "0x66776401"));
    EXPECT_FALSE(finds("ip -6 rule", "0x66776401"));
    EXPECT_FALSE(finds("ip route show table 26231", "local"));
    EXPECT_FALSE(finds("ip -6 route show table 26231", "local"));
}

TEST_F(LocalDeliveryTest, TakesOverWhatHasBeenLeftBehind) {
    const auto second = LocalDelivery::open();
    EXPECT_TRUE(second);
    ASSERT_TRUE(second && second->attach("em0"));
    const UniqueFd server = make_socket(SOCK_DGRAM, "127.0.0.1", 82);
    write(ordered(datagram(kToOthers, "once"), "127.0.0.1", 82));
    EXPECT_EQ(received(server), "once for 203.0.113.9 80");
    EXPECT_EQ(received(server), "nothing");
}

TEST_F(LocalDeliveryTest, AnInterfaceMustBeThere) {
    const auto attached = delivery_->attach("em9");
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().message, "there is no interface em9: No such device");
}

}  // namespace
}  // namespace sluice::host
