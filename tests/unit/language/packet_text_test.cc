#include "controlplane/language/packet_text.h"

#include <gtest/gtest.h>

namespace sluice::language {
namespace {

unsigned byte(const PacketText& packet, std::size_t at) {
    return static_cast<unsigned>(packet.frame.at(at));
}

unsigned word(const PacketText& packet, std::size_t at) {
    return byte(packet, at) << 8 | byte(packet, at + 1);
}

PacketText read(const std::string& text) {
    const auto packet = parse_packet(text);
    EXPECT_TRUE(packet) << packet.error().text();
    return packet ? *packet : PacketText();
}

std::string complaint(const std::string& text) {
    const auto packet = parse_packet(text);
    return packet ? "none" : packet.error().text();
}

TEST(PacketText, ReadsWayAndTcp) {
    const PacketText packet = read("out em1 recv em0 tcp 1.2.3.4:5 > 6.7.8.9:80 SA ttl 3 len 60");
    EXPECT_TRUE(packet.out);
    EXPECT_EQ(packet.interface, "em1");
    EXPECT_EQ(packet.receive_interface, "em0");
    EXPECT_EQ(packet.frame.size(), 14u + 60u);
    EXPECT_EQ(word(packet, 12), 0x0800u);
    EXPECT_EQ(word(packet, 16), 60u);
    EXPECT_EQ(byte(packet, 22), 3u);
    EXPECT_EQ(byte(packet, 23), 6u);
    EXPECT_EQ(word(packet, 34), 5u);
    EXPECT_EQ(word(packet, 36), 80u);
    EXPECT_EQ(byte(packet, 47), 0x12u);
}

TEST(PacketText, InIsUsualAndSynToo) {
    const PacketText packet = read("tcp 1.2.3.4:5 > 6.7.8.9:80");
    EXPECT_FALSE(packet.out);
    EXPECT_EQ(packet.interface, "");
    EXPECT_EQ(byte(packet, 47), 2u);
    EXPECT_EQ(byte(read("tcp 1.2.3.4:5 > 6.7.8.9:80 none"), 47), 0u);
}

TEST(PacketText, ReadsIpv6FragmentsAndTags) {
    const PacketText packet = read("in em0 udp [fe80::1]:53 > [ff02::1]:54 frag 0+ vlan 7");
    EXPECT_EQ(word(packet, 12), 0x8100u);
    EXPECT_EQ(word(packet, 14), 7u);
    EXPECT_EQ(word(packet, 16), 0x86ddu);
    EXPECT_EQ(byte(packet, 18 + 6), 44u);
    EXPECT_EQ(byte(packet, 18 + 40), 17u);
    EXPECT_EQ(word(packet, 18 + 42), 1u);
    EXPECT_EQ(word(packet, 18 + 48), 53u);
    EXPECT_EQ(word(read("udp 1.1.1.1 > 2.2.2.2 frag 1480"), 20), 185u);
}

TEST(PacketText, ReadsOtherProtocols) {
    EXPECT_EQ(byte(read("icmp 1.1.1.1 > 2.2.2.2 type 3 code 1"), 34), 3u);
    EXPECT_EQ(byte(read("icmp6 ::1 > ::2"), 54), 128u);
    EXPECT_EQ(byte(read("47 1.1.1.1 > 2.2.2.2"), 23), 47u);
    EXPECT_EQ(byte(read("gre 1.1.1.1 > 2.2.2.2"), 23), 47u);
    EXPECT_TRUE(read("in em0 esp 1.1.1.1 > 2.2.2.2 bridged").bridged);
}

TEST(PacketText, SaysWhereAndWhatIsWrong) {
    EXPECT_NE(complaint("tcp 1.2.3.4:5 >").find("the packet ends here"), std::string::npos);
    EXPECT_NE(complaint("tcp 1.2.3.4:70000 > 1.1.1.1:1").find("a port"), std::string::npos);
    EXPECT_NE(complaint("tcp 1.2.3.4:5 > ::1").find("one IP version"), std::string::npos);
    EXPECT_NE(complaint("icmp 1.2.3.4:5 > 1.1.1.1").find("without a port"), std::string::npos);
    EXPECT_NE(complaint("tcp 1.1.1.1:1 > 1.1.1.1:2 X").find("TCP flags"), std::string::npos);
    EXPECT_NE(complaint("udp 1.1.1.1:1 > 1.1.1.1:2 len 1501").find("to 1500"), std::string::npos);
    EXPECT_NE(complaint("udp 1.1.1.1:1 > 1.1.1.1:2 len 9").find("at least 28"), std::string::npos);
    EXPECT_NE(complaint("udp 1.1.1.1:1 > 1.1.1.1:2 frag 9").find("multiple of 8"),
              std::string::npos);
    EXPECT_NE(complaint("in em0 recv em1 tcp 1.1.1.1 > 2.2.2.2").find("goes out"),
              std::string::npos);
    EXPECT_NE(complaint("").find("a protocol"), std::string::npos);
}

}  // namespace
}  // namespace sluice::language
