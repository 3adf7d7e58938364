#include "controlplane/log/log_line_reader.h"

#include <gtest/gtest.h>

#include <fstream>

#include "controlplane/log/log_line.h"

namespace sluice::log {
namespace {

using Kind = ReadLine::Kind;
using Way = LoggedPacket::Way;

TEST(LogLineReader, ReadsTheLineOfTheArticle) {
    const ReadLine read = read_line(
        "Nov  9 21:12:18 Peter-Hickmans-Computer kernel: ipfw: 2060 Accept TCP 1.2.3.4:119 "
        "10.0.0.1:54609 in via en0");
    ASSERT_EQ(read.kind, Kind::packet);
    EXPECT_EQ(read.packet.rule, 2060);
    EXPECT_EQ(read.packet.action, "Accept");
    EXPECT_EQ(read.packet.protocol, "TCP");
    EXPECT_EQ(std::get<Ipv4>(read.packet.source.address).host(), 0x01020304u);
    EXPECT_EQ(read.packet.source.port, 119);
    EXPECT_EQ(read.packet.destination.port, 54609);
    EXPECT_EQ(read.packet.way, Way::in);
    EXPECT_EQ(read.packet.interface, "en0");
}

TEST(LogLineReader, ReadsEveryFormThatIsWritten) {
    struct Case {
        const char* line;
        const char* action;
        const char* protocol;
        int rule;
        Way way;
    };
    for (const Case& each : {
             Case{"ipfw: 65000 Unreach TCP 10.0.0.1:1 10.0.0.2:80 in via en0", "Unreach", "TCP",
                  65000, Way::in},
             Case{"ipfw: 100 Unreach 3 TCP 1.1.1.1:5 2.2.2.2:80 in via en0", "Unreach 3", "TCP",
                  100, Way::in},
             Case{"ipfw: 100 Forward to 10.0.0.9:8080 TCP 1.1.1.1:5 2.2.2.2:80 out via en0",
                  "Forward to 10.0.0.9:8080", "TCP", 100, Way::out},
             Case{"ipfw: 100 Eaction tcp-setmss TCP 1.1.1.1:5 2.2.2.2:80 in via em0",
                  "Eaction tcp-setmss", "TCP", 100, Way::in},
             Case{"ipfw: 100 Count ICMP:8.0 1.1.1.1 2.2.2.2 in via en0", "Count", "ICMP:8.0", 100,
                  Way::in},
             Case{"ipfw: 100 Deny P:47 1.1.1.1 2.2.2.2 in via en0", "Deny", "P:47", 100, Way::in},
             Case{"ipfw: 100 Deny UDP 1.1.1.1 2.2.2.2 in via en0 (frag 4660:100@1480)", "Deny",
                  "UDP", 100, Way::in},
             Case{"ipfw: 100 Deny TCP [2001:db8::1]:5 [2001:db8::2]:80 in via en0", "Deny", "TCP",
                  100, Way::in},
             Case{"ipfw: 100 Deny ICMPv6:128.0 [2001:db8::1] [2001:db8::2] [no if info]", "Deny",
                  "ICMPv6:128.0", 100, Way::unknown},
             Case{"ipfw: -1 Refuse TCP 1.1.1.1 2.2.2.2 in via en0 (frag 1:20@8)", "Refuse", "TCP",
                  -1, Way::in},
             Case{"ipfw: 100 Deny MAC in via en0", "Deny", "MAC", 100, Way::in},
         }) {
        const ReadLine read = read_line(each.line);
        ASSERT_EQ(read.kind, Kind::packet) << each.line;
        EXPECT_EQ(read.packet.action, each.action);
        EXPECT_EQ(read.packet.protocol, each.protocol);
        EXPECT_EQ(read.packet.rule, each.rule);
        EXPECT_EQ(read.packet.way, each.way);
    }
}

TEST(LogLineReader, TakesTheLineOfAnObject) {
    const ReadLine read = read_line(
        R"({"schema":"sluice/log/1","line":"ipfw: 100 Count ICMP:8.0 192.0.2.2 192.0.2.1 in via em0"})");
    ASSERT_EQ(read.kind, Kind::packet);
    EXPECT_EQ(read.packet.rule, 100);
    EXPECT_EQ(read.packet.interface, "em0");
    for (const char* other : {"{", "{}", "[1]", R"({"line":7})", R"({"line":"hello"})"})
        EXPECT_EQ(read_line(other).kind, Kind::other) << other;
}

TEST(LogLineReader, TellsWhatIsNoPacket) {
    for (const char* line :
         {"ipfw: limit 100 reached on entry 65000", "ipfw: pullup failed",
          "ipfw: 100 drop session type 40 10.0.0.1 1025 -> 10.0.0.2 80, 3 too many entries",
          "ipfw: call stack error, go to next rule",
          "ipfw: 32 lines were left out: at entry 100, more than 2 in a second "
          "(net.inet.ip.fw.verbose_rate)",
          "ipfw: rule 200 has expired: deny udp from any to any expires 2026-11-27T17:09:26Z"})
        EXPECT_EQ(read_line(line).kind, Kind::notice) << line;
    for (const char* line : {"", "Nov  9 21:12:18 host sshd[1]: Accepted publickey",
                             "Nov  9 21:12:18 host kernel: no_ipfw: 1"})
        EXPECT_EQ(read_line(line).kind, Kind::other) << line;
    const ReadLine repeated = read_line("Nov  9 21:12:18 host last message repeated 12 times");
    EXPECT_EQ(repeated.kind, Kind::repeated);
    EXPECT_EQ(repeated.times, 12u);
}

// As the article's script weeds out lines that the log has spoilt.
TEST(LogLineReader, LinesThatAreSpoiltAreUnreadable) {
    for (const char* line :
         {"ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.300:54609 in via en0",
          "ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:70000 in via en0",
          "ipfw: 2060 Accept TCP 1.2.3.4:1:9 10.0.0.1:7 in via en0",
          "ipfw: 2060 Accept TCP 1.2.3:119 10.0.0.1:54609 in via en0",
          "ipfw: 2060 Accept TCP [::1]:1 10.0.0.1:54609 in via en0", "ipfw: 2060 Accept TCP",
          "ipfw: 99999 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0",
          "ipfw: ", "ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in vi",
          "ipfw: 20 ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0",
          "ipfw: 2060 TCP 1.2.3.4:119 10.0.0.1:54609 in via en0"})
        EXPECT_EQ(read_line(line).kind, Kind::unreadable) << line;
}

// What log_line.h writes for any record is read back.
TEST(LogLineReader, ReadsWhatTheWriterWrites) {
    std::size_t packets = 0;
    for (const char* file : {"log_lines_real.txt", "log_lines_derived.tsv"}) {
        std::ifstream lines(std::string(TEST_DATA) + "/" + file);
        for (std::string line; std::getline(lines, line);) {
            const std::size_t begin = line.find("\tipfw: ");
            if (begin == line.npos && !line.starts_with("ipfw: "))
                continue;
            const ReadLine read =
                read_line(begin == line.npos ? line : std::string_view(line).substr(begin + 1));
            EXPECT_TRUE(read.kind == Kind::packet || read.kind == Kind::notice) << line;
            packets += read.kind == Kind::packet ? 1 : 0;
        }
    }
    EXPECT_GT(packets, 15u);
}

}  // namespace
}  // namespace sluice::log
