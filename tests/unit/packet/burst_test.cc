#include "dataplane/packet/burst.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "tests/reference/frame.h"

namespace sluice::packet {
namespace {

using contract::DropReason;
using reference::build_frame;
using reference::Frame;
using reference::FramePlan;

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kGre = 47, kIcmp6 = 58;

FramePlan plan_of(int version, std::uint8_t protocol) {
    FramePlan plan;
    plan.version = version;
    plan.ether_type = version == 4 ? 0x0800 : 0x86dd;
    plan.source4 = *parse_ipv4("10.1.2.3");
    plan.destination4 = *parse_ipv4("192.0.2.200");
    plan.source6 = *parse_ipv6("2001:db8:1:2:3:4:5:6");
    plan.destination6 = *parse_ipv6("2001:db8:a:b:c:d:e:f");
    plan.protocol = protocol;
    plan.source_port = 0x1234;
    plan.destination_port = 0xabcd;
    plan.icmp_type = version == 4 ? 8 : 128;
    plan.tcp_flags = 0x12;
    plan.traffic_class = 0xb9;
    plan.ttl = 63;
    plan.flags = version == 4 ? ip_flag::dont_fragment : 0;
    plan.acknowledgement = 0xfedcba98;
    plan.payload = 6;
    return plan;
}

std::vector<FramePlan> common_plans() {
    std::vector<FramePlan> plans;
    for (const bool tagged : {false, true}) {
        for (const auto& [version, protocol] :
             {std::pair(4, kTcp), {4, kUdp}, {4, kIcmp}, {6, kTcp}, {6, kUdp}, {6, kIcmp6}}) {
            plans.push_back(plan_of(version, protocol));
            if (tagged)
                plans.back().tags = {0x8100};
        }
    }
    return plans;
}

Glance glance(const Frame& frame) {
    return glance_at(frame.data(), static_cast<std::uint32_t>(frame.size()));
}

// What a glance has seen must be what the parser finds, whatever its settings are.
void expect_the_same(const Frame& frame) {
    // Copied to the byte, so that a sanitizer sees every access behind the end.
    const std::vector<std::byte> exact(frame.begin(), frame.end());
    const Glance seen = glance(exact);
    if (seen.ip_version == 0)
        return;
    for (const bool strict : {false, true}) {
        Headers h;
        ASSERT_EQ(
            parse_frame(
                exact,
                {.deny_unknown_extension_headers = strict, .permit_single_fragment6 = !strict}, h),
            DropReason::none);
        ASSERT_EQ(seen.ip_version, h.ip_version);
        EXPECT_EQ(seen.network, exact.data() + h.network_offset);
        EXPECT_EQ(seen.transport(), exact.data() + h.transport_offset);
        EXPECT_EQ(seen.protocol, h.protocol);
        EXPECT_EQ(seen.ip_length, h.ip_length);
        EXPECT_EQ(seen.ip_length, h.counted_bytes());
        EXPECT_EQ(seen.ports & 0xffff, h.source_port);
        EXPECT_EQ(seen.ports >> 16, h.destination_port);
        EXPECT_EQ(seen.traffic_class(), h.traffic_class);
        EXPECT_EQ(seen.ttl(), h.ttl);
        EXPECT_EQ(seen.ip_flags(), h.ip_flags);
        EXPECT_FALSE(h.is_fragment());
        EXPECT_EQ(h.extension_headers, 0);
        EXPECT_EQ(seen.has_ports(), h.protocol == kTcp || h.protocol == kUdp);
        if (h.protocol == kTcp) {
            EXPECT_EQ(seen.tcp().flags, h.tcp_flags);
            EXPECT_EQ(seen.tcp().acknowledgement.host(), h.tcp_acknowledgement);
        }
        if (!seen.has_ports()) {
            EXPECT_EQ(seen.icmp_type(), h.icmp_type);
        }
        const std::size_t size = h.ip_version == 4 ? 4 : 16;
        const void* source =
            h.ip_version == 4 ? static_cast<const void*>(&seen.ip4().source) : &seen.ip6().source;
        const void* destination = h.ip_version == 4
                                      ? static_cast<const void*>(&seen.ip4().destination)
                                      : &seen.ip6().destination;
        EXPECT_EQ(std::memcmp(source, h.source.bytes.data(), size), 0);
        EXPECT_EQ(std::memcmp(destination, h.destination.bytes.data(), size), 0);
    }
}

TEST(Glance, SeesWhatTheParserFindsInCommonFrames) {
    for (const FramePlan& plan : common_plans()) {
        const Frame frame = build_frame(plan);
        EXPECT_EQ(glance(frame).ip_version, plan.version);
        expect_the_same(frame);
    }
}

TEST(Glance, IsContentWithTheShortestFrames) {
    for (FramePlan plan : common_plans()) {
        plan.payload = 0;
        Frame frame = build_frame(plan);
        EXPECT_EQ(glance(frame).ip_version, plan.version) << "protocol " << +plan.protocol;
        expect_the_same(frame);
        frame.pop_back();
        EXPECT_EQ(glance(frame).ip_version, 0) << "protocol " << +plan.protocol;
    }
}

TEST(Glance, DoesNotLookAtPadding) {
    for (FramePlan plan : common_plans()) {
        plan.padding = 10;
        const Frame frame = build_frame(plan);
        EXPECT_EQ(glance(frame).ip_version, plan.version);
        expect_the_same(frame);
    }
}

TEST(Glance, LeavesEverythingElseToTheParser) {
    FramePlan options = plan_of(4, kTcp), first_fragment = options, fragment = options,
              tunnel = plan_of(4, kGre), wrong_icmp = plan_of(4, kIcmp6),
              wrong_icmp6 = plan_of(6, kIcmp), extension = plan_of(6, kTcp), two_tags = options,
              arp = options, lie = options, lie6 = plan_of(6, kTcp), old_version = options;
    options.ip_options = {1, 1, 1, 1};
    first_fragment.flags = ip_flag::more_fragments;
    fragment.fragment_bytes = 64;
    extension.extensions = {{.header = 60}};
    two_tags.tags = {0x8100, 0x8100};
    arp.version = 0;
    arp.ether_type = 0x0806;
    lie.claimed_length = 2000;
    lie6.claimed_length = 2000;
    old_version.claimed_version_length = 0x65;
    for (const FramePlan& plan : {options, first_fragment, fragment, tunnel, wrong_icmp,
                                  wrong_icmp6, extension, two_tags, arp, lie, lie6, old_version})
        EXPECT_EQ(glance(build_frame(plan)).ip_version, 0);
    EXPECT_EQ(glance({}).ip_version, 0);
}

TEST(Glance, SeesTheSameInBrokenFrames) {
    std::mt19937 random(1);
    unsigned common = 0;
    for (const FramePlan& plan : common_plans()) {
        const Frame whole = build_frame(plan);
        for (unsigned round = 0; round < 3000; ++round) {
            Frame frame = whole;
            for (unsigned changes = random() % 3; changes > 0; --changes)
                frame[random() % frame.size()] ^= static_cast<std::byte>(1u << random() % 8);
            if (random() % 4 == 0)
                frame.resize(random() % (frame.size() + 1));
            expect_the_same(frame);
            common += glance(frame).ip_version != 0 ? 1 : 0;
        }
    }
    EXPECT_GT(common, 10000u);
    EXPECT_LT(common, 34000u);
}

class BurstTest : public testing::Test {
  protected:
    BurstTest() {
        burst_.begin({.parser_settings = {}, .first_sequence = 100, .now_ms = 5000, .uptime_s = 7});
    }

    void add(const Frame& frame) {
        burst_.add(frame.data(), static_cast<std::uint32_t>(frame.size()), passage_);
    }

    const Frame tcp_ = build_frame(plan_of(4, kTcp)), gre_ = build_frame(plan_of(4, kGre));
    const Passage passage_{.entry = Entry::bridge, .receive_interface = 3};
    Burst burst_;
};

TEST_F(BurstTest, KnowsWhichPacketsAreCommon) {
    add(tcp_);
    add(gre_);
    add(tcp_);
    EXPECT_EQ(burst_.size(), 3u);
    EXPECT_EQ(burst_.common(), 5u);
    EXPECT_EQ(burst_.all(), 7u);
    EXPECT_EQ(burst_.glance(1).ip_version, 0);
    EXPECT_EQ(burst_.glance(1).ip_length, 0);
}

TEST_F(BurstTest, ParsesPacketsWhenTheyAreAskedFor) {
    add(tcp_);
    add(gre_);
    const Packet& packet = burst_.packet(1);
    EXPECT_EQ(packet.headers.protocol, kGre);
    EXPECT_EQ(packet.headers.frame, gre_.data());
    EXPECT_EQ(packet.malformed, DropReason::none);
    EXPECT_EQ(packet.passage.receive_interface, 3);
    EXPECT_EQ(packet.sequence, 101u);
    EXPECT_EQ(packet.now_ms, 5000u);
    EXPECT_EQ(packet.uptime_s, 7u);
    EXPECT_EQ(&burst_.packet(1), &packet);
    EXPECT_EQ(burst_.packet(0).headers.protocol, kTcp);
}

TEST_F(BurstTest, TakesSeveralFramesAtOnce) {
    add(gre_);
    burst_.add(2, passage_, [&](std::size_t i) {
        const Frame& frame = i == 0 ? tcp_ : gre_;
        return Burst::Frame{frame.data(), static_cast<std::uint32_t>(frame.size())};
    });
    EXPECT_EQ(burst_.size(), 3u);
    EXPECT_EQ(burst_.common(), 2u);
    EXPECT_EQ(burst_.packet(2).headers.protocol, kGre);
}

TEST_F(BurstTest, MovesTogetherWhatIsKept) {
    add(gre_);
    add(tcp_);
    add(gre_);
    add(tcp_);
    (void)burst_.packet(0);
    burst_.keep_only(0b1010);
    EXPECT_EQ(burst_.size(), 2u);
    EXPECT_EQ(burst_.common(), 3u);
    EXPECT_EQ(burst_.packet(0).headers.protocol, kTcp);
    EXPECT_EQ(burst_.packet(0).sequence, 100u);
    burst_.keep_only(0);
    EXPECT_EQ(burst_.size(), 0u);
    EXPECT_EQ(burst_.common(), 0u);
}

TEST_F(BurstTest, TakesPacketsThatHaveBeenParsed) {
    Packet packet;
    packet.sequence = 9;
    packet.passage.receive_interface = 5;
    add(tcp_);
    burst_.add(packet);
    EXPECT_EQ(burst_.common(), 1u);
    EXPECT_EQ(&burst_.packet(1), &packet);
    EXPECT_EQ(burst_.passage(1).receive_interface, 5);
    EXPECT_EQ(burst_.glance(1).ip_version, 0);
}

TEST_F(BurstTest, IsFullWithAllItsBits) {
    for (std::size_t i = 0; i < Burst::kCapacity; ++i)
        add(tcp_);
    EXPECT_EQ(burst_.all(), ~Burst::Mask{0});
    EXPECT_EQ(burst_.common(), ~Burst::Mask{0});
}

}  // namespace
}  // namespace sluice::packet
