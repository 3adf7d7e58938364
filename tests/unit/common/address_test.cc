#include "common/address.h"

#include <gtest/gtest.h>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice {
namespace {

TEST(AddressText, Ipv4IsReadStrictly) {
    EXPECT_EQ(parse_ipv4("192.168.0.1"), Ipv4::from_host(0xc0a80001));
    EXPECT_EQ(parse_ipv4("255.255.255.255"), Ipv4::from_host(0xffffffff));
    for (const char* wrong : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x1.2.3.4",
                              "1.2.3.4 ", " 1.2.3.4", "1..3.4", "1.2.3.-4", "a.b.c.d", "16909060"})
        EXPECT_FALSE(parse_ipv4(wrong)) << wrong;
}

TEST(AddressText, Ipv6SurvivesTheRoundTrip) {
    for (const char* text : {"::", "::1", "fe80::1", "2001:db8::8:800:200c:417a",
                             "2001:db8:0:1:1:1:1:1", "ff02::1:ff00:0"}) {
        const auto address = parse_ipv6(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(to_string(*address), text);
    }
    for (const char* wrong : {"", ":", ":::", "1::2::3", "12345::", "g::", "::1%em0", "::1/64",
                              "1:2:3:4:5:6:7:8:9", "1.2.3.4"})
        EXPECT_FALSE(parse_ipv6(wrong)) << wrong;
}

TEST(AddressText, MacAddressHasSixBytes) {
    const auto mac = parse_mac("02:00:00:aB:cd:eF");
    ASSERT_TRUE(mac);
    EXPECT_EQ(to_string(*mac), "02:00:00:ab:cd:ef");
    for (const char* wrong : {"", "02:00:00:00:00", "02:00:00:00:00:00:00", "02:00:00:00:00:100",
                              "02-00-00-00-00-00", "02:00:00:00:00:0g"})
        EXPECT_FALSE(parse_mac(wrong)) << wrong;
}

TEST(AddressMask, EveryLengthIsFoundAgain) {
    for (unsigned length = 0; length <= 32; ++length)
        EXPECT_EQ(mask_length(ipv4_mask(length)), length);
    for (unsigned length = 0; length <= 128; ++length)
        EXPECT_EQ(mask_length(ipv6_mask(length)), length);
    EXPECT_EQ(ipv4_mask(0).host(), 0u);
    EXPECT_EQ(ipv4_mask(20).host(), 0xfffff000u);
    EXPECT_EQ(ipv6_mask(9).bytes[0], 0xff);
    EXPECT_EQ(ipv6_mask(9).bytes[1], 0x80);
}

TEST(AddressMask, GapsHaveNoLength) {
    EXPECT_FALSE(mask_length(Ipv4::from_host(0xff00ff00)));
    EXPECT_FALSE(mask_length(Ipv4::from_host(1)));
    Ipv6 gapped = ipv6_mask(64);
    gapped.bytes[15] = 1;
    EXPECT_FALSE(mask_length(gapped));
}

TEST(AddressMask, AndKeepsTheNetwork) {
    EXPECT_EQ(*parse_ipv4("10.1.2.3") & ipv4_mask(24), *parse_ipv4("10.1.2.0"));
    EXPECT_EQ(*parse_ipv6("2001:db8:1:2::3") & ipv6_mask(32), *parse_ipv6("2001:db8::"));
}

TEST(ByteOrder, IsThatOfTheNetwork) {
    const Be32 value = Be32::from_host(0x01020304);
    EXPECT_EQ(value.bytes[0], 1);
    EXPECT_EQ(value.bytes[3], 4);
    EXPECT_EQ(value.host(), 0x01020304u);
    EXPECT_EQ(Be16::from_host(0xff01).host(), 0xff01);
}

TEST(ResultOf, HoldsAValueOrAnError) {
    const Result<int> good = 5;
    const Result<int> bad = Error{ExitStatus::unavailable, "no"};
    ASSERT_TRUE(good);
    EXPECT_EQ(*good, 5);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().status, ExitStatus::unavailable);
}

TEST(UniqueDescriptor, ClosesOnceAndMoves) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    UniqueFd read_end(ends[0]);
    {
        UniqueFd write_end(ends[1]);
        UniqueFd moved = std::move(write_end);
        EXPECT_FALSE(write_end);
        EXPECT_TRUE(moved);
    }
    char byte;
    EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);  // the other end is closed
}

}  // namespace
}  // namespace sluice
