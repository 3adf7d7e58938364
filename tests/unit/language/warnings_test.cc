#include "controlplane/language/warnings.h"

#include <gtest/gtest.h>

#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

std::string warned(std::string_view text) {
    auto rule = parse(text);
    EXPECT_TRUE(rule) << text;
    std::string all;
    for (const std::string& sentence : warnings(*rule))
        all += (all.empty() ? "" : "; ") + sentence;
    return all;
}

TEST(Warnings, ImpossibleCombinations) {
    for (const char* text :
         {"allow icmp from any to any 80", "allow icmp from any 80 to any",
          "allow icmp from any to me in dst-port 80", "allow udp from any to any setup",
          "allow udp from any to any established", "allow udp from any to any tcpflags syn",
          "allow udp from any to any tcpwin 5", "allow tcp from any to any icmptypes 8",
          "allow icmp from any to any icmp6types 128", "allow ip from any to any in out",
          "allow ip from any to any in not in", "allow ip from any to any in xmit em0",
          "allow tcp from any to any 80 frag", "allow tcp from any to any setup frag",
          "allow tcp from any to any tcpflags syn,!syn"})
        EXPECT_TRUE(warned(text).starts_with("this can never match: ")) << text << warned(text);
}

TEST(Warnings, OfTwoFamilies) {
    for (const char* text :
         {"allow ip6 from 1.2.3.4 to any", "allow ip4 from ::1 to any",
          "allow icmp from any to 2001:db8::/32", "allow ipv6-icmp from 10.0.0.0/8 to any",
          "allow ip from 1.2.3.4 to ::1", "allow ip6 from any to 1.2.3.0/24{1,2}",
          "allow ip4 from me6 to any", "allow ip from any to any ip6 src-ip 1.2.3.4",
          "allow { ip4 or icmp } from any to { ::1 or ::2 }"})
        EXPECT_TRUE(warned(text).starts_with("this can never match: ")) << text << warned(text);
    EXPECT_EQ(warned("allow ip6 from 1.2.3.4 to any"),
              "this can never match: \"src-ip 1.2.3.4\" is about IPv4, \"ip6\" about IPv6");
    for (const char* text :
         {"allow ip6 from not 1.2.3.4 to any", "allow { ip4 or ip6 } from ::1 to any",
          "allow ip4 from { 1.2.3.4 or ::1 } to any", "allow ip6 from me to ::1",
          "allow icmp from 1.2.3.4 to any", "allow ipv6-icmp from ::1 to any",
          "allow ip6 from table(1) to any", "deny not ip4 from ::1 to any",
          "allow tcp from ::1 to any"})
        EXPECT_EQ(warned(text), "") << text;
}

TEST(Warnings, ActionsThatDoLess) {
    EXPECT_NE(warned("reset udp from any to any").find("only TCP"), std::string::npos);
    EXPECT_NE(warned("abort tcp from any to any").find("only SCTP"), std::string::npos);
    EXPECT_NE(warned("100 skipto 50 ip from any to any").find("never goes back"),
              std::string::npos);
    EXPECT_EQ(warned("100 skipto :ahead ip from any to any"), "");
}

TEST(Warnings, NoneForWhatIsFine) {
    for (const char* text :
         {"allow ip from any to any", "allow ip from any to any 80",
          "allow tcp from any not 80 to any frag", "allow { tcp or icmp } from any to any 80",
          "allow not icmp from any to any 80", "allow tcp from any to any setup",
          "allow ip from any to any out recv em0 xmit em1",
          "allow ip from any to any { in or out }", "deny ip from any to any frag",
          "reset tcp from any to any", "reset ip from any to any", "skipto 50 ip from any to any",
          "allow icmp from any to any icmptypes 8", "allow udp from any to any not established",
          "deny ip from any to any not frag setup", "allow in dst-port 22"})
        EXPECT_EQ(warned(text), "") << text;
}

}  // namespace
}  // namespace sluice::language
