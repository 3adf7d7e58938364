#include "dataplane/classify/local_addresses.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace sluice::classify {
namespace {

TEST(LocalAddresses, AGlanceMissesNoneAndDoubtsFew) {
    std::mt19937_64 random(7);
    const auto any4 = [&] { return Ipv4::from_host(static_cast<std::uint32_t>(random())); };
    const auto any6 = [&] {
        Ipv6 address;
        for (std::uint8_t& byte : address.bytes)
            byte = static_cast<std::uint8_t>(random());
        return address;
    };
    packet::Environment environment;
    environment.interfaces.resize(3);
    for (packet::Interface& interface : environment.interfaces)
        interface.addresses = {{any4(), 24}, {any6(), 64}, {any4(), 32}};
    const LocalAddresses own(environment);
    for (const packet::Interface& interface : environment.interfaces)
        for (const packet::InterfaceAddress& each : interface.addresses)
            std::visit(
                [&](const auto& address) {
                    EXPECT_TRUE(own.contains(address));
                    EXPECT_TRUE(own.may_be_no_sender(address));
                },
                each.address);
    unsigned doubts = 0;
    for (unsigned i = 0; i < 10'000; ++i)
        doubts += own.may_be_no_sender(any4()) + own.may_be_no_sender(any6());
    EXPECT_LT(doubts, 600u);
    EXPECT_FALSE(LocalAddresses({}).may_be_no_sender(any4()));
}

TEST(LocalAddresses, NobodyElseSendsWithThemOrTheirBroadcastAddresses) {
    packet::Environment environment;
    environment.interfaces.resize(1);
    environment.interfaces[0].addresses = {{*parse_ipv4("192.0.2.1"), 24},
                                           {*parse_ipv4("198.51.100.4"), 31},
                                           {*parse_ipv4("203.0.113.7"), 32},
                                           {*parse_ipv6("2001:db8::1"), 64}};
    const LocalAddresses own(environment);
    const auto no_sender = [&](unsigned version, const auto& address) {
        packet::Headers headers;
        headers.ip_version = static_cast<std::uint8_t>(version);
        std::memcpy(headers.source.bytes.data(), &address, sizeof address);
        const bool is = own.is_no_sender(headers);
        EXPECT_TRUE(!is || own.may_be_no_sender(address));
        return is;
    };
    for (const char* address : {"192.0.2.1", "192.0.2.255", "198.51.100.4", "203.0.113.7"})
        EXPECT_TRUE(no_sender(4, *parse_ipv4(address))) << address;
    for (const char* address : {"192.0.2.2", "198.51.100.5", "203.0.113.8", "255.255.255.255"})
        EXPECT_FALSE(no_sender(4, *parse_ipv4(address))) << address;
    EXPECT_TRUE(no_sender(6, *parse_ipv6("2001:db8::1")));
    EXPECT_FALSE(no_sender(6, *parse_ipv6("2001:db8::ffff:ffff:ffff:ffff")));
}

}  // namespace
}  // namespace sluice::classify
