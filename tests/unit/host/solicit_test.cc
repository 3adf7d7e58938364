// What the kernel is made to ask on the wire of a twin, and what becomes of the answer.
#include <gtest/gtest.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "dataplane/host/twin.h"
#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

constexpr MacAddress kOwnMac = {{2, 0, 0, 0, 0, 1}};
constexpr MacAddress kPeerMac = {{2, 0, 0, 0, 0, 7}};

using Frame = std::vector<std::uint8_t>;

unsigned type_of(const Frame& frame) {
    return frame.size() < 14 ? 0 : static_cast<unsigned>(frame[12] << 8 | frame[13]);
}
// A request for the MAC address of `wanted`.
bool is_arp_request(const Frame& frame, Ipv4 wanted) {
    return frame.size() >= 42 && type_of(frame) == ETHERTYPE_ARP && frame[21] == 1 &&
           std::memcmp(&frame[38], &wanted, sizeof wanted) == 0;
}
bool is_solicitation(const Frame& frame, const Ipv6& wanted) {
    return frame.size() >= 78 && type_of(frame) == ETHERTYPE_IPV6 && frame[20] == IPPROTO_ICMPV6 &&
           frame[54] == 135 && std::memcmp(&frame[62], wanted.bytes.data(), 16) == 0;
}

class SolicitTest : public HostTest {
  protected:
    void SetUp() override {
        HostTest::SetUp();
        if (IsSkipped())
            return;
        auto opened = Twin::open(
            {.name = "port0",
             .mac = kOwnMac,
             .mtu = 1500,
             .addresses = {{.address = *parse_ipv4("192.0.2.1"), .prefix_length = 24},
                           {.address = *parse_ipv6("2001:db8::1"), .prefix_length = 64}}});
        if (!opened)
            GTEST_SKIP() << opened.error().message;
        twin.emplace(std::move(*opened));
        follow();
        settle(50);
    }

    // The first frame of the kernel for which `is_it` holds, within some seconds.
    template <typename Wanted>
    std::optional<Frame> frame(Wanted is_it, int seconds = 10) {
        std::optional<Frame> found;
        const auto look = [&] {
            std::array<std::uint8_t, 2048> buffer;
            while (!found) {
                const ssize_t got = read(twin->descriptor(), buffer.data(), buffer.size());
                if (got <= 0)
                    return false;
                if (Frame one(buffer.begin(), buffer.begin() + got); is_it(one))
                    found = std::move(one);
            }
            return true;
        };
        until(look, seconds);
        return found;
    }
    void answer(const Frame& request) const {
        Frame reply(request.begin(), request.begin() + 42);
        std::memcpy(&reply[0], &request[6], 6);
        std::memcpy(&reply[6], kPeerMac.bytes.data(), 6);
        reply[21] = 2;
        std::memcpy(&reply[22], kPeerMac.bytes.data(), 6);
        std::memcpy(&reply[28], &request[38], 4);
        std::memcpy(&reply[32], &request[22], 10);
        ASSERT_EQ(write(twin->descriptor(), reply.data(), reply.size()),
                  static_cast<ssize_t>(reply.size()));
    }

    std::optional<Twin> twin;
};

TEST_F(SolicitTest, TheKernelAsksByArpAndTheAnswerReachesTheFib) {
    const Ipv4 wanted = *parse_ipv4("192.0.2.77");
    ASSERT_EQ(to("192.0.2.77").neighbour, route::kNoNeighbour);
    EXPECT_TRUE(follower->solicit(0, wanted, now_ms()));
    const auto request = frame([&](const Frame& one) { return is_arp_request(one, wanted); });
    ASSERT_TRUE(request);
    EXPECT_EQ(std::memcmp(&(*request)[6], kOwnMac.bytes.data(), 6), 0);
    answer(*request);
    ASSERT_TRUE(until([&] { return to("192.0.2.77").neighbour != route::kNoNeighbour; }));
    EXPECT_EQ(fib->neighbour(to("192.0.2.77").neighbour).mac(), kPeerMac);
}

TEST_F(SolicitTest, TheKernelAsksByNeighbourDiscovery) {
    const Ipv6 wanted = *parse_ipv6("2001:db8::77");
    EXPECT_TRUE(follower->solicit(0, wanted, now_ms()));
    EXPECT_TRUE(frame([&](const Frame& one) { return is_solicitation(one, wanted); }));
}

TEST_F(SolicitTest, TheSameOneOnceInASecondAndABoundedNumberOfAll) {
    const std::uint64_t now = now_ms();
    const Ipv4 first = *parse_ipv4("192.0.2.77");
    EXPECT_TRUE(follower->solicit(0, first, now));
    EXPECT_FALSE(follower->solicit(0, first, now + 999));
    EXPECT_TRUE(follower->solicit(0, first, now + 1000));
    EXPECT_EQ(follower->counters().solicited, 2U);
    unsigned asked = 0;
    for (std::uint32_t i = 0; i < 3000; ++i)
        asked += follower->solicit(0, Ipv4::from_host(0xc0000300 + i), now + 1001) ? 1 : 0;
    EXPECT_EQ(asked, 999U);
    EXPECT_EQ(follower->counters().not_solicited, 3000 - asked + 1);
    // A port without a twin, and no interface at all.
    EXPECT_FALSE(follower->solicit(1, first, now + 5000));
    EXPECT_FALSE(follower->solicit(packet::kNoInterface, first, now + 5000));
}

TEST_F(SolicitTest, NeighboursInUseAreAskedBeforeTheyAreForgotten) {
    // The kernel waits for so long, in seconds, before it asks a neighbour whether it is there.
    std::ofstream("/proc/sys/net/ipv4/neigh/port0/delay_first_probe_time") << 1;
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:07 dev port0 nud stale");
    run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:07 dev port0 nud stale");
    run("ip neigh add 192.0.2.4 lladdr 02:00:00:00:00:07 dev port0 nud permanent");
    settle(50);
    const auto use = [&](const char* text) {
        const route::NextHop& hop = to(text);
        ASSERT_NE(hop.neighbour, route::kNoNeighbour) << text;
        fib->neighbour(hop.neighbour).mark_used();
    };
    use("192.0.2.2");
    use("192.0.2.4");
    const auto request =
        frame([&](const Frame& one) { return is_arp_request(one, *parse_ipv4("192.0.2.2")); }, 20);
    ASSERT_TRUE(request);
    EXPECT_EQ(std::memcmp(request->data(), kPeerMac.bytes.data(), 6), 0) << "not to the neighbour";
    EXPECT_EQ(follower->counters().refreshed, 1U);
    answer(*request);
    // Nobody uses the other one: the kernel is not made to ask.
    EXPECT_FALSE(
        frame([&](const Frame& one) { return is_arp_request(one, *parse_ipv4("192.0.2.3")); }, 3));
    EXPECT_EQ(follower->counters().refreshed, 1U);
    EXPECT_EQ(fib->neighbour(to("192.0.2.2").neighbour).mac(), kPeerMac);
}

}  // namespace
}  // namespace sluice::host
