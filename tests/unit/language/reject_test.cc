// What must be refused: with which status, where in the line, and with which words.
#include <gtest/gtest.h>

#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

struct Case {
    const char* rule;
    int status;
    std::size_t column;
    const char* fragment;         // of the message
    const char* suggestion = "";  // "did you mean …"
};

class Rejected : public testing::TestWithParam<Case> {};

TEST_P(Rejected, WithPlaceAndReason) {
    const Case& expected = GetParam();
    auto rule = parse(expected.rule);
    ASSERT_FALSE(rule) << expected.rule;
    const ParseError& error = rule.error();
    EXPECT_EQ(static_cast<int>(error.status), expected.status) << expected.rule;
    EXPECT_EQ(error.column, expected.column) << expected.rule << "\n" << error.text();
    EXPECT_NE(error.message.find(expected.fragment), std::string::npos) << expected.rule << "\n"
                                                                        << error.text();
    EXPECT_EQ(error.suggestion, expected.suggestion) << expected.rule << "\n" << error.text();
}

const Case kPrefix[] = {
    {"", 64, 1, "missing action"},
    {"100", 64, 5, "missing action"},
    {"88888 deny ip from any to any", 65, 1, "invalid rule number"},
    {"65536 deny ip from any to any", 65, 1, "invalid rule number"},
    {"99999999999999999999 deny ip from any to any", 65, 1, "invalid rule number"},
    {"0x10 deny ip from any to any", 65, 1, "invalid rule number"},
    {"10a deny ip from any to any", 65, 1, "invalid rule number"},
    {"set 32 allow ip from any to any", 65, 5, "out of range; expected 0 to 31"},
    {"set x allow ip from any to any", 65, 5, "bad set"},
    {"set", 64, 5, "missing set number"},
    {"prob 0 allow ip from any to any", 65, 6, "illegal match probability"},
    {"prob 1.5 allow ip from any to any", 65, 6, "illegal match probability"},
    {"prob nan allow ip from any to any", 65, 6, "illegal match probability"},
    {"prob 0.00000001 allow ip from any to any", 65, 6, "0.000001 to 1"},
    {"prob 0.5x allow ip from any to any", 65, 6, "illegal match probability"},
};
INSTANTIATE_TEST_SUITE_P(Prefix, Rejected, testing::ValuesIn(kPrefix));

const Case kActions[] = {
    {"frobnicate ip from any to any", 65, 1, "invalid action"},
    {"alow ip from any to any", 65, 1, "invalid action", "allow"},
    {"dney ip from any to any", 65, 1, "invalid action", "deny"},
    {"check_state", 65, 1, "invalid action", "check-state"},
    {"ip from any to any", 65, 1, "invalid action"},
    {"tag 5 allow ip from any to any", 65, 1, "stands after the action"},
    {"log deny ip from any to any", 65, 1, "stands after the action"},
    {"unreach nosuch ip from any to any", 65, 9, "unknown ICMP unreachable code"},
    {"unreach protcol ip from any to any", 65, 9, "unknown ICMP", "protocol"},
    {"unreach 256 ip from any to any", 65, 9, "out of range"},
    {"unreach", 64, 9, "missing ICMP unreachable code"},
    {"unreach needfrag 70000 ip from any to any", 65, 18, "MTU"},
    {"unreach6 host ip from any to any", 65, 10, "unknown ICMPv6 unreachable code"},
    {"skipto 70000 ip from any to any", 65, 8, "out of range; expected 1 to 65534"},
    {"skipto 0 ip from any to any", 65, 8, "out of range"},
    {"skipto ip from any to any", 65, 8, "bad rule number"},
    {"skipto", 64, 8, "missing rule number"},
    {"skipto :I/N ip from any to any", 65, 8, "bad label"},
    {":a set 3 :b allow ip from any to any", 65, 10, "one label"},
    {": allow ip from any to any", 65, 1, "bad label"},
    {"100 :web allow ip from any to any expires 1h", 65, 1, "cannot expire"},
    {"allow ip from any to any expires", 64, 34, "missing end"},
    {"allow ip from any to any expires 1", 65, 34, "bad end"},
    {"allow ip from any to any expires 0s", 65, 34, "bad end"},
    {"allow ip from any to any expires 1h1", 65, 34, "bad end"},
    {"allow ip from any to any expires 2026-13-01T00:00Z", 65, 34, "bad end"},
    {"allow ip from any to any expires 2026-02-29T00:00Z", 65, 34, "bad end"},
    {"allow ip from any to any expires 2026-01-01T24:00Z", 65, 34, "bad end"},
    {"allow ip from any to any expires 1970-01-01T00:00Z", 65, 34, "over already"},
    {"allow ip from any to any expires 99999w", 65, 34, "bad end"},
    {"allow ip from any to any expires 1h expires 2h", 64, 37, "already given"},
    {"allow ip from any to any not expires 1h", 64, 30, "not expires"},
    {"allow ip from any to any { in or expires 1h }", 64, 34, "or-block"},
    {"state-timeout 5 ip from any to any", 65, 1, "invention of YANET"},
    {"hitcount H ip from any to any", 65, 1, "invention of YANET"},
    {"dump 1 ip from any to any", 65, 1, "invention of YANET"},
    {"divert 0 ip from any to any", 65, 8, "divert port"},
    {"divert 65536 ip from any to any", 65, 8, "divert port"},
    {"divert nosuch ip from any to any", 65, 8, "unknown divert port"},
    {"pipe 65535 ip from any to any", 65, 6, "pipe number"},
    {"fwd 1.2.3.4,99999 ip from any to any", 65, 13, "port"},
    {"fwd 1.2.3.4,80-81 ip from any to any", 65, 13, "one port"},
    {"fwd no.such.host ip from any to any", 68, 5, "unknown"},
    {"fwd", 64, 5, "missing address"},
    {"setdscp 64 ip from any to any", 65, 9, "DSCP"},
    {"setdscp af99 ip from any to any", 65, 9, "unknown DSCP"},
    {"tcp-setmss tablearg tcp from any to any", 65, 12, "MSS"},
    {"setmark 0x1ffffffff ip from any to any", 65, 9, "mark"},
    {"nat64lsn ip/6 from any to any", 65, 10, "bad name of the instance"},
    {"check-state ip from any to any", 64, 13, "expected the end of the rule"},
    {"check-state :any,b", 65, 14, "bad state name"},
};
INSTANTIATE_TEST_SUITE_P(Actions, Rejected, testing::ValuesIn(kActions));

const Case kModifiers[] = {
    {"allow log logamount x ip from any to any", 65, 21, "logamount"},
    {"allow log logamount -1 ip from any to any", 65, 21, "logamount"},
    {"allow log log ip from any to any", 64, 11, "already given"},
    {"allow logamount 5 ip from any to any", 64, 7, "stands after \"log\""},
    {"allow log logdst sislog ip from any to any", 65, 18, "unknown log destination", "syslog"},
    {"allow tag 0 ip from any to any", 65, 11, "tag"},
    {"allow tag 65535 ip from any to any", 65, 11, "tag"},
    {"allow tag 1 untag 2 ip from any to any", 64, 13, "only one of tag and untag"},
    {"allow ip from any to any log", 64, 26, "between the action and the protocol"},
    {"allow ip from any to any // "
     "123456789012345678901234567890123456789012345678901234567890123456789012345678901",
     65, 26, "at most 80"},
};
INSTANTIATE_TEST_SUITE_P(Modifiers, Rejected, testing::ValuesIn(kModifiers));

const Case kBodies[] = {
    {"allow", 64, 7, "missing protocol or option"},
    {"allow log asdfip from any to any", 64, 11, "unknown protocol"},
    {"allow tpc from any to any", 64, 7, "unknown protocol", "tcp"},
    {"allow 256 from any to any", 64, 7, "unknown protocol"},
    {"allow 0 from any to any", 64, 7, "unknown protocol"},
    {"allow not ip from any to any", 65, 11, "never matches"},
    {"allow from any to any", 64, 7, "missing protocol"},
    {"allow tcp any to any", 64, 11, "missing \"from\""},
    {"allow tcp form any to any", 64, 11, "missing \"from\"", "from"},
    {"allow tcp from any", 64, 20, "missing ports or \"to\""},
    {"allow tcp from any 80", 64, 23, "missing \"to\""},
    {"allow tcp from any 80 81 to any", 64, 23, "missing \"to\""},
    {"allow tcp from", 64, 16, "missing address after \"from\""},
    {"allow tcp from to any", 64, 16, "missing address after \"from\""},
    {"allow tcp from any to", 64, 23, "missing address after \"to\""},
    {"allow { tcp or udp from any to any", 64, 20, "expected \"or\" or \"}\""},
    {"allow { tcp or { udp } } from any to any", 64, 16, "block inside a block"},
    {"allow ip from 1.2.3.4/33 to any", 65, 23, "bad width"},
    {"allow ip from 1.2.3.4/x to any", 65, 23, "bad width"},
    {"allow ip from 1.2.3.4: to any", 65, 23, "bad netmask"},
    {"allow ip from 1.2.3.4:255.255.255.256 to any", 65, 23, "bad netmask"},
    {"allow ip from 1.2.3 to any", 68, 15, "expected A.B.C.D"},
    {"allow ip from 1.2.3.400 to any", 68, 15, "expected A.B.C.D"},
    {"allow ip from no.such.host.invalid to any", 68, 15, "unknown"},
    {"allow ip from 1.2.3.4,, to any", 65, 23, "empty entry"},
    {"allow ip from 1.2.3.4,2001:db8::1 to any", 65, 23, "IPv4 and IPv6"},
    {"allow ip from 1.2.3.4,me to any", 65, 23, "cannot stand in a list"},
    {"allow ip from 2001:db8::/129 to any", 65, 26, "bad width"},
    {"allow ip from 2001:db8::/ffff:x to any", 65, 26, "bad IPv6 mask"},
    {"allow ip from fe80::1%em0 to any", 65, 22, "scoped address"},
    {"allow ip from f805@2001:db8::/40 to any", 65, 19, "YANET"},
    {"allow ip from 10.0.0.0/23{1} to any", 65, 24, "bad width"},
    {"allow ip from 10.0.0.0/24{1,300} to any", 65, 29, "address set"},
    {"allow ip from 10.0.0.0/28{16} to any", 65, 27, "expected 0 to 15"},
    {"allow ip from 10.0.0.0/24{9-5} to any", 65, 27, "backwards"},
    {"allow ip from 10.0.0.0/24{1 to any", 65, 28, "missing \"}\""},
    {"allow ip from 10.0.0.0/24{} to any", 65, 27, "empty entry"},
    {"allow ip from table(1 to any", 65, 22, "missing \")\""},
    {"allow ip from table() to any", 65, 21, "bad table name"},
    {"allow ip from table(all) to any", 65, 21, "bad table name"},
    {"allow ip from table(1,) to any", 65, 23, "bad value"},
    {"allow ip from not any to any", 65, 19, "never matches"},
    {"allow ip from not 0.0.0.0/0 to any", 65, 19, "never matches"},
    {"allow ip from not not me to any", 64, 19, "double"},
    {"allow ip from { me to any", 64, 20, "expected \"or\" or \"}\""},
    {"allow ip from { me or", 64, 15, "not closed"},
    {"allow ip from not { me or any } to any", 64, 19, "before a block"},
};
INSTANTIATE_TEST_SUITE_P(Bodies, Rejected, testing::ValuesIn(kBodies));

const Case kPorts[] = {
    {"allow tcp from any to any 65536", 65, 27, "port"},
    {"allow tcp from any to any 80,81,65536", 65, 33, "out of range"},
    {"allow tcp from any to any 80, 81,65536", 65, 34, "out of range"},
    {"allow tcp from any to any 80,,81", 65, 30, "empty entry"},
    {"allow tcp from any to any 80-", 65, 30, "missing port"},
    {"allow tcp from any to any 90-80", 65, 27, "backwards"},
    {"allow tcp from any to any 080", 65, 27, "leading zero"},
    {"allow tcp from any to any 80x", 65, 27, "bad port"},
    {"allow tcp from any to any http,nosuch", 65, 32, "unknown port"},
    {"allow tcp from any to any ftp-data", 64, 31, "unknown port", "ftp\\-data"},
    {"allow tcp from any to any not any", 65, 27, "never matches"},
    {"allow tcp from any to any dst-port", 64, 36, "missing argument of dst-port"},
    {"allow tcp from any to any 80:70000", 65, 30, "port mask"},
    {"allow tcp from any 1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,"
     "1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9 to any",
     65, 144, "too many entries"},
};
INSTANTIATE_TEST_SUITE_P(Ports, Rejected, testing::ValuesIn(kPorts));

const Case kOptions[] = {
    {"allow tcp from any to any estblished", 64, 27, "unknown option", "established"},
    {"allow tcp from any to any steup", 64, 27, "unknown option", "setup"},
    {"allow tcp from any to any keepstate", 64, 27, "unknown option", "keep-state"},
    {"allow ip from any to any tcp", 64, 26, "unknown option", "proto tcp"},
    {"allow ip from any to any in or out", 64, 29, "outside of a block"},
    {"allow ip from any to any in }", 64, 29, "without an opening"},
    {"allow ip from any to any { in", 64, 26, "not closed"},
    {"allow ip from any to any { in // x", 64, 26, "not closed"},
    {"allow ip from any to any { in out }", 64, 31, "expected \"or\" or \"}\""},
    {"allow ip from any to any { in or }", 64, 34, "empty alternative"},
    {"allow ip from any to any { }", 64, 28, "empty alternative"},
    {"allow ip from any to any { in or { out } }", 64, 34, "block inside a block"},
    {"allow ip from any to any not { in or out }", 64, 30, "before a block"},
    {"allow ip from any to any not not in", 64, 30, "double"},
    {"allow ip from any to any not", 64, 30, "missing option"},
    {"allow ip from any to any via", 64, 30, "missing argument of via"},
    {"allow ip from any to any via in", 64, 30, "missing name of the interface"},
    {"allow ip from any to any not via any", 65, 30, "never matches"},
    {"allow ip from any to any via 1.2.3", 65, 30, "bad address"},
    {"allow ip from any to any via em0,em1", 65, 30, "bad interface name"},
    {"allow ip from any to any via em345678901234567890123456789012", 65, 30,
     "has more than 31 characters"},
    {"allow icmp from any to any icmptypes 32", 65, 38, "out of range"},
    {"allow icmp from any to any icmptypes 8,x", 65, 40, "bad ICMP type"},
    {"allow icmp6 from any to any icmp6types 202", 65, 40, "out of range"},
    {"allow tcp from any to any tcpflags foo", 65, 36, "invalid flag"},
    {"allow tcp from any to any tcpflags syn,!akc", 65, 40, "invalid flag", "ack"},
    {"allow tcp from any to any tcpflags", 64, 36, "missing argument of tcpflags"},
    {"allow ip from any to any ipttl 256", 65, 32, "out of range"},
    {"allow ip from any to any ipttl 5-3", 65, 32, "backwards"},
    {"allow ip from any to any ipprecedence 8", 65, 39, "out of range"},
    {"allow ip from any to any dscp af11,ef2", 65, 36, "unknown DSCP", "ef"},
    {"allow ip from any to any dscp 64", 65, 31, "out of range"},
    {"allow ip from any to any MAC any", 64, 34, "missing source MAC"},
    {"allow ip from any to any MAC any 00:11", 65, 34, "bad MAC address"},
    {"allow ip from any to any MAC any 00:11:22:33:44:55/49", 65, 52, "width of the MAC mask"},
    {"allow ip from any to any src-mac T", 65, 34, "expected table(NAME)"},
    {"allow ip from any to any uid nosuch", 65, 30, "does not exist"},
    {"allow ip from any to any proto foo", 65, 32, "unknown protocol"},
    {"allow ip from any to any not proto ip", 65, 30, "never matches"},
    {"allow ip from any to any src-ip6 1.2.3.4", 65, 34, "no IPv6 address"},
    {"allow ip from any to any lookup dstip 5", 65, 33, "unknown field", "dst-ip"},
    {"allow ip from any to any lookup dst-ip", 64, 40, "missing table"},
    {"allow ip from any to any lookup dst-ip:x 5", 65, 40, "bad mask"},
    {"allow ip from any to any tagged 0", 65, 33, "tag"},
    {"allow ip from any to any mark 0x1:zz", 65, 35, "mask of the mark"},
};
INSTANTIATE_TEST_SUITE_P(Options, Rejected, testing::ValuesIn(kOptions));

const Case kStates[] = {
    {"allow tcp from any to any keep-state limit src-addr 2", 64, 38, "only one of keep-state"},
    {"allow tcp from any to any keep-state keep-state", 64, 38, "only one of keep-state"},
    {"allow tcp from any to any { keep-state or in }", 64, 29, "cannot be part of an or-block"},
    {"allow tcp from any to any not keep-state", 64, 31, "not allowed"},
    {"allow tcp from any to any limit src-addr", 64, 42, "missing limit"},
    {"allow tcp from any to any limit", 64, 33, "missing key of the limit"},
    {"allow tcp from any to any limit 5", 64, 33, "missing key"},
    {"allow tcp from any to any limit src-adr 5", 64, 33, "unknown key", "src-addr"},
    {"allow tcp from any to any limit src-addr 70000", 65, 42, "out of range"},
    {"allow tcp from any to any limit src-addr 0", 65, 42, "out of range"},
    {"allow tcp from any to any keep-state 3", 65, 38, "no keep-state method"},
    {"allow tcp from any to any keep-state :any", 65, 39, "bad state name"},
    {"allow tcp from any to any keep-state :", 65, 39, "bad state name"},
    {"allow tcp from any to any keep-state lifetime 0", 65, 47, "lifetime"},
    {"allow tcp from any to any defer-action", 64, 40, "needs keep-state"},
    {"allow tcp from any to any keep-state defer-action defer-action", 64, 51, "only one"},
};
INSTANTIATE_TEST_SUITE_P(States, Rejected, testing::ValuesIn(kStates));

TEST(ParseErrorText, SaysWhereWhatAndWhatInstead) {
    auto rule = parse("allow tcp from any to any estblished");
    ASSERT_FALSE(rule);
    EXPECT_EQ(rule.error().text(),
              "column 27: unknown option \"estblished\"; expected an option or the end of the "
              "rule; did you mean \"established\"?");
    EXPECT_EQ(rule.error().word, 6u);
}

TEST(ParseErrorText, QuotesAreSafeForALog) {
    EXPECT_EQ(quote("a\x1b[31mb\"\\"), "\"a\\x1b[31mb\\\"\\\\\"");
    EXPECT_EQ(quote(std::string(100, 'x')), "\"" + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace sluice::language
