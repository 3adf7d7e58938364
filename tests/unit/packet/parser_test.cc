#include "dataplane/packet/parser.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/reference/frame.h"

namespace sluice::packet {
namespace {

using contract::DropReason;
using reference::build_frame;
using reference::Frame;
using reference::FramePlan;

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132, kUdpLite = 136;

struct Parsed {
    DropReason reason;
    Headers headers;
};

Parsed parse(std::span<const std::byte> frame, const ParserSettings& settings = {}) {
    // Copied to the byte, so that a sanitizer sees every access behind the end.
    const std::vector<std::byte> exact(frame.begin(), frame.end());
    Parsed parsed;
    parsed.reason = parse_frame(exact, settings, parsed.headers);
    parsed.headers.frame = nullptr;  // the copy is gone
    return parsed;
}

FramePlan ip4(std::uint8_t protocol) {
    FramePlan plan;
    plan.source4 = *parse_ipv4("10.0.0.1");
    plan.destination4 = *parse_ipv4("10.0.0.2");
    plan.protocol = protocol;
    plan.source_port = 1025;
    plan.destination_port = 80;
    plan.payload = 4;
    return plan;
}

FramePlan ip6(std::uint8_t protocol) {
    FramePlan plan = ip4(protocol);
    plan.version = 6;
    plan.source6 = *parse_ipv6("2001:db8::1");
    plan.destination6 = *parse_ipv6("2001:db8::2");
    return plan;
}

TEST(Parser, ReadsTcpOverIpv4) {
    FramePlan plan = ip4(kTcp);
    plan.traffic_class = 0xb9;
    plan.id = 4660;
    plan.flags = ip_flag::dont_fragment;
    plan.ttl = 63;
    plan.sequence = 1000;
    plan.acknowledgement = 0xffffffff;
    plan.tcp_flags = 0x12;
    plan.window = 4096;
    plan.tcp_options = {2, 4, 5, 180};
    plan.padding = 6;
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_EQ(h.ether_type, 0x0800);
    EXPECT_EQ(h.ip_version, 4);
    EXPECT_EQ(h.protocol, kTcp);
    EXPECT_EQ(h.network_offset, 14);
    EXPECT_EQ(h.transport_offset, 34);
    EXPECT_EQ(h.ip_header_length, 20);
    EXPECT_EQ(h.ip_length, 48);  // without the padding
    EXPECT_EQ(h.counted_bytes(), 48u);
    EXPECT_EQ(h.traffic_class, 0xb9);
    EXPECT_EQ(h.ip_id, 4660u);
    EXPECT_EQ(h.ip_flags, ip_flag::dont_fragment);
    EXPECT_EQ(h.ttl, 63);
    EXPECT_EQ(h.source_port, 1025);
    EXPECT_EQ(h.destination_port, 80);
    EXPECT_EQ(h.tcp_sequence, 1000u);
    EXPECT_EQ(h.tcp_acknowledgement, 0xffffffffu);
    EXPECT_EQ(h.tcp_flags, 0x12);
    EXPECT_EQ(h.tcp_window, 4096);
    EXPECT_EQ(h.tcp_header_length, 24);
    EXPECT_FALSE(h.is_fragment());
}

TEST(Parser, ReadsIpv6) {
    FramePlan plan = ip6(kUdp);
    plan.traffic_class = 0x2e;
    plan.ttl = 1;
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_EQ(h.ip_version, 6);
    EXPECT_EQ(h.ip_length, 40 + 8 + 4);
    EXPECT_EQ(h.traffic_class, 0x2e);
    EXPECT_EQ(h.ttl, 1);
    EXPECT_EQ(h.source, plan.source6);
    EXPECT_EQ(h.destination, plan.destination6);
    EXPECT_EQ(h.destination_port, 80);
}

TEST(Parser, ReadsPortsOfAllProtocolsThatHaveThem) {
    for (const std::uint8_t protocol : {kTcp, kUdp, kSctp, kUdpLite})
        for (const FramePlan& plan : {ip4(protocol), ip6(protocol)}) {
            const auto [reason, h] = parse(build_frame(plan));
            EXPECT_EQ(reason, DropReason::none) << int{protocol};
            EXPECT_EQ(h.source_port, 1025) << int{protocol};
            EXPECT_EQ(h.destination_port, 80) << int{protocol};
        }
}

TEST(Parser, ReadsIcmpOfItsOwnFamilyOnly) {
    FramePlan plan = ip4(kIcmp);
    plan.icmp_type = 3;
    plan.icmp_code = 13;
    EXPECT_EQ(parse(build_frame(plan)).headers.icmp_type, 3);
    EXPECT_EQ(parse(build_frame(plan)).headers.icmp_code, 13);
    FramePlan plan6 = ip6(kIcmp6);
    plan6.icmp_type = 135;
    EXPECT_EQ(parse(build_frame(plan6)).headers.icmp_type, 135);
    FramePlan foreign = ip4(kIcmp6);
    foreign.icmp_type = 135;
    const auto [reason, h] = parse(build_frame(foreign));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_EQ(h.icmp_type, 0);
}

TEST(Parser, LooksBehindUpToFourTags) {
    FramePlan plan = ip4(kTcp);
    for (const std::vector<std::uint16_t>& tags : {std::vector<std::uint16_t>{0x8100},
                                                   {0x88a8, 0x8100},
                                                   {0x9100, 0x8100},
                                                   {0x88a8, 0x88a8, 0x8100, 0x8100}}) {
        plan.tags = tags;
        const auto [reason, h] = parse(build_frame(plan));
        EXPECT_EQ(reason, DropReason::none);
        EXPECT_EQ(h.ip_version, 4);
        EXPECT_EQ(h.network_offset, 14 + 4 * tags.size());
        EXPECT_EQ(h.destination_port, 80);
    }
}

// What stands behind a fifth tag no rule could judge.
TEST(Parser, MoreThanFourTagsAreRefused) {
    for (const std::uint16_t tag : {0x8100, 0x88a8, 0x9100})
        for (const std::size_t count : {5u, 6u, 300u}) {
            FramePlan plan = ip4(kTcp);
            plan.tags.assign(count, tag);
            EXPECT_EQ(parse(build_frame(plan)).reason, DropReason::vlan_tags)
                << tag << " " << count;
        }
}

TEST(Parser, WhatIsNotIpIsNoError) {
    FramePlan plan;
    plan.version = 0;
    plan.ether_type = 0x0806;
    plan.payload = 28;
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_EQ(h.ip_version, 0);
    EXPECT_EQ(h.ether_type, 0x0806);
    EXPECT_EQ(h.counted_bytes(), 28u);
    EXPECT_EQ(parse(Frame(14)).reason, DropReason::none);  // an empty 802.3 frame
}

TEST(Parser, LaterFragmentsHaveNoUpperLayer) {
    FramePlan plan = ip4(kUdp);
    plan.flags = ip_flag::more_fragments;
    plan.fragment_bytes = 1480;
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_EQ(h.fragment_offset, 1480);
    EXPECT_TRUE(h.more_fragments());
    EXPECT_EQ(h.transport_offset, 0);
    EXPECT_EQ(h.destination_port, 0);

    FramePlan plan6 = ip6(kUdp);
    plan6.extensions = {{.header = 44, .fragment_bytes = 1480, .more = true, .id = 9}};
    const auto [reason6, h6] = parse(build_frame(plan6));
    EXPECT_EQ(reason6, DropReason::none);
    EXPECT_EQ(h6.fragment_offset, 1480);
    EXPECT_TRUE(h6.more_fragments());
    EXPECT_EQ(h6.ip_id, 9u);
    EXPECT_EQ(h6.protocol, kUdp);
    EXPECT_EQ(h6.transport_offset, 0);
}

TEST(Parser, FirstFragmentsHaveOne) {
    FramePlan plan = ip4(kUdp);
    plan.flags = ip_flag::more_fragments;
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    EXPECT_TRUE(h.is_fragment());
    EXPECT_EQ(h.destination_port, 80);
}

TEST(Parser, WalksTheChainOfExtensionHeaders) {
    FramePlan plan = ip6(kTcp);
    plan.extensions = {{.header = 0, .length_units = 1},
                       {.header = 43, .length_units = 2, .routing_type = 2},
                       {.header = 44},
                       {.header = 51, .length_units = 4},
                       {.header = 60}};
    const auto [reason, h] = parse(build_frame(plan));
    EXPECT_EQ(reason, DropReason::none);
    // hopopt 2, route 4, rthdr2 128, frag 1, ah 16, dstopt 8
    EXPECT_EQ(h.extension_headers, 2 | 4 | 128 | 1 | 16 | 8);
    EXPECT_EQ(h.protocol, kTcp);
    EXPECT_EQ(h.ip_header_length, 40 + 16 + 24 + 8 + 24 + 8);
    EXPECT_EQ(h.destination_port, 80);
}

struct BadCase {
    const char* name;
    DropReason reason;
    std::function<void(FramePlan&)> spoil;
};

TEST(Parser, EveryDropReasonHasItsPacket) {
    const std::vector<BadCase> cases = {
        {"IPv4 version 5", DropReason::bad_ipv4_header,
         [](FramePlan& p) { p.claimed_version_length = 0x55; }},
        {"IPv4 header of 16 bytes", DropReason::bad_ipv4_header,
         [](FramePlan& p) { p.claimed_version_length = 0x44; }},
        {"total length below the header", DropReason::bad_ipv4_length,
         [](FramePlan& p) { p.claimed_length = 19; }},
        {"total length beyond the frame", DropReason::bad_ipv4_length,
         [](FramePlan& p) { p.claimed_length = 45; }},
        {"header longer than the packet", DropReason::bad_ipv4_length,
         [](FramePlan& p) { p.claimed_version_length = 0x4f; }},
        {"TCP header cut", DropReason::short_transport,
         [](FramePlan& p) { p.claimed_length = 39; }},
        {"UDP header cut", DropReason::short_transport,
         [](FramePlan& p) { p.protocol = kUdp, p.claimed_length = 27; }},
        {"UDP-Lite header cut", DropReason::short_transport,
         [](FramePlan& p) { p.protocol = kUdpLite, p.claimed_length = 27; }},
        {"SCTP header cut", DropReason::short_transport,
         [](FramePlan& p) { p.protocol = kSctp, p.claimed_length = 31; }},
        {"ICMP header cut", DropReason::short_transport,
         [](FramePlan& p) { p.protocol = kIcmp, p.claimed_length = 23; }},
        {"first fragment with a cut header", DropReason::short_transport,
         [](FramePlan& p) { p.flags = 1, p.claimed_length = 39; }},
        {"TCP fragment with offset 1", DropReason::tcp_fragment_offset_1,
         [](FramePlan& p) { p.fragment_bytes = 8; }},
        {"IPv6 payload beyond the frame", DropReason::bad_ipv6_length,
         [](FramePlan& p) { p.version = 6, p.claimed_length = 25; }},
        {"TCP header cut over IPv6", DropReason::short_transport,
         [](FramePlan& p) { p.version = 6, p.claimed_length = 19; }},
        {"ICMPv6 header cut", DropReason::short_transport,
         [](FramePlan& p) { p.version = 6, p.protocol = kIcmp6, p.claimed_length = 7; }},
        {"extension header cut", DropReason::extension_chain,
         [](FramePlan& p) {
             p.version = 6, p.extensions = {{.header = 60}}, p.claimed_length = 7;
         }},
        {"extension header longer than the packet", DropReason::short_transport,
         [](FramePlan& p) {
             p.version = 6, p.extensions = {{.header = 60, .length_units = 9}};
             p.claimed_length = 40;
         }},
        {"unknown routing header", DropReason::extension_chain,
         [](FramePlan& p) { p.version = 6, p.extensions = {{.header = 43, .routing_type = 4}}; }},
        {"unknown upper layer over IPv6", DropReason::extension_chain,
         [](FramePlan& p) { p.version = 6, p.protocol = 253; }},
        {"two fragment headers", DropReason::extension_chain,
         [](FramePlan& p) {
             p.version = 6, p.extensions = {{.header = 44}, {.header = 44}};
         }},
        {"too many extension headers", DropReason::extension_chain,
         [](FramePlan& p) { p.version = 6, p.extensions.assign(64, {.header = 60}); }},
        {"TCP fragment with offset 1 over IPv6", DropReason::tcp_fragment_offset_1,
         [](FramePlan& p) { p.version = 6, p.extensions = {{.header = 44, .fragment_bytes = 8}}; }},
    };
    for (const BadCase& bad : cases) {
        FramePlan plan = ip4(kTcp);
        bad.spoil(plan);
        EXPECT_EQ(parse(build_frame(plan)).reason, bad.reason) << bad.name;
    }
    Frame wrong_version = build_frame(ip6(kTcp));
    wrong_version[14] = std::byte{0x40};
    EXPECT_EQ(parse(wrong_version).reason, DropReason::bad_ipv6_header);
}

TEST(Parser, SettingsLetUnknownHeadersPassAndAtomicFragmentsBeRefused) {
    FramePlan unknown = ip6(253);
    EXPECT_EQ(parse(build_frame(unknown), {.deny_unknown_extension_headers = false}).reason,
              DropReason::none);
    FramePlan routing = ip6(kTcp);
    routing.extensions = {{.header = 43, .routing_type = 4}};
    EXPECT_EQ(parse(build_frame(routing), {.deny_unknown_extension_headers = false}).reason,
              DropReason::none);
    FramePlan atomic = ip6(kTcp);
    atomic.extensions = {{.header = 44}};
    EXPECT_EQ(parse(build_frame(atomic)).reason, DropReason::none);
    EXPECT_EQ(parse(build_frame(atomic), {.permit_single_fragment6 = false}).reason,
              DropReason::extension_chain);
}

// Cut at every byte: a packet is whole or dropped, and nothing behind the cut is read.
TEST(Parser, TruncationAtEveryByteIsNoticed) {
    FramePlan chain = ip6(kUdp);
    chain.extensions = {{.header = 0, .length_units = 1},
                        {.header = 43, .length_units = 2},
                        {.header = 51, .length_units = 2}};
    FramePlan tagged = ip4(kTcp);
    tagged.tags = {0x88a8, 0x8100};
    tagged.ip_options = {7, 7, 4, 0, 0, 0, 0};
    for (const FramePlan& plan : {ip4(kTcp), ip4(kUdp), ip4(kIcmp), ip6(kTcp), chain, tagged}) {
        const Frame whole = build_frame(plan);
        ASSERT_EQ(parse(whole).reason, DropReason::none);
        for (std::size_t length = 0; length < whole.size(); ++length)
            EXPECT_NE(parse(std::span(whole).first(length)).reason, DropReason::none) << length;
    }
    EXPECT_EQ(parse({}).reason, DropReason::short_frame);
    EXPECT_EQ(parse(Frame(13)).reason, DropReason::short_frame);
}

// The same, with lengths that fit what is left: the upper-layer header is what is missing.
TEST(Parser, TruncationBehindTheIpHeaderIsNoticed) {
    for (const std::uint8_t protocol : {kTcp, kUdp, kIcmp, kSctp, kUdpLite}) {
        const std::size_t needed = protocol == kTcp    ? 20
                                   : protocol == kSctp ? 12
                                   : protocol == kIcmp ? 4
                                                       : 8;
        for (std::uint16_t there = 0; there < 24; ++there) {
            FramePlan plan = ip4(protocol);
            plan.payload = 24;
            plan.claimed_length = static_cast<std::uint16_t>(20 + there);
            EXPECT_EQ(parse(build_frame(plan)).reason,
                      there < needed ? DropReason::short_transport : DropReason::none)
                << int{protocol} << " with " << there;
        }
    }
}

}  // namespace
}  // namespace sluice::packet
