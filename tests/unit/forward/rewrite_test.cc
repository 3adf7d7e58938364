#include "dataplane/forward/rewrite.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"
#include "tests/reference/frame.h"

namespace sluice::forward {
namespace {

using reference::Frame;
using reference::FramePlan;

FramePlan packet4() {
    FramePlan plan;
    plan.source4 = *parse_ipv4("10.0.0.1");
    plan.destination4 = *parse_ipv4("10.0.0.2");
    plan.tags = {0x8100};
    plan.id = 0x1234;
    plan.tcp_flags = 2;
    plan.payload = 7;
    return plan;
}

FramePlan packet6() {
    FramePlan plan = packet4();
    plan.version = 6;
    plan.ether_type = 0x86dd;
    plan.source6 = *parse_ipv6("2001:db8::1");
    plan.destination6 = *parse_ipv6("2001:db8::2");
    plan.flow_label = 0xabcde;
    return plan;
}

packet::Headers headers_of(const Frame& frame) {
    packet::Headers headers;
    EXPECT_EQ(packet::parse_frame(frame, {}, headers), contract::DropReason::none);
    return headers;
}

void put16(Frame& frame, std::size_t at, std::uint16_t value) {
    frame[at] = static_cast<std::byte>(value >> 8);
    frame[at + 1] = static_cast<std::byte>(value);
}

std::uint16_t get16(const Frame& frame, std::size_t at) {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(frame[at]) << 8 |
                                      std::to_integer<unsigned>(frame[at + 1]));
}

std::uint16_t ip_sum(const Frame& frame) {
    const packet::Headers h = headers_of(frame);
    packet::Checksum sum;
    sum.add(std::span(frame).subspan(h.network_offset, h.ip_header_length));
    return sum.finish().host();
}

std::uint16_t tcp_sum(const Frame& frame) {
    const packet::Headers h = headers_of(frame);
    const std::size_t length = h.ip_length - (h.transport_offset - h.network_offset);
    packet::Checksum sum;
    if (h.ip_version == 4) {
        Ipv4 source, destination;
        std::memcpy(&source, h.source.bytes.data(), 4);
        std::memcpy(&destination, h.destination.bytes.data(), 4);
        sum.add(source);
        sum.add(destination);
    } else {
        sum.add(h.source);
        sum.add(h.destination);
    }
    sum.add(std::uint16_t{6});
    sum.add(static_cast<std::uint16_t>(length));
    sum.add(std::span(frame).subspan(h.transport_offset, length));
    return sum.finish().host();
}

// With right checksums.
Frame built(const FramePlan& plan) {
    Frame frame = reference::build_frame(plan);
    const packet::Headers h = headers_of(frame);
    if (h.ip_version == 4) {
        put16(frame, h.network_offset + 10u, 0);
        put16(frame, h.network_offset + 10u, ip_sum(frame));
    }
    if (h.protocol == 6) {
        put16(frame, h.transport_offset + 16u, 0);
        put16(frame, h.transport_offset + 16u, tcp_sum(frame));
    }
    return frame;
}

program::PacketMarks dscp(std::uint8_t value) {
    program::PacketMarks marks;
    marks.has_dscp = true;
    marks.dscp = value;
    return marks;
}

program::PacketMarks mss(std::uint16_t value) {
    program::PacketMarks marks;
    marks.maximum_segment_size = value;
    return marks;
}

TEST(Rewrite, TheCodePointChangesAndNothingElse) {
    for (unsigned before = 0; before < 256; ++before) {
        for (FramePlan plan : {packet4(), packet6()}) {
            plan.traffic_class = static_cast<std::uint8_t>(before);
            Frame frame = built(plan);
            const packet::Headers old = headers_of(frame);
            ASSERT_TRUE(rewrite(frame, old, dscp(9)));
            const packet::Headers now = headers_of(frame);
            EXPECT_EQ(now.traffic_class, 36 | (before & 3));
            EXPECT_EQ(now.flow_label, old.flow_label);
            EXPECT_EQ(plan.version == 4 ? ip_sum(frame) : 0, 0);
            EXPECT_EQ(tcp_sum(frame), 0);
            EXPECT_EQ(frame.size(), built(plan).size());
        }
    }
}

// RFC 1624: a checksum of 0xffff must not come out where 0x0000 is right, nor the other way round.
TEST(Rewrite, ChecksumsStayRightForRandomPackets) {
    std::mt19937 random(7);
    for (int i = 0; i < 20000; ++i) {
        FramePlan plan = packet4();
        plan.id = static_cast<std::uint16_t>(random());
        plan.traffic_class = static_cast<std::uint8_t>(random());
        plan.source4 = Ipv4::from_host(static_cast<std::uint32_t>(random()));
        plan.sequence = static_cast<std::uint32_t>(random());
        // At an even and at an odd place.
        if (random() % 2 == 0)
            plan.tcp_options = {1};
        for (const unsigned byte : {2u, 4u, unsigned(random() % 256), unsigned(random() % 256)})
            plan.tcp_options.push_back(static_cast<std::uint8_t>(byte));
        Frame frame = built(plan);
        program::PacketMarks marks = dscp(static_cast<std::uint8_t>(random() % 64));
        marks.maximum_segment_size = static_cast<std::uint16_t>(random() % 65535 + 1);
        ASSERT_TRUE(rewrite(frame, headers_of(frame), marks));
        ASSERT_EQ(ip_sum(frame), 0) << reference::to_hex(frame);
        ASSERT_EQ(tcp_sum(frame), 0) << reference::to_hex(frame);
    }
}

TEST(Rewrite, ASegmentSizeIsOnlyLowered) {
    for (FramePlan plan : {packet4(), packet6()}) {
        plan.tcp_options = {2, 4, 0x05, 0xb4, 1, 3, 3, 7};
        Frame frame = built(plan);
        const std::size_t at = headers_of(frame).transport_offset + 22u;
        ASSERT_TRUE(rewrite(frame, headers_of(frame), mss(1500)));
        EXPECT_EQ(get16(frame, at), 1460);
        ASSERT_TRUE(rewrite(frame, headers_of(frame), mss(1400)));
        EXPECT_EQ(get16(frame, at), 1400);
        EXPECT_EQ(tcp_sum(frame), 0);
    }
}

TEST(Rewrite, BrokenOptionsEndTheWalk) {
    for (const std::vector<std::uint8_t>& options : {std::vector<std::uint8_t>{3, 0, 2, 4, 5, 180},
                                                     {3, 1, 2, 4, 5, 180},
                                                     {8, 200, 2, 4, 5, 180},
                                                     {2, 3, 5, 180, 0, 0},
                                                     {0, 2, 4, 5, 180, 0},
                                                     {1, 1, 1, 2}}) {
        FramePlan plan = packet4();
        plan.tcp_options = options;
        Frame frame = built(plan);
        const Frame before = frame;
        EXPECT_TRUE(rewrite(frame, headers_of(frame), mss(100)));
        EXPECT_EQ(frame, before);
    }
}

TEST(Rewrite, HeadersBehindTheFirstBufferAreNotTouched) {
    FramePlan plan = packet4();
    plan.tcp_options = {2, 4, 5, 180};
    Frame frame = built(plan);
    const Frame before = frame;
    const packet::Headers h = headers_of(frame);
    EXPECT_FALSE(rewrite(std::span(frame).first(h.network_offset + 19u), h, dscp(1)));
    EXPECT_FALSE(rewrite(std::span(frame).first(h.transport_offset + 23u), h, mss(100)));
    EXPECT_EQ(frame, before);
    EXPECT_TRUE(rewrite(std::span(frame).first(h.transport_offset + 24u), h, mss(100)));
    EXPECT_NE(frame, before);
}

}  // namespace
}  // namespace sluice::forward
