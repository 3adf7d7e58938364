#include "dataplane/packet/link_header.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sluice::packet {
namespace {

constexpr std::uint16_t kDot1q = 0x8100, kDot1ad = 0x88a8, kIpv4 = 0x0800;

using Tags = std::vector<std::pair<std::uint16_t, std::uint16_t>>;  // type, priority and number

std::vector<std::byte> frame_with(const Tags& tags, std::uint16_t type = kIpv4) {
    std::vector<std::byte> frame(12);
    const auto append = [&](std::uint16_t value) {
        frame.push_back(static_cast<std::byte>(value >> 8));
        frame.push_back(static_cast<std::byte>(value));
    };
    for (const auto& [tag_type, tag] : tags) {
        append(tag_type);
        append(tag);
    }
    append(type);
    return frame;
}

Interface interface(std::uint16_t port, std::uint16_t vlan) {
    Interface made;
    made.port = port;
    made.vlan = vlan;
    return made;
}

// Two ports; VLAN 10 on both, 20 on the second; a place that nothing stands in any more.
Environment environment() {
    Environment environment;
    environment.interfaces = {interface(0, 0),  interface(1, 0), interface(0, 10),
                              interface(1, 10), interface(0, 0), interface(1, 20)};
    return environment;
}

std::optional<InterfaceIndex> interface_by(std::uint16_t port, const Tags& tags) {
    return interface_of_frame(environment(), port, read_link_header(frame_with(tags)));
}

TEST(LinkHeader, TheTagNamesTheInterface) {
    EXPECT_EQ(interface_by(0, {}), 0);
    EXPECT_EQ(interface_by(1, {}), 1);
    EXPECT_EQ(interface_by(0, {{kDot1q, 10}}), 2);
    EXPECT_EQ(interface_by(1, {{kDot1q, 0xe00a}}), 3);
    EXPECT_EQ(interface_by(1, {{kDot1q, 20}}), 5);
}

TEST(LinkHeader, ATagWithAPriorityOnlyNamesNoVlan) {
    EXPECT_EQ(interface_by(0, {{kDot1q, 0xa000}}), 0);
}

TEST(LinkHeader, WhatIsNotOursIsOfNoInterface) {
    EXPECT_EQ(interface_by(0, {{kDot1q, 20}}), std::nullopt);
    EXPECT_EQ(interface_by(0, {{kDot1ad, 10}}), std::nullopt);
    EXPECT_EQ(interface_by(0, {{kDot1ad, 0}}), std::nullopt);
    EXPECT_EQ(interface_by(0, {{kDot1q, 10}, {kDot1q, 20}}), std::nullopt);
    EXPECT_EQ(interface_by(0, {{kDot1q, 0}, {kDot1q, 10}}), std::nullopt);
    EXPECT_EQ(interface_by(0, {{kDot1ad, 20}, {kDot1q, 10}}), std::nullopt);
}

TEST(LinkHeader, TheTypeIsThatBehindAllTags) {
    EXPECT_EQ(read_link_header(frame_with({{kDot1ad, 1}, {kDot1q, 2}}, 0x86dd)).type, 0x86dd);
    std::vector<std::byte> cut = frame_with({{kDot1q, 10}});
    cut.resize(17);
    EXPECT_EQ(read_link_header(cut).type, kDot1q);
}

}  // namespace
}  // namespace sluice::packet
