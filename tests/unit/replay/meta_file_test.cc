#include "replay/meta_file.h"

#include <gtest/gtest.h>

namespace sluice::replay {
namespace {

using packet::Direction;
using packet::Entry;

packet::Environment two_interfaces() {
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    return environment;
}

constexpr char kHeading[] = "index,direction,recv_if,xmit_if,time_ms\n";

TEST(MetaFile, ReadsTheFourDirections) {
    const auto packets = parse_meta(
        std::string(kHeading) + "0,in,em0,,0\n1,out,em0,em1,5\n2,l2in,em1,,7\n3,l2out,,em1,4000\n",
        "meta", two_interfaces());
    ASSERT_TRUE(packets) << packets.error().message;
    ASSERT_EQ(packets->size(), 4u);
    EXPECT_EQ((*packets)[0].passage.direction, Direction::in);
    EXPECT_EQ((*packets)[0].passage.entry, Entry::ip);
    EXPECT_EQ((*packets)[0].passage.transmit_interface, packet::kNoInterface);
    EXPECT_EQ((*packets)[1].passage.direction, Direction::out);
    EXPECT_EQ((*packets)[1].passage.receive_interface, 0);
    EXPECT_EQ((*packets)[1].passage.transmit_interface, 1);
    EXPECT_EQ((*packets)[2].passage.entry, Entry::layer2);
    EXPECT_EQ((*packets)[2].passage.direction, Direction::in);
    EXPECT_EQ((*packets)[3].passage.entry, Entry::layer2);
    EXPECT_EQ((*packets)[3].passage.direction, Direction::out);
    EXPECT_EQ((*packets)[3].time_ms, 4000u);
}

struct BadLine {
    const char* text;
    const char* message;
};

class MetaFileErrors : public testing::TestWithParam<BadLine> {};

TEST_P(MetaFileErrors, NameTheLine) {
    const auto packets = parse_meta(std::string(kHeading) + "0,in,em0,,0\n" + GetParam().text,
                                    "meta", two_interfaces());
    ASSERT_FALSE(packets);
    EXPECT_EQ(packets.error().message.rfind("meta:3: ", 0), 0u) << packets.error().message;
    EXPECT_NE(packets.error().message.find(GetParam().message), std::string::npos)
        << packets.error().message;
}

INSTANTIATE_TEST_SUITE_P(All, MetaFileErrors,
                         testing::Values(BadLine{"1,in,em0,", "expected index,direction"},
                                         BadLine{"2,in,em0,,0", "expected index 1, found 2"},
                                         BadLine{"1,up,em0,,0", "unknown direction \"up\""},
                                         BadLine{"1,in,em7,,0", "no interface \"em7\""},
                                         BadLine{"1,in,em0,,soon", "\"soon\" is not a time"}));

}  // namespace
}  // namespace sluice::replay
