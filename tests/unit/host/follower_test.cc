// The follower beside a real kernel: links, addresses, routes and neighbours as `ip` makes them.
#include "dataplane/host/follower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

using route::Kind;

class FollowerTest : public HostTest {};

TEST_F(FollowerTest, WhatIsThereAtTheStartIsFound) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip -6 addr add 2001:db8::1/64 dev port0 nodad");
    run("ip route add 198.51.100.0/24 via 192.0.2.254 mtu 1400");
    run("ip route add default via 192.0.2.253");
    run("ip -6 route add 2001:db8:1::/48 via 2001:db8::fe");
    run("ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:07 dev port0");
    follow();
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_FALSE(follower->environment_changed());
    EXPECT_EQ(to("192.0.2.1").kind, Kind::local);
    EXPECT_EQ(to("192.0.2.1").interface, 0);
    EXPECT_EQ(to("192.0.2.255").kind, Kind::local);
    EXPECT_TRUE(to("192.0.2.7").connected);
    EXPECT_EQ(to("192.0.2.7").interface, 0);
    EXPECT_EQ(gateway_to("198.51.100.1"), "192.0.2.254");
    EXPECT_EQ(to("198.51.100.1").mtu, 1400U);
    EXPECT_EQ(gateway_to("203.0.113.1"), "192.0.2.253");
    EXPECT_TRUE(to("203.0.113.1").is_default);
    EXPECT_EQ(to("2001:db8::1").kind, Kind::local);
    EXPECT_TRUE(to("2001:db8::77").connected);
    EXPECT_EQ(gateway_to("2001:db8:1::1"), "2001:db8::fe");
    EXPECT_EQ(to("2001:db8:2::1").kind, Kind::none);
    const MacAddress mac = {{2, 0, 0, 0, 0, 7}};
    EXPECT_EQ(fib->neighbour(to("198.51.100.1").neighbour).mac(), mac);
    EXPECT_EQ(fib->neighbour(to("192.0.2.254").neighbour).mac(), mac);
    EXPECT_FALSE(fib->neighbour(to("203.0.113.1").neighbour).mac());

    ASSERT_EQ(follower->interfaces().size(), 2U);
    const packet::Interface& port = follower->interfaces()[0];
    EXPECT_EQ(port.name, "port0");
    EXPECT_TRUE(port.up);
    EXPECT_EQ(port.mtu, 1500U);
    EXPECT_NE(out_of("ip link show port0").find("link/ether " + to_string(port.mac)),
              std::string::npos);
    EXPECT_TRUE(std::any_of(port.addresses.begin(), port.addresses.end(), [](const auto& address) {
        return address.address == address_of("192.0.2.1") && address.prefix_length == 24;
    }));
    EXPECT_EQ(follower->interfaces()[1].name, "port1");
    EXPECT_FALSE(follower->interfaces()[1].up);
    EXPECT_EQ(follower->counters().malformed, 0U);
    EXPECT_EQ(follower->counters().resyncs, 1U);
}

TEST_F(FollowerTest, WhatIsForTheHostInAnyCase) {
    follow();
    for (const char* address : {"0.0.0.0", "127.0.0.1", "224.0.0.5", "239.1.2.3", "255.255.255.255",
                                "::", "::1", "fe80::1", "ff02::1"})
        EXPECT_EQ(to(address).kind, Kind::local) << address;
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
    // Link-local networks of twins change nothing about it.
    make_link("port0");
    settle();
    EXPECT_EQ(to("fe80::1").kind, Kind::local);
    EXPECT_EQ(to("ff02::1").kind, Kind::local);
}

TEST_F(FollowerTest, RoutesAreAddedReplacedAndDeleted) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    follow();
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.2");
    run("ip route replace 10.0.0.0/8 via 192.0.2.3");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.3");
    run("ip route change 10.0.0.0/8 via 192.0.2.3 mtu 1300");
    settle(50);
    EXPECT_EQ(to("10.1.1.1").mtu, 1300U);
    run("ip route del 10.0.0.0/8");
    settle(50);
    EXPECT_EQ(to("10.1.1.1").kind, Kind::none);
    EXPECT_EQ(follower->counters().resyncs, 1U);
}

TEST_F(FollowerTest, LowestMetricWinsAndTheOtherComesBack) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    follow();
    run("ip route add 10.0.0.0/8 via 192.0.2.2 metric 200");
    run("ip route add 10.0.0.0/8 via 192.0.2.3 metric 100");
    run("ip route add 10.0.0.0/8 via 192.0.2.4 metric 300");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.3");
    run("ip route del 10.0.0.0/8 metric 100");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.2");
    run("ip route del 10.0.0.0/8 metric 200");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.4");
}

TEST_F(FollowerTest, AppendedRouteStandsBehind) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    follow();
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    run("ip route append 10.0.0.0/8 via 192.0.2.3");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.2");
    run("ip route prepend 10.0.0.0/8 via 192.0.2.4");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.4");
    run("ip route del 10.0.0.0/8 via 192.0.2.4");
    run("ip route del 10.0.0.0/8 via 192.0.2.2");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.1.1"), "192.0.2.3");
}

TEST_F(FollowerTest, SeveralPaths) {
    make_link("port0");
    make_link("port1");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip addr add 198.51.100.1/24 dev port1");
    run("ip -6 addr add 2001:db8::1/64 dev port0 nodad");
    run("ip -6 addr add 2001:db8:1::1/64 dev port1 nodad");
    run("ip route add 10.0.0.0/8 nexthop via 192.0.2.2 weight 1 nexthop via 198.51.100.2 weight 3");
    follow();
    const auto share = [&](const char* address, unsigned interface) {
        unsigned count = 0;
        for (std::uint32_t i = 0; i < 256; ++i)
            count += to(address, i << 24).interface == interface ? 1 : 0;
        return count;
    };
    EXPECT_EQ(share("10.0.0.1", 0), 64U);
    EXPECT_EQ(share("10.0.0.1", 1), 192U);
    run("ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2");
    settle(50);
    EXPECT_EQ(share("2001:db8:9::1", 0), 128U);
    EXPECT_EQ(share("2001:db8:9::1", 1), 128U);
    // A path of an IPv6 route goes, comes, and the route goes.
    run("ip -6 route del 2001:db8:9::/48 via 2001:db8::2");
    settle(50);
    EXPECT_EQ(share("2001:db8:9::1", 1), 256U);
    run("ip -6 route append 2001:db8:9::/48 via 2001:db8::3");
    settle(50);
    EXPECT_EQ(share("2001:db8:9::1", 1), 128U);
    run("ip -6 route del 2001:db8:9::/48");
    settle(50);
    EXPECT_EQ(to("2001:db8:9::1").kind, Kind::none);
    // A link goes down: the other path takes all.
    run("ip link set port0 down");
    settle();
    EXPECT_EQ(share("10.0.0.1", 1), 256U);
    run("ip link set port0 up");
    settle();
    EXPECT_EQ(share("10.0.0.1", 0), 64U);
}

TEST_F(FollowerTest, RoutesThatLeadNowhere) {
    follow();
    run("ip route add blackhole 10.1.0.0/16");
    run("ip route add unreachable 10.2.0.0/16");
    run("ip route add prohibit 10.3.0.0/16");
    run("ip route add throw 10.4.0.0/16");
    run("ip -6 route add blackhole 2001:db8:1::/48");
    run("ip -6 route add unreachable 2001:db8:2::/48");
    run("ip -6 route add prohibit 2001:db8:3::/48");
    settle(50);
    EXPECT_EQ(to("10.1.0.1").kind, Kind::blackhole);
    EXPECT_EQ(to("10.2.0.1").kind, Kind::unreachable);
    EXPECT_EQ(to("10.3.0.1").kind, Kind::prohibit);
    EXPECT_EQ(to("10.4.0.1").kind, Kind::unreachable);
    EXPECT_EQ(to("2001:db8:1::1").kind, Kind::blackhole);
    EXPECT_EQ(to("2001:db8:2::1").kind, Kind::unreachable);
    EXPECT_EQ(to("2001:db8:3::1").kind, Kind::prohibit);
    run("ip route del prohibit 10.3.0.0/16");
    run("ip -6 route del 2001:db8:3::/48");
    settle(50);
    EXPECT_EQ(to("10.3.0.1").kind, Kind::none);
    EXPECT_EQ(to("2001:db8:3::1").kind, Kind::none);
}

TEST_F(FollowerTest, RoutesByOtherLinksAreTheHosts) {
    make_link("management");
    run("ip addr add 192.0.2.1/24 dev management");
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    follow();
    EXPECT_EQ(to("10.0.0.1").kind, Kind::local);
    EXPECT_EQ(to("192.0.2.1").kind, Kind::local);
    EXPECT_EQ(to("192.0.2.7").kind, Kind::local);
    EXPECT_TRUE(follower->interfaces()[0].addresses.empty());
    run("ip link del management");
    settle();
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
}

TEST_F(FollowerTest, TablesOfPolicyRoutingAreLeftOut) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via 192.0.2.2 table 100");
    run("ip route add 10.1.0.0/16 via 192.0.2.3 table default");
    follow();
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
    EXPECT_EQ(gateway_to("10.1.0.1"), "192.0.2.3");
    run("ip route add 10.1.0.0/16 via 192.0.2.4 metric 4000");
    settle(50);
    EXPECT_EQ(gateway_to("10.1.0.1"), "192.0.2.4");
}

TEST_F(FollowerTest, NextHopObjects) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip nexthop add id 7 via 192.0.2.2 dev port0");
    run("ip route add 10.0.0.0/8 nhid 7");
    follow();
    EXPECT_EQ(gateway_to("10.0.0.1"), "192.0.2.2");
    run("ip nexthop replace id 7 via 192.0.2.3 dev port0");
    settle();
    EXPECT_EQ(gateway_to("10.0.0.1"), "192.0.2.3");
    // The kernel says nothing about the route that goes with it.
    run("ip nexthop del id 7");
    settle();
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
}

TEST_F(FollowerTest, GatewayOfTheOtherFamily) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via inet6 fe80::2 dev port0");
    follow();
    EXPECT_EQ(gateway_to("10.0.0.1"), "fe80::2");
}

TEST_F(FollowerTest, NeighboursComeAndGo) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip -6 addr add 2001:db8::1/64 dev port0 nodad");
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    follow();
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:07 dev port0");
    run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:08 dev port0 nud reachable");
    run("ip neigh add 2001:db8::2 lladdr 02:00:00:00:00:09 dev port0 nud stale");
    settle(50);
    const MacAddress seven = {{2, 0, 0, 0, 0, 7}};
    EXPECT_EQ(fib->neighbour(to("10.0.0.1").neighbour).mac(), seven);
    EXPECT_NE(to("192.0.2.3").neighbour, route::kNoNeighbour);
    EXPECT_NE(to("2001:db8::2").neighbour, route::kNoNeighbour);
    run("ip neigh change 192.0.2.2 lladdr 02:00:00:00:00:17 dev port0");
    settle(50);
    EXPECT_EQ(fib->neighbour(to("10.0.0.1").neighbour).mac()->bytes[5], 0x17);
    run("ip neigh change 192.0.2.3 dev port0 nud failed");
    run("ip neigh del 192.0.2.2 dev port0");
    settle(50);
    EXPECT_FALSE(fib->neighbour(to("10.0.0.1").neighbour).mac());
    EXPECT_EQ(to("192.0.2.3").neighbour, route::kNoNeighbour);
    EXPECT_TRUE(to("192.0.2.3").connected);
}

TEST_F(FollowerTest, AddressesComeAndGo) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    follow();
    (void)follower->environment_changed();
    run("ip addr add 198.51.100.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via 192.0.2.2 src 198.51.100.1");
    settle(50);
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_EQ(to("198.51.100.1").kind, Kind::local);
    EXPECT_TRUE(to("10.0.0.1").kind == Kind::forward);
    run("ip addr del 198.51.100.1/24 dev port0");
    settle();
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_EQ(to("198.51.100.1").kind, Kind::none);
    // The kernel drops the route whose source it was, and does not say so.
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
    run("ip link set port0 mtu 1400");
    settle(50);
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_EQ(follower->interfaces()[0].mtu, 1400U);
    run("ip link set port0 address 02:00:00:00:00:01");
    settle(50);
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_EQ(to_string(follower->interfaces()[0].mac), "02:00:00:00:00:01");
    EXPECT_FALSE(follower->environment_changed());
}

TEST_F(FollowerTest, LinkGoesDownAndComesUp) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    run("ip -6 addr add 2001:db8::1/64 dev port0 nodad");
    run("ip -6 route add 2001:db8:1::/48 via 2001:db8::2");
    follow();
    EXPECT_EQ(to("10.0.0.1").kind, Kind::forward);
    run("ip link set port0 down");
    settle();
    EXPECT_FALSE(follower->interfaces()[0].up);
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
    EXPECT_EQ(to("2001:db8:1::1").kind, Kind::none);
    EXPECT_EQ(to("192.0.2.7").kind, Kind::none);
    run("ip link set port0 up");
    settle();
    EXPECT_TRUE(follower->interfaces()[0].up);
    EXPECT_TRUE(to("192.0.2.7").connected);
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none) << "the kernel has forgotten it";
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    settle(50);
    EXPECT_EQ(gateway_to("10.0.0.1"), "192.0.2.2");
}

TEST_F(FollowerTest, TwinIsDeletedAndMadeAgain) {
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:07 dev port0");
    follow();
    (void)follower->environment_changed();
    run("ip link del port0");
    settle();
    EXPECT_TRUE(follower->environment_changed());
    EXPECT_FALSE(follower->interfaces()[0].up);
    EXPECT_TRUE(follower->interfaces()[0].addresses.empty());
    EXPECT_EQ(to("10.0.0.1").kind, Kind::none);
    EXPECT_EQ(to("192.0.2.1").kind, Kind::none);
    EXPECT_EQ(fib->usage().neighbours, 0U);
    make_link("port0");
    run("ip addr add 192.0.2.1/24 dev port0");
    run("ip route add 10.0.0.0/8 via 192.0.2.2");
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:08 dev port0");
    settle();
    EXPECT_TRUE(follower->interfaces()[0].up);
    EXPECT_EQ(fib->neighbour(to("10.0.0.1").neighbour).mac()->bytes[5], 8);
    // A link that gets the name of a port, with all that it has.
    make_link("other");
    run("ip addr add 203.0.113.1/24 dev other");
    run("ip neigh add 203.0.113.2 lladdr 02:00:00:00:00:0a dev other");
    settle();
    EXPECT_EQ(to("203.0.113.7").kind, Kind::local);
    run("ip link set other name port1");
    settle();
    EXPECT_TRUE(to("203.0.113.7").connected);
    EXPECT_EQ(to("203.0.113.7").interface, 1);
}

TEST_F(FollowerTest, FullFibRefusesAndTriesAgain) {
    // What is for the host takes some of it.
    auto small =
        route::Fib::create({.groups = 32, .next_hops = 64, .path_sets = 4, .neighbours = 16});
    ASSERT_TRUE(small);
    fib = std::move(*small);
    run("ip route add blackhole 10.0.0.0/8");
    follow();
    EXPECT_EQ(follower->counters().refused, 0U);
    EXPECT_FALSE(follower->complaint());
    for (int i = 0; i < 32; ++i)
        run("ip route add unreachable 10.0." + std::to_string(i) + ".0/25");
    settle(50);
    EXPECT_GE(follower->counters().refused, 4U);
    EXPECT_EQ(to("10.0.31.1").kind, Kind::blackhole);
    const auto complaint = follower->complaint();
    ASSERT_TRUE(complaint);
    EXPECT_NE(complaint->find("used up"), std::string::npos) << *complaint;
    EXPECT_FALSE(follower->complaint());
    for (int i = 0; i < 30; ++i)
        run("ip route del unreachable 10.0." + std::to_string(i) + ".0/25");
    EXPECT_TRUE(until([&] {
        return to("10.0.30.1").kind == Kind::unreachable &&
               to("10.0.31.1").kind == Kind::unreachable;
    }));
    EXPECT_EQ(to("10.0.0.1").kind, Kind::blackhole);
}

}  // namespace
}  // namespace sluice::host
