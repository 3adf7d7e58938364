#include "dataplane/forward/keepalive.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"

namespace sluice::forward {
namespace {

using Framing = state::LinkOrigin::Framing;

constexpr MacAddress kInitiator{{2, 0, 0, 0, 0, 1}}, kResponder{{2, 0, 0, 0, 0, 2}};

state::Keepalive keepalive(std::uint8_t version, Framing framing) {
    state::Keepalive result;
    result.source.bytes = {10, 0, 0, 1};
    result.destination.bytes = {192, 0, 2, 80};
    if (version == 6) {
        result.source.bytes = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        result.destination.bytes = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50};
    }
    result.source_port = 40000;
    result.destination_port = 443;
    result.ip_version = version;
    result.sequence = 0x01020304;
    result.acknowledgement = 0xfffefdfc;
    result.origin.initiator = kInitiator;
    result.origin.responder = kResponder;
    result.origin.framing = framing;
    result.origin.vlan = 0x6005;
    return result;
}

class KeepaliveTest : public testing::Test {
  protected:
    std::span<const std::byte> build(const state::Keepalive& wanted) {
        buffer_.fill(std::byte{0xee});
        return std::span(buffer_).first(build_keepalive(wanted, buffer_));
    }

    std::array<std::byte, kMaximumKeepalive> buffer_;
};

unsigned byte(std::span<const std::byte> bytes, std::size_t at) {
    return std::to_integer<unsigned>(bytes[at]);
}

// Of TCP, over the pseudo header too.
unsigned checksum_left(std::span<const std::byte> segment, const state::Keepalive& sent) {
    packet::Checksum sum;
    sum.add(sent.source);
    sum.add(sent.destination);
    sum.add(std::uint16_t{6});
    sum.add(static_cast<std::uint16_t>(segment.size()));
    sum.add(segment);
    return sum.finish().host();
}

void expect_bare_ack(std::span<const std::byte> frame, const state::Keepalive& sent) {
    packet::Headers headers;
    ASSERT_EQ(packet::parse_frame(frame, {}, headers), contract::DropReason::none);
    EXPECT_EQ(headers.ip_version, sent.ip_version);
    EXPECT_EQ(headers.protocol, 6);
    EXPECT_EQ(headers.ttl, 64);
    EXPECT_EQ(headers.ip_length, sent.ip_version == 4 ? 40 : 60);
    EXPECT_EQ(headers.source, sent.source);
    EXPECT_EQ(headers.destination, sent.destination);
    EXPECT_EQ(headers.source_port, 40000);
    EXPECT_EQ(headers.destination_port, 443);
    EXPECT_EQ(headers.tcp_flags, 0x10);
    EXPECT_EQ(headers.tcp_header_length, 20);
    EXPECT_EQ(headers.tcp_window, 0);
    EXPECT_EQ(headers.tcp_sequence, 0x01020304u);
    EXPECT_EQ(headers.tcp_acknowledgement, 0xfffefdfcu);
    EXPECT_EQ(checksum_left(frame.subspan(headers.transport_offset, 20), sent), 0u);
    if (sent.ip_version == 4) {
        packet::Checksum header;
        header.add(frame.subspan(headers.network_offset, 20));
        EXPECT_EQ(header.finish().host(), 0u);
    }
}

TEST_F(KeepaliveTest, Ipv4IsABareAckPaddedToTheLeastFrame) {
    const auto sent = keepalive(4, Framing::plain);
    const auto frame = build(sent);
    ASSERT_EQ(frame.size(), 60u);
    expect_bare_ack(frame, sent);
    for (std::size_t i = 54; i < 60; ++i)
        EXPECT_EQ(byte(frame, i), 0u);
}

TEST_F(KeepaliveTest, Ipv6IsABareAck) {
    const auto sent = keepalive(6, Framing::plain);
    const auto frame = build(sent);
    ASSERT_EQ(frame.size(), 74u);
    expect_bare_ack(frame, sent);
}

TEST_F(KeepaliveTest, TheTagStaysAndTheLongestFrameFits) {
    const auto sent = keepalive(6, Framing::tagged);
    const auto frame = build(sent);
    ASSERT_EQ(frame.size(), kMaximumKeepalive);
    expect_bare_ack(frame, sent);
    const unsigned expected[] = {0x81, 0x00, 0x60, 0x05, 0x86, 0xdd};
    for (std::size_t i = 0; i < 6; ++i)
        EXPECT_EQ(byte(frame, 12 + i), expected[i]);
}

TEST_F(KeepaliveTest, EachSideSeesTheOtherOnesAddress) {
    auto sent = keepalive(4, Framing::plain);
    auto frame = build(sent);
    ASSERT_EQ(frame.size(), 60u);
    EXPECT_EQ(byte(frame, 5), 2u);   // to the responder
    EXPECT_EQ(byte(frame, 11), 1u);  // as from the initiator
    sent.to_initiator = true;
    frame = build(sent);
    EXPECT_EQ(byte(frame, 5), 1u);
    EXPECT_EQ(byte(frame, 11), 2u);
}

TEST_F(KeepaliveTest, WhatIsRoutedGetsItsAddressesWhenItLeaves) {
    const auto sent = keepalive(4, Framing::routed);
    const auto frame = build(sent);
    ASSERT_EQ(frame.size(), 60u);
    expect_bare_ack(frame, sent);
    for (std::size_t i = 0; i < 12; ++i)
        EXPECT_EQ(byte(frame, i), 0u);
}

TEST_F(KeepaliveTest, NothingIsSentWhereFramesAreNotKnown) {
    EXPECT_TRUE(build(keepalive(4, Framing::own)).empty());
    EXPECT_TRUE(build(keepalive(4, Framing::other)).empty());
    EXPECT_TRUE(build(keepalive(4, Framing::unknown)).empty());
    EXPECT_EQ(build_keepalive(keepalive(4, Framing::plain),
                              std::span(buffer_).first(kMaximumKeepalive - 1)),
              0u);
}

}  // namespace
}  // namespace sluice::forward
