#include "dataplane/forward/hop.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"
#include "tests/reference/frame.h"

namespace sluice::forward {
namespace {

using reference::Frame;
using reference::FramePlan;

FramePlan plan_between(const char* source, const char* destination) {
    FramePlan plan;
    plan.source4 = *parse_ipv4(source);
    plan.destination4 = *parse_ipv4(destination);
    plan.protocol = 17;
    plan.payload = 32;
    return plan;
}

packet::Headers headers_of(const Frame& frame) {
    packet::Headers headers;
    EXPECT_EQ(packet::parse_frame(frame, {}, headers), contract::DropReason::none);
    return headers;
}

bool martian(const char* source, const char* destination) {
    return is_martian(headers_of(reference::build_frame(plan_between(source, destination))));
}

TEST(Hop, MartiansAreNotForwarded) {
    EXPECT_FALSE(martian("192.0.2.1", "198.51.100.1"));
    EXPECT_FALSE(martian("10.0.0.1", "223.255.255.254"));
    EXPECT_TRUE(martian("127.0.0.1", "198.51.100.1"));
    EXPECT_TRUE(martian("0.0.0.0", "198.51.100.1"));
    EXPECT_TRUE(martian("224.0.0.5", "198.51.100.1"));
    EXPECT_TRUE(martian("255.255.255.255", "198.51.100.1"));
    EXPECT_TRUE(martian("192.0.2.1", "127.0.0.1"));
    EXPECT_TRUE(martian("192.0.2.1", "0.1.2.3"));
    EXPECT_TRUE(martian("192.0.2.1", "240.0.0.1"));
}

TEST(Hop, AnAnswerToADhcpClient) {
    constexpr std::size_t kHardwareAddress = 28;
    const MacAddress client{{2, 0, 0, 0, 0, 7}};
    FramePlan plan = plan_between("192.0.2.1", "198.51.100.1");
    plan.source_port = 67;
    plan.destination_port = 68;
    plan.payload = 300;
    Frame frame = reference::build_frame(plan);
    std::byte* message = frame.data() + 14 + 20 + 8;
    message[0] = std::byte{2};
    std::memcpy(message + kHardwareAddress, &client, sizeof client);
    EXPECT_TRUE(is_dhcp_answer_to(headers_of(frame), client));
    EXPECT_FALSE(is_dhcp_answer_to(headers_of(frame), {{2, 0, 0, 0, 0, 8}}));
    message[0] = std::byte{1};
    EXPECT_FALSE(is_dhcp_answer_to(headers_of(frame), client));

    // Nothing is read that is not there, or is something else.
    plan.payload = kHardwareAddress + sizeof client - 1;
    EXPECT_FALSE(is_dhcp_answer_to(headers_of(reference::build_frame(plan)), {}));
    plan.payload = 300;
    plan.destination_port = 67;
    EXPECT_FALSE(is_dhcp_answer_to(headers_of(reference::build_frame(plan)), {}));
    plan.destination_port = 68;
    plan.protocol = 6;
    EXPECT_FALSE(is_dhcp_answer_to(headers_of(reference::build_frame(plan)), {}));
}

TEST(Hop, TheChecksumFollowsTheHopLimit) {
    for (unsigned id = 0; id < 0x10000; id += 7) {
        FramePlan plan = plan_between("192.0.2.1", "198.51.100.1");
        plan.id = static_cast<std::uint16_t>(id);
        Frame frame = reference::build_frame(plan);
        const packet::Headers headers = headers_of(frame);
        const std::span<std::byte> header = std::span(frame).subspan(headers.network_offset, 20);
        header[10] = header[11] = std::byte{0};
        packet::Checksum fresh;
        fresh.add(header);
        const Be16 checksum = fresh.finish();
        std::memcpy(&header[10], &checksum, sizeof checksum);
        EXPECT_TRUE(has_right_checksum(header.data()));
        header[15] ^= std::byte{1};
        EXPECT_FALSE(has_right_checksum(header.data()));
        header[15] ^= std::byte{1};
        const unsigned before = headers.ttl;
        lower_hop_limit(frame.data() + headers.network_offset, 4);
        EXPECT_EQ(headers_of(frame).ttl, before - 1);
        packet::Checksum sum;
        sum.add(header);
        ASSERT_EQ(sum.finish(), Be16{}) << id;
    }
}

// Any first bytes of the addresses, any checksum.
TEST(Hop, WhatGoesPlainlyIsNoMartian) {
    Frame frame = reference::build_frame(plan_between("192.0.2.1", "198.51.100.1"));
    const packet::Headers was = headers_of(frame);
    const std::span<std::byte> header = std::span(frame).subspan(was.network_offset, 20);
    for (unsigned both = 0; both < 0x10000; ++both) {
        header[12] = static_cast<std::byte>(both >> 8);
        header[16] = static_cast<std::byte>(both);
        header[10] = header[11] = std::byte{0};
        packet::Checksum fresh;
        fresh.add(header);
        const Be16 checksum = fresh.finish();
        std::memcpy(&header[10], &checksum, sizeof checksum);
        const packet::Headers headers = headers_of(frame);
        ASSERT_EQ(goes_plainly4(header.data()), !is_martian(headers) && !is_group(headers)) << both;
        header[10] ^= static_cast<std::byte>(1 + both % 255);
        ASSERT_FALSE(goes_plainly4(header.data())) << both;
    }
}

TEST(Hop, AWrongChecksumIsSeen) {
    Frame frame = reference::build_frame(plan_between("192.0.2.1", "198.51.100.1"));
    const std::span<std::byte> header =
        std::span(frame).subspan(headers_of(frame).network_offset, 20);
    for (unsigned checksum = 0; checksum < 0x10000; ++checksum) {
        header[10] = static_cast<std::byte>(checksum >> 8);
        header[11] = static_cast<std::byte>(checksum);
        packet::Checksum sum;
        sum.add(header);
        ASSERT_EQ(has_right_checksum(header.data()), sum.finish() == Be16{}) << checksum;
    }
}

TEST(Hop, SourceRoutesAreSeen) {
    const auto asks = [](std::vector<std::uint8_t> options) {
        FramePlan plan = plan_between("192.0.2.1", "198.51.100.1");
        plan.ip_options = std::move(options);
        return asks_for_source_route(headers_of(reference::build_frame(plan)));
    };
    EXPECT_FALSE(asks({}));
    EXPECT_FALSE(asks({1, 1, 1, 0}));
    EXPECT_FALSE(asks({7, 7, 4, 0, 0, 0, 0, 0}));               // record route
    EXPECT_TRUE(asks({131, 7, 4, 10, 0, 0, 1, 0}));             // loose, at its begin
    EXPECT_TRUE(asks({137, 7, 4, 10, 0, 0, 1, 0}));             // strict
    EXPECT_FALSE(asks({131, 7, 8, 10, 0, 0, 1, 0}));            // followed to its end
    EXPECT_TRUE(asks({7, 7, 4, 0, 0, 0, 0, 131, 5, 4, 9, 9}));  // behind another one
}

TEST(Hop, TheVlanIsTheOuterTag) {
    FramePlan plan = plan_between("192.0.2.1", "198.51.100.1");
    EXPECT_EQ(vlan_of(headers_of(reference::build_frame(plan))), 0);
    Frame frame = reference::build_frame(plan);
    const std::byte tag[] = {std::byte{0x81}, std::byte{0}, std::byte{0x60}, std::byte{42}};
    frame.insert(frame.begin() + 12, std::begin(tag), std::end(tag));
    EXPECT_EQ(vlan_of(headers_of(frame)), 42);
}

}  // namespace
}  // namespace sluice::forward
