#include "dataplane/route/fib.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::route {
namespace {

Address address(const char* text) {
    if (const auto v4 = parse_ipv4(text))
        return *v4;
    return *parse_ipv6(text);
}

Prefix prefix(const char* text, unsigned length) {
    return {address(text), length};
}

Route through(packet::InterfaceIndex interface, const char* gateway = nullptr) {
    Path path{.interface = interface};
    if (gateway != nullptr)
        path.gateway = address(gateway);
    return {.paths = {path}};
}

std::unique_ptr<Fib> make_fib(const Fib::Limits& limits = {}) {
    auto fib = Fib::create(limits);
    EXPECT_TRUE(fib);
    return std::move(*fib);
}

const NextHop& look_up(const Fib& fib, const char* text, std::uint32_t hash = 0) {
    return std::visit([&](const auto& value) -> const NextHop& { return fib.find(value, hash); },
                      address(text));
}

constexpr MacAddress kMac = {{2, 0, 0, 0, 0, 7}};
constexpr MacAddress kOtherMac = {{2, 0, 0, 0, 0, 8}};

TEST(Fib, EmptyTableHasNoRoutes) {
    const auto fib = make_fib();
    EXPECT_EQ(look_up(*fib, "10.0.0.1").kind, Kind::none);
    EXPECT_EQ(look_up(*fib, "2001:db8::1").kind, Kind::none);
    EXPECT_FALSE(fib->leads_to(*parse_ipv4("10.0.0.1"), packet::kNoInterface));
}

TEST(Fib, LongestPrefixWinsAndComesBack) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("0.0.0.0", 0), through(1, "192.0.2.1")));
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), through(2, "192.0.2.2")));
    EXPECT_TRUE(fib->set_route(prefix("10.1.2.0", 26), through(3, "192.0.2.3")));
    EXPECT_TRUE(fib->set_route(prefix("10.1.0.0", 16), {.kind = Kind::blackhole}));
    EXPECT_TRUE(look_up(*fib, "11.0.0.1").is_default);
    EXPECT_EQ(look_up(*fib, "11.0.0.1").interface, 1);
    EXPECT_EQ(look_up(*fib, "10.2.0.1").interface, 2);
    EXPECT_FALSE(look_up(*fib, "10.2.0.1").is_default);
    EXPECT_EQ(look_up(*fib, "10.1.0.1").kind, Kind::blackhole);
    EXPECT_TRUE(look_up(*fib, "10.1.0.1").discards());
    EXPECT_EQ(look_up(*fib, "10.1.2.63").interface, 3);
    EXPECT_EQ(look_up(*fib, "10.1.2.64").kind, Kind::blackhole);
    fib->remove_route(prefix("10.1.0.0", 16));
    EXPECT_EQ(look_up(*fib, "10.1.2.64").interface, 2);
    EXPECT_EQ(look_up(*fib, "10.1.2.63").interface, 3);
    fib->remove_route(prefix("10.1.2.0", 26));
    fib->remove_route(prefix("10.1.2.0", 26));
    EXPECT_EQ(look_up(*fib, "10.1.2.63").interface, 2);
    fib->remove_route(prefix("10.0.0.0", 8));
    EXPECT_EQ(look_up(*fib, "10.1.2.63").interface, 1);
    fib->remove_route(prefix("0.0.0.0", 0));
    EXPECT_EQ(look_up(*fib, "10.1.2.63").kind, Kind::none);
    EXPECT_EQ(fib->usage().groups, 0U);
    EXPECT_EQ(fib->usage().next_hops, 0U);
    EXPECT_EQ(fib->usage().neighbours, 0U);
}

TEST(Fib, HostBitsOfAPrefixAreIgnored) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("10.1.2.3", 8), through(2)));
    EXPECT_EQ(look_up(*fib, "10.200.0.1").interface, 2);
    fib->remove_route(prefix("10.9.9.9", 8));
    EXPECT_EQ(look_up(*fib, "10.200.0.1").kind, Kind::none);
}

TEST(Fib, GatewayIsResolvedByOneStoreForAllItsRoutes) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), through(2, "192.0.2.2")));
    EXPECT_TRUE(fib->set_route(prefix("2001:db8::", 32), through(2, "fe80::2")));
    const NextHop& hop = look_up(*fib, "10.0.0.1");
    EXPECT_EQ(hop.gateway_version, 4);
    EXPECT_EQ(to_string(hop.gateway4()), "192.0.2.2");
    EXPECT_FALSE(hop.connected);
    ASSERT_NE(hop.neighbour, kNoNeighbour);
    const Neighbour& neighbour = fib->neighbour(hop.neighbour);
    EXPECT_FALSE(neighbour.mac());
    EXPECT_TRUE(fib->set_neighbour(2, address("192.0.2.2"), kMac));
    EXPECT_EQ(neighbour.mac(), kMac);
    EXPECT_TRUE(fib->set_neighbour(2, address("192.0.2.2"), kOtherMac));
    EXPECT_EQ(neighbour.mac(), kOtherMac);
    // The same address behind another interface is somebody else.
    EXPECT_TRUE(fib->set_neighbour(3, address("192.0.2.2"), kMac));
    EXPECT_EQ(neighbour.mac(), kOtherMac);
    fib->remove_neighbour(2, address("192.0.2.2"));
    EXPECT_FALSE(neighbour.mac());
    const NextHop& six = look_up(*fib, "2001:db8::9");
    EXPECT_EQ(six.gateway_version, 6);
    EXPECT_EQ(six.gateway, *parse_ipv6("fe80::2"));
}

TEST(Fib, GatewayOfTheOtherFamily) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), through(2, "fe80::2")));
    EXPECT_EQ(look_up(*fib, "10.0.0.1").gateway_version, 6);
    EXPECT_TRUE(fib->set_neighbour(2, address("fe80::2"), kMac));
    EXPECT_EQ(fib->neighbour(look_up(*fib, "10.0.0.1").neighbour).mac(), kMac);
}

TEST(Fib, UseOfANeighbourIsSeen) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), through(2, "192.0.2.2")));
    const NeighbourIndex index = look_up(*fib, "10.0.0.1").neighbour;
    EXPECT_FALSE(fib->neighbour_info(index)->used);
    fib->neighbour(index).mark_used();
    const auto info = fib->neighbour_info(index);
    ASSERT_TRUE(info);
    EXPECT_TRUE(info->used);
    EXPECT_EQ(info->interface, 2);
    EXPECT_EQ(std::get<Ipv4>(info->address), *parse_ipv4("192.0.2.2"));
    fib->clear_used(index);
    EXPECT_FALSE(fib->neighbour_info(index)->used);
    EXPECT_FALSE(fib->neighbour_info(fib->neighbour_end()));
}

TEST(Fib, ConnectedNetworkIsGleanedUntilTheNeighbourIsKnown) {
    const auto fib = make_fib();
    for (const auto& [network, length, host, other] :
         {std::tuple{"10.0.0.0", 24U, "10.0.0.7", "10.0.0.8"},
          std::tuple{"2001:db8::", 64U, "2001:db8::7", "2001:db8::8"}}) {
        EXPECT_TRUE(fib->set_route(prefix(network, length), through(1)));
        EXPECT_TRUE(look_up(*fib, host).connected);
        EXPECT_EQ(look_up(*fib, host).neighbour, kNoNeighbour);
        // Of an interface to which the network does not belong.
        EXPECT_TRUE(fib->set_neighbour(2, address(host), kOtherMac));
        EXPECT_EQ(look_up(*fib, host).neighbour, kNoNeighbour);
        EXPECT_TRUE(fib->set_neighbour(1, address(host), kMac));
        EXPECT_TRUE(look_up(*fib, host).connected);
        EXPECT_EQ(look_up(*fib, host).gateway_version, 0);
        EXPECT_EQ(fib->neighbour(look_up(*fib, host).neighbour).mac(), kMac);
        EXPECT_EQ(look_up(*fib, other).neighbour, kNoNeighbour);
        fib->remove_neighbour(1, address(host));
        EXPECT_EQ(look_up(*fib, host).neighbour, kNoNeighbour);
        EXPECT_TRUE(look_up(*fib, host).connected);
        fib->remove_neighbour(2, address(host));
        fib->remove_route(prefix(network, length));
    }
    EXPECT_EQ(fib->usage().neighbours, 0U);
    EXPECT_EQ(fib->usage().next_hops, 0U);
    EXPECT_EQ(fib->usage().groups, 0U);
}

TEST(Fib, NeighbourFollowsTheRouteThatCoversIt) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_neighbour(1, address("10.0.0.7"), kMac));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").kind, Kind::none);
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 24), through(1)));
    EXPECT_NE(look_up(*fib, "10.0.0.7").neighbour, kNoNeighbour);
    // A longer route by a gateway takes it away, one by the interface itself gives it back.
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 28), through(2, "192.0.2.1")));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").gateway_version, 4);
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.4", 30), through(1)));
    EXPECT_TRUE(look_up(*fib, "10.0.0.7").connected);
    EXPECT_NE(look_up(*fib, "10.0.0.7").neighbour, kNoNeighbour);
    fib->remove_route(prefix("10.0.0.4", 30));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").gateway_version, 4);
    fib->remove_route(prefix("10.0.0.0", 28));
    EXPECT_NE(look_up(*fib, "10.0.0.7").neighbour, kNoNeighbour);
    // A route of its MTU counts too.
    Route narrow = through(1);
    narrow.mtu = 1280;
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 24), narrow));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").mtu, 1280U);
    fib->remove_route(prefix("10.0.0.0", 24));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").kind, Kind::none);
}

TEST(Fib, RouteOfFullLengthStandsBeforeTheNeighbour) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 24), through(1)));
    EXPECT_TRUE(fib->set_neighbour(1, address("10.0.0.7"), kMac));
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.7", 32), {.kind = Kind::local, .paths = {{1}}}));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").kind, Kind::local);
    fib->remove_route(prefix("10.0.0.7", 32));
    EXPECT_EQ(fib->neighbour(look_up(*fib, "10.0.0.7").neighbour).mac(), kMac);
    // A point-to-point route leads to the neighbour itself.
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.7", 32), through(1)));
    EXPECT_EQ(fib->neighbour(look_up(*fib, "10.0.0.7").neighbour).mac(), kMac);
    fib->remove_neighbour(1, address("10.0.0.7"));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").neighbour, kNoNeighbour);
    EXPECT_TRUE(look_up(*fib, "10.0.0.7").connected);
    EXPECT_TRUE(fib->set_neighbour(1, address("10.0.0.7"), kMac));
    fib->remove_route(prefix("10.0.0.0", 24));
    EXPECT_NE(look_up(*fib, "10.0.0.7").neighbour, kNoNeighbour);
    fib->remove_route(prefix("10.0.0.7", 32));
    EXPECT_EQ(look_up(*fib, "10.0.0.7").kind, Kind::none);
    EXPECT_EQ(fib->usage().groups, 0U);
}

TEST(Fib, SeveralPathsByWeight) {
    const auto fib = make_fib();
    Route route;
    route.paths = {{.interface = 1, .gateway = address("192.0.2.1"), .weight = 1},
                   {.interface = 2, .gateway = address("198.51.100.1"), .weight = 3}};
    EXPECT_TRUE(fib->set_route(prefix("0.0.0.0", 0), route));
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), route));
    for (const char* destination : {"10.0.0.1", "11.0.0.1"}) {
        std::map<unsigned, unsigned> seen;
        for (std::uint32_t i = 0; i < 1000; ++i)
            ++seen[look_up(*fib, destination, i * 4294967).interface];
        EXPECT_NEAR(seen[1], 250, 2);
        EXPECT_NEAR(seen[2], 750, 2);
    }
    EXPECT_TRUE(look_up(*fib, "11.0.0.1").is_default);
    EXPECT_TRUE(fib->leads_to(*parse_ipv4("10.0.0.1"), 1));
    EXPECT_TRUE(fib->leads_to(*parse_ipv4("10.0.0.1"), 2));
    EXPECT_FALSE(fib->leads_to(*parse_ipv4("10.0.0.1"), 3));
    fib->remove_route(prefix("10.0.0.0", 8));
    fib->remove_route(prefix("0.0.0.0", 0));
    EXPECT_EQ(fib->usage().next_hops, 0U);
    EXPECT_EQ(fib->usage().neighbours, 0U);
}

TEST(Fib, WeightsThatDoNotFitAreApproached) {
    const auto fib = make_fib();
    Route route;
    const unsigned weights[] = {1, 100, 155};
    for (unsigned i = 0; i < 3; ++i)
        route.paths.push_back({.interface = static_cast<packet::InterfaceIndex>(i),

                               .weight = weights[i]});
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), route));
    std::map<unsigned, unsigned> seen;
    for (std::uint32_t i = 0; i < 256; ++i)
        ++seen[look_up(*fib, "10.0.0.1", i << 24).interface];
    EXPECT_GT(seen[0], 0U);
    EXPECT_NEAR(seen[1], 100, 6);
    EXPECT_NEAR(seen[2], 155, 6);
    // As many paths as there may be, each with a part.
    route.paths.assign(kMaximumPaths, {.interface = 0, .weight = 255});
    for (std::size_t i = 0; i < kMaximumPaths; ++i)
        route.paths[i] = {.interface = static_cast<packet::InterfaceIndex>(i),

                          .weight = i == 0 ? 255U : 1U};
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), route));
    for (std::size_t i = 0; i < kMaximumPaths; ++i)
        EXPECT_TRUE(fib->leads_to(*parse_ipv4("10.0.0.1"), static_cast<std::uint16_t>(i)));
}

TEST(Fib, WhatItCannotCarryIsRefusedInWords) {
    const auto fib = make_fib({.groups = 2, .next_hops = 8, .path_sets = 2, .neighbours = 4});
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 8), through(1)));
    EXPECT_TRUE(fib->set_route(prefix("10.1.1.0", 25), through(2)));
    EXPECT_TRUE(fib->set_route(prefix("10.1.2.0", 25), through(2)));
    const auto full = fib->set_route(prefix("10.1.3.0", 25), through(2));
    ASSERT_FALSE(full);
    EXPECT_NE(full.error().message.find("route to 10.1.3.0/25"), std::string::npos);
    EXPECT_NE(full.error().message.find("used up"), std::string::npos);
    EXPECT_EQ(look_up(*fib, "10.1.3.1").interface, 1);
    const auto no_neighbour = fib->set_neighbour(1, address("10.1.3.1"), kMac);
    ASSERT_FALSE(no_neighbour);
    EXPECT_NE(no_neighbour.error().message.find("neighbour 10.1.3.1"), std::string::npos);
    EXPECT_FALSE(fib->set_route(prefix("10.0.0.0", 33), through(1)));
    EXPECT_FALSE(fib->set_route(prefix("10.0.0.0", 8), {.kind = Kind::forward}));
    EXPECT_FALSE(fib->set_route(prefix("10.0.0.0", 8), {.kind = Kind::none}));
    Route many;
    many.paths.assign(kMaximumPaths + 1, {.interface = 1});
    EXPECT_FALSE(fib->set_route(prefix("10.0.0.0", 8), many));
    EXPECT_EQ(look_up(*fib, "10.200.0.1").interface, 1);
    EXPECT_EQ(fib->usage().refused, 6U);
    // Room again, once nobody can see what was removed.
    fib->remove_route(prefix("10.1.1.0", 25));
    EXPECT_FALSE(fib->set_route(prefix("10.1.3.0", 25), through(2)));
    fib->reclaim_all();
    EXPECT_TRUE(fib->set_route(prefix("10.1.3.0", 25), through(2)));
    for (unsigned i = 0; i < 5; ++i)
        (void)fib->set_route(prefix("11.0.0.0", 9 + i),
                             through(1, ("192.0.2." + std::to_string(i + 1)).c_str()));
    EXPECT_EQ(fib->usage().neighbours, 3U);
    EXPECT_EQ(look_up(*fib, "11.0.0.1").gateway_version, 4);
}

TEST(Fib, MemoryIsUsedAgainOnlyAfterAGracePeriod) {
    struct Periods {
        std::uint64_t now = 0, passed = 0;
        std::uint64_t begin_period() { return ++now; }
        bool period_over(std::uint64_t period) const { return period <= passed; }
    } periods;
    const auto fib = make_fib({.groups = 1, .next_hops = 64, .path_sets = 2, .neighbours = 16});
    EXPECT_TRUE(fib->set_route(prefix("10.1.1.0", 25), through(2)));
    const NextHop& old = look_up(*fib, "10.1.1.1");
    fib->remove_route(prefix("10.1.1.0", 25));
    fib->reclaim(periods);
    fib->reclaim(periods);
    EXPECT_EQ(periods.now, 1U);
    EXPECT_FALSE(fib->set_route(prefix("10.1.2.0", 25), through(3)));
    EXPECT_EQ(old.interface, 2);
    periods.passed = 1;
    fib->reclaim(periods);
    EXPECT_TRUE(fib->set_route(prefix("10.1.2.0", 25), through(3)));
}

TEST(Fib, BurstGivesWhatSingleLookUpsGive) {
    const auto fib = make_fib();
    EXPECT_TRUE(fib->set_route(prefix("0.0.0.0", 1), through(1)));
    EXPECT_TRUE(fib->set_route(prefix("10.0.0.0", 25), through(2)));
    EXPECT_TRUE(fib->set_route(prefix("2001:db8::", 32), through(3)));
    EXPECT_TRUE(fib->set_route(prefix("2001:db8::1", 128), through(4)));
    std::vector<Ipv4> four;
    std::vector<Ipv6> six;
    std::vector<std::uint32_t> hashes;
    for (std::uint32_t i = 0; i < 150; ++i) {
        four.push_back(Ipv4::from_host(i % 3 == 0 ? 0x0a000000 + i : i << 25));
        six.push_back(*parse_ipv6("2001:db8::"));
        six.back().bytes[15] = static_cast<std::uint8_t>(i);
        six.back().bytes[0] = i % 7 == 0 ? 0 : 0x20;
        hashes.push_back(i);
    }
    std::vector<const NextHop*> found(150);
    fib->find(four, hashes, found);
    for (std::size_t i = 0; i < four.size(); ++i)
        EXPECT_EQ(found[i], &fib->find(four[i], hashes[i]));
    fib->find(six, hashes, found);
    for (std::size_t i = 0; i < six.size(); ++i)
        EXPECT_EQ(found[i], &fib->find(six[i], hashes[i]));
}

}  // namespace
}  // namespace sluice::route
