// One rule, one packet, does it match: the table that the project was given, and what the manual
// says beside it.
#include <gtest/gtest.h>

#include "tests/unit/program/bench.h"

namespace sluice::program {
namespace {

using reference::FramePlan;

constexpr packet::InterfaceIndex kEm0 = 0, kEm1 = 1, kLo0 = 2, kLo = 3;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

FramePlan plain(std::uint8_t protocol) {
    FramePlan plan;
    plan.source4 = *parse_ipv4("11.1.1.1");
    plan.destination4 = *parse_ipv4("10.0.0.2");
    plan.protocol = protocol;
    plan.source_port = 1025;
    plan.destination_port = 53;
    plan.payload = 20;
    return plan;
}

FramePlan tcp(std::uint8_t flags, unsigned fragment_bytes = 0) {
    FramePlan plan = plain(6);
    plan.tcp_flags = flags;
    plan.fragment_bytes = fragment_bytes;
    return plan;
}

FramePlan udp(bool more = false, unsigned fragment_bytes = 0) {
    FramePlan plan = plain(17);
    plan.flags = more ? 1 : 0;
    plan.fragment_bytes = fragment_bytes;
    return plan;
}

FramePlan from(const char* source) {
    FramePlan plan = udp();
    plan.source4 = *parse_ipv4(source);
    return plan;
}

struct Row {
    const char* rule;
    FramePlan packet;
    bool matches;
    packet::Passage passage = in_by(kEm0);
};

class Match : public testing::TestWithParam<Row> {};

TEST_P(Match, AsTheTableSays) {
    const Row& row = GetParam();
    Bench bench({"100 " + std::string(row.rule), "200 count ip from any to any"});
    bench.pass(row.packet, row.passage);
    EXPECT_EQ(bench.counters(0).substr(0, 2), row.matches ? "1 " : "0 ") << row.rule;
}

const char kEstablished[] = "allow tcp from any to any established";
const char kSetup[] = "allow tcp from any to any setup";
const char kFlags[] = "allow tcp from any to any tcpflags fin,!rst";

INSTANTIATE_TEST_SUITE_P(
    Vectors, Match,
    testing::Values(Row{kEstablished, tcp(kSyn), false}, Row{kEstablished, tcp(kSyn | kAck), true},
                    Row{kEstablished, tcp(kAck), true}, Row{kEstablished, tcp(kRst), true},
                    Row{kEstablished, tcp(kRst | kAck), true}, Row{kEstablished, tcp(kFin), true},
                    Row{kEstablished, tcp(0), true}, Row{kEstablished, tcp(kSyn | kRst), true},
                    Row{kEstablished, tcp(kPsh | kUrg), true},
                    Row{kEstablished, tcp(kAck, 64), false}, Row{kEstablished, udp(), false},
                    Row{kSetup, tcp(kSyn), true}, Row{kSetup, tcp(kSyn | kAck), false},
                    Row{kSetup, tcp(kSyn | kFin), true}, Row{kSetup, tcp(kSyn | kRst), true},
                    Row{kSetup, tcp(kAck), false}, Row{kFlags, tcp(kFin | kAck), true},
                    Row{kFlags, tcp(kFin | kRst), false}));

INSTANTIATE_TEST_SUITE_P(
    Fragments, Match,
    testing::Values(Row{"deny ip from any to any frag", udp(true), false},
                    Row{"deny ip from any to any frag", udp(false, 64), true},
                    Row{"deny udp from any to any 53", udp(true), true},
                    Row{"deny udp from any to any 53", udp(false, 64), false},
                    Row{"deny udp from any to any", udp(false, 64), true},
                    Row{"deny udp from any to any not 53", udp(false, 64), true},
                    Row{"deny ip from any to any frag mf,!offset", udp(true), true},
                    Row{"deny icmp from any to any icmptypes 0",
                        [] {
                            FramePlan plan = plain(1);
                            plan.fragment_bytes = 64;
                            return plan;
                        }(),
                        false}));

INSTANTIATE_TEST_SUITE_P(
    Interfaces, Match,
    testing::Values(Row{"deny ip from any to any via lo*", udp(), true, in_by(kLo0)},
                    Row{"deny ip from any to any via lo*", udp(), true, in_by(kLo)},
                    Row{"deny ip from any to any via lo", udp(), false, in_by(kLo0)},
                    Row{"deny ip from any to any xmit em0", udp(), false, in_by(kEm0)},
                    Row{"deny ip from any to any recv em0", udp(), true, out_by(kEm1, kEm0)},
                    Row{"deny ip from any to any recv em0", udp(), false, out_by(kEm0)},
                    Row{"deny ip from any to any via em0", udp(), false, out_by(kEm1, kEm0)},
                    Row{"deny ip from any to any via 10.0.0.1", udp(), true, in_by(kEm0)},
                    Row{"deny ip from any to any via 10.0.0.1", udp(), false, in_by(kEm1)},
                    Row{"deny ip from any to any in", udp(), false, out_by(kEm1)},
                    Row{"deny ip from any to any out recv em0 xmit em1", udp(), true,
                        out_by(kEm1, kEm0)}));

INSTANTIATE_TEST_SUITE_P(
    Addresses, Match,
    testing::Values(
        Row{"allow ip from not 10.0.0.0/8 to any", from("11.1.1.1"), true},
        Row{"allow ip from { 10.0.0.1 or not 10.0.0.0/8 } to any", from("10.0.0.2"), false},
        Row{"allow ip from { 10.0.0.1 or not 10.0.0.0/8 } to any", from("10.0.0.1"), true},
        Row{"allow ip from me to any", from("10.1.0.1"), true},
        Row{"allow ip from me to any", from("10.1.0.2"), false},
        Row{"allow ip from 10.0.0.0/24{1,5-9} to any", from("10.0.0.9"), true},
        Row{"allow ip from 10.0.0.0/24{1,5-9} to any", from("10.0.0.10"), false},
        Row{"allow ip from 10.0.0.3:255.0.0.255 to any", from("10.77.1.3"), true},
        Row{"allow ip from 10.0.0.3:255.0.0.255 to any", from("10.77.1.4"), false},
        Row{"allow ip from any to any 5:7", udp(), true},
        Row{"allow ip from any to any 4:7", udp(), false}));

}  // namespace
}  // namespace sluice::program
