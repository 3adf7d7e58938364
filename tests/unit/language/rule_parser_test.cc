#include "controlplane/language/rule_parser.h"

#include <gtest/gtest.h>

#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

struct Case {
    const char* rule;
    const char* canonical;
};

class Canonical : public testing::TestWithParam<Case> {};

TEST_P(Canonical, Text) {
    EXPECT_EQ(canonical(GetParam().rule), GetParam().canonical) << GetParam().rule;
    EXPECT_EQ(canonical(GetParam().canonical), GetParam().canonical);
}

const Case kActions[] = {
    {"pass all from any to any", "allow ip from any to any"},
    {"permit ip from any to any", "allow ip from any to any"},
    {"drop ip from any to any", "deny ip from any to any"},
    {"unreach host ip from any to any", "reject ip from any to any"},
    {"unreach 3 ip from any to any", "unreach port ip from any to any"},
    {"unreach 99 ip from any to any", "unreach 99 ip from any to any"},
    {"unreach needfrag 6 from any to any", "unreach needfrag tcp from any to any"},
    {"unreach needfrag 1400 6 from any to any", "unreach needfrag 1400 tcp from any to any"},
    {"unreach6 admin-prohib ip from any to any", "unreach6 admin-prohib ip from any to any"},
    {"unreach6 4 ip from any to any", "unreach6 port ip from any to any"},
    {"forward 10.0.0.1 ip from any to any", "fwd 10.0.0.1 ip from any to any"},
    {"fwd 2001:db8::99,80 ip6 from any to any", "fwd 2001:db8::99,80 ip6 from any to any"},
    {"fwd 127.0.0.1, 3128 tcp from any to any 80", "fwd 127.0.0.1,3128 tcp from any to any 80"},
    {"fwd www.example.org,http tcp from any to any", "fwd 192.0.2.80,80 tcp from any to any"},
    {"fwd tablearg,80 ip from any to table(1)", "fwd tablearg,80 ip from any to table(1)"},
    {"skipto 00200 ip from any to any", "skipto 200 ip from any to any"},
    {"divert natd ip from any to any", "divert 8668 ip from any to any"},
    {"setdscp 0 ip from any to any", "setdscp be ip from any to any"},
    {"setdscp 42 ip from any to any", "setdscp 42 ip from any to any"},
    {"setmark 256 ip from any to any", "setmark 0x100 ip from any to any"},
    {"nat global ip from any to any", "nat global ip from any to any"},
    {"eaction ntpv6 AAA ip from any to 1.2.3.4", "eaction ntpv6 AAA ip from any to 1.2.3.4"},
    {"eaction ntpv6 ip from any to 1.2.3.4", "eaction ntpv6 ip from any to 1.2.3.4"},
    {"check-state", "check-state :default"},
    {"check-state :any", "check-state :any"},
    {"check-state :OUT // c", "check-state :OUT // c"},
    {"tcp-setmss 1300 tcp from any to any setup", "tcp-setmss 1300 tcp from any to any setup"},
    {"return ip from any to any", "return ip from any to any"},
};
INSTANTIATE_TEST_SUITE_P(Actions, Canonical, testing::ValuesIn(kActions));

const Case kModifiers[] = {
    {"prob 0.7 allow ip from any to any", "prob 0.700000 allow ip from any to any"},
    {"prob 1 allow ip from any to any", "prob 1.000000 allow ip from any to any"},
    {"allow tag 5 log ip from any to any", "allow log tag 5 ip from any to any"},
    {"allow untag 5 altq q log logamount 3 ip from any to any",
     "allow log logamount 3 altq q untag 5 ip from any to any"},
    {"allow log logamount 0 ip from any to any", "allow log logamount 0 ip from any to any"},
    {"deny log logdst syslog,rtsock logamount 5 ip from any to any",
     "deny log logamount 5 logdst syslog,rtsock ip from any to any"},
    {"// only  a comment", "count ip from any to any // only a comment"},
    {"count // a, b #1", "count ip from any to any // a, b"},
    {"allow ip from any to any //glued", "allow ip from any to any // glued"},
};
INSTANTIATE_TEST_SUITE_P(Modifiers, Canonical, testing::ValuesIn(kModifiers));

const Case kAddresses[] = {
    {"allow ip from 10.1.2.3/8 to any", "allow ip from 10.0.0.0/8 to any"},
    {"allow ip from 1.2.3.4/32 to 5.6.7.8/0", "allow ip from 1.2.3.4 to any"},
    {"allow ip from 192.0.2.0:255.255.255.0 to any", "allow ip from 192.0.2.0/24 to any"},
    {"allow ip from 192.0.2.7:0xffffff00 to any", "allow ip from 192.0.2.0/24 to any"},
    {"allow ip from 10.0.0.1:255.0.0.255 to any", "allow ip from 10.0.0.1:255.0.0.255 to any"},
    {"allow ip from 1.2.3.4, 5.6.7.8 to any", "allow ip from 1.2.3.4,5.6.7.8 to any"},
    {"allow ip from 1.2.3.4,any to any", "allow ip from any to any"},
    {"allow ip from 10.0.0.0/24{1,2,3,7} to any", "allow ip from 10.0.0.0/24{1-3,7} to any"},
    {"allow ip from 10.0.0.0/24{5-6,9} to any", "allow ip from 10.0.0.0/24{5,6,9} to any"},
    {"allow ip from 10.0.0.0{5} to any", "allow ip from 10.0.0.0/24{5} to any"},
    {"allow ip from 10.0.0.77/28{65,66,67} to any", "allow ip from 10.0.0.64/28{65-67} to any"},
    {"allow ip from 10.0.0.0/32{0} to any", "allow ip from 10.0.0.0/32{0} to any"},
    {"allow ip from not me to me6", "allow ip from not me to me6"},
    {"allow ip from www.example.org/24 to six.example.org",
     "allow ip from 192.0.2.0/24 to 2001:db8::80"},
    {"allow ip from { 1.2.3.4 or not 10.0.0.0/8 or table(3) } 22 to me",
     "allow ip from { 1.2.3.4 or not 10.0.0.0/8 or table(3) } 22 to me"},
    {"allow ip from {1.2.3.4 or me } to any", "allow ip from { 1.2.3.4 or me } to any"},
    {"allow ip from ( 1.2.3.4 | ! me ) to any", "allow ip from { 1.2.3.4 or not me } to any"},
    {"allow ip from { any or me } to any", "allow ip from { any or me } to any"},
    {"allow ip from { me } to any", "allow ip from me to any"},
    {"allow ip from 2001:DB8:0:0::/64 to ::ffff:0.0.0.0/96",
     "allow ip from 2001:db8::/64 to ::ffff:0.0.0.0/96"},
    {"allow ip from 2001:db8::1/128,::1 to ::/0", "allow ip from 2001:db8::1,::1 to ::/0"},
    {"allow ip from 2001:db8::5/ffff:ffff::f to any",
     "allow ip from 2001:db8::5/ffff:ffff::f to any"},
    {"allow ip from 2001:db8::5/ffff:ffff:: to any", "allow ip from 2001:db8::/32 to any"},
    {"allow ip from table(AAA) to table(5,7)", "allow ip from table(AAA) to table(5,7)"},
};
INSTANTIATE_TEST_SUITE_P(Addresses, Canonical, testing::ValuesIn(kAddresses));

const Case kProtocolsAndPorts[] = {
    {"allow { tcp or udp } from any to any 53", "allow { tcp or udp } from any to any 53"},
    {"allow { tcp } from any to any", "allow tcp from any to any"},
    {"allow not tcp from any to any", "allow not tcp from any to any"},
    {"allow 47 from any to any", "allow gre from any to any"},
    {"allow 99 from any to any", "allow 99 from any to any"},
    {"allow icmp6 from any to any", "allow ipv6-icmp from any to any"},
    {"allow ipv4 from any to any", "allow ip4 from any to any"},
    {"allow ipv6 from any to any", "allow ip6 from any to any"},
    {"allow udp from any to any domain", "allow udp from any to any 53"},
    {"allow tcp from any 57-59,41 to any", "allow tcp from any 57-59,41 to any"},
    {"allow tcp from any 1-5,http,20-30 to any", "allow tcp from any 1-5,80,20-30 to any"},
    {"allow tcp from any ftp\\-data-ftp to any", "allow tcp from any 20-21 to any"},
    {"allow tcp from any ftp\\-data to any", "allow tcp from any 20 to any"},
    {"allow tcp from any to any not 80", "allow tcp from any to any not 80"},
    {"allow tcp from any not 80,81 to any", "allow tcp from any not 80,81 to any"},
    {"allow tcp from any 80:0xfff0,25 to any", "allow tcp from any 80:65520,25 to any"},
    {"allow tcp from any any to any any", "allow tcp from any to any"},
    {"allow udp from any to any 0x35", "allow udp from any to any 53"},
};
INSTANTIATE_TEST_SUITE_P(ProtocolsAndPorts, Canonical, testing::ValuesIn(kProtocolsAndPorts));

const Case kHoisting[] = {
    {"allow udp from any to any src-port 67 dst-port 68 in", "allow udp from any 67 to any 68 in"},
    {"allow udp from 10.0.0.0/8 to any src-port 67", "allow udp from 10.0.0.0/8 67 to any"},
    {"allow udp from any to me src-port 67", "allow udp from any to me src-port 67"},
    {"allow udp from any to any dst-port 68 src-port 67",
     "allow udp from any to any 68 src-port 67"},
    {"allow tcp from any to any 80 dst-port 443", "allow tcp from any to any 80 dst-port 443"},
    {"allow tcp from any to any in dst-port 80", "allow tcp from any to any in dst-port 80"},
    {"allow tcp from any to any not dst-port 80", "allow tcp from any to any not 80"},
    {"allow tcp from any to any src-ip 1.2.3.4", "allow tcp from 1.2.3.4 to any"},
    {"allow tcp from any to any src-ip 1.2.3.4 dst-ip me dst-port 5",
     "allow tcp from 1.2.3.4 to me 5"},
    {"allow tcp from me to any src-ip 1.2.3.4", "allow tcp from me to any src-ip 1.2.3.4"},
    {"allow tcp from any to any { dst-ip 1.2.3.4 or dst-ip 2.3.4.5 }",
     "allow tcp from any to { 1.2.3.4 or 2.3.4.5 }"},
    {"allow ip from any to any dst-ip 1.2.3.4", "allow ip from any to any dst-ip 1.2.3.4"},
    {"allow dst-port 22 in", "allow dst-port 22 in"},
    {"queue 2 proto ip", "queue 2 ip from any to any"},
    {"allow via any", "allow ip from any to any"},
    {"allow keep-state", "allow keep-state :default"},
    {"allow { dst-ip 1.2.3.4 or dst-ip 2.3.4.5 }", "allow { dst-ip 1.2.3.4 or dst-ip 2.3.4.5 }"},
};
INSTANTIATE_TEST_SUITE_P(Hoisting, Canonical, testing::ValuesIn(kHoisting));

const Case kOptions[] = {
    {"allow tcp from any to any tcpflags syn,!ack", "allow tcp from any to any setup"},
    {"allow tcp from any to any tcpflgs !ack,syn,fin",
     "allow tcp from any to any tcpflags syn,fin,!ack"},
    {"allow tcp from any to any estab", "allow tcp from any to any established"},
    {"allow tcp from any to any tcpopts timestamp,!maxseg",
     "allow tcp from any to any tcpoptions !mss,ts"},
    {"allow ip from any to any ipopts ts,lsrr", "allow ip from any to any ipoptions lsrr,ts"},
    {"allow ip from any to any ipopt !rr", "allow ip from any to any ipoptions !rr"},
    {"allow ip from any to any iptos congestion,!lowdelay",
     "allow ip from any to any iptos !lowdelay,mincost,congestion"},
    {"allow ip from any to any fragment", "allow ip from any to any frag"},
    {"allow ip from any to any frag offset", "allow ip from any to any frag"},
    {"allow ip from any to any frag !df,mf", "allow ip from any to any frag !df,mf"},
    {"allow ip from any to any frag in", "allow ip from any to any frag in"},
    {"allow icmp from any to any icmptypes 8,0,8", "allow icmp from any to any icmptypes 0,8"},
    {"allow icmp from any to any icmptype 3-5", "allow icmp from any to any icmptypes 3,4,5"},
    {"allow icmp6 from any to any icmp6type 135,1",
     "allow ipv6-icmp from any to any icmp6types 1,135"},
    {"allow ip from any to any dscp 46,af11,10", "allow ip from any to any dscp af11,ef"},
    {"allow ip from any to any ipversion 4", "allow ip from any to any ipver 4"},
    {"allow ip from any to any ipttl 1-5,64 iplen 20 ipid 7",
     "allow ip from any to any ipttl 1-5,64 iplen 20 ipid 7"},
    {"allow ip from any to any via any", "allow ip from any to any"},
    {"allow ip from any to any { via any or in }", "allow ip from any to any { via any or in }"},
    {"allow ip from any to any recv em[0-3] xmit em?",
     "allow ip from any to any recv em[0-3] xmit em?"},
    {"allow ip from any to any via 10.0.0.1", "allow ip from any to any via 10.0.0.1"},
    {"allow ip from any to any via 2001:db8::1", "allow ip from any to any via 2001:db8::1"},
    {"allow ip from any to any via table(I,3)", "allow ip from any to any via table(I,3)"},
    {"allow ip from any to any bridged", "allow ip from any to any layer2"},
    {"allow ip from any to any mac any 0:11:22:33:44:55",
     "allow ip from any to any MAC any 00:11:22:33:44:55"},
    {"allow ip from any to any MAC 02:00:00:00:00:00/40 02:03:04:05:06:07&ff:00:ff:00:ff:00",
     "allow ip from any to any MAC 02:00:00:00:00:00/40 02:00:04:00:06:00&ff:00:ff:00:ff:00"},
    {"allow ip from any to any mac-type arp,0x800-0x806",
     "allow ip from any to any mac-type 0x0806,0x0800-0x0806"},
    {"allow ip from any to any proto ipv6", "allow ip from any to any proto ipv6"},
    {"allow ip from any to any ipv6 proto 6", "allow ip from any to any ip6 proto tcp"},
    {"allow proto ip6 in", "allow proto ip6 in"},
    {"allow in ip6", "allow in proto ip6"},
    {"allow ip from any to any in src-ipv6 ::1", "allow ip from any to any in src-ip6 ::1"},
    {"allow ip from any to any in dst-ip me6", "allow ip from any to any in dst-ip6 me6"},
    {"allow ip from any to any uid root gid 5", "allow ip from any to any uid root gid 5"},
    {"allow ip from any to any uid www", "allow ip from any to any uid 80"},
    {"allow ip from any to any mark 16:0xff", "allow ip from any to any mark 0x10:0xff"},
    {"allow ip from any to any tagged 1-3,7", "allow ip from any to any tagged 1-3,7"},
    {"allow ip from any to any lookup src-ip:255.0.0.0 T",
     "allow ip from any to any lookup src-ip:255.0.0.0 T"},
    {"allow ip from any to any flow table(F,1)", "allow ip from any to any flow table(F,1)"},
    {"allow ip from any to any flow-id 0xbaad,5", "allow ip from any to any flow-id 47789,5"},
    {"allow ip6 from any to any ext6hdr frag,rthdr0",
     "allow ip6 from any to any ext6hdr frag,rthdr0"},
    {"allow ip from any to any not in { not out or ! frag }",
     "allow ip from any to any not in { not out or not frag }"},
};
INSTANTIATE_TEST_SUITE_P(Options, Canonical, testing::ValuesIn(kOptions));

const Case kStates[] = {
    {"allow tcp from any to any keep-state setup",
     "allow tcp from any to any setup keep-state :default"},
    {"allow tcp from any to any keep-state default in",
     "allow tcp from any to any in keep-state :default"},
    {"allow tcp from any to any keep-state :a lifetime 30",
     "allow tcp from any to any keep-state :a lifetime 30"},
    {"allow tcp from any to any limit src-addr dst-port 5 in",
     "allow tcp from any to any in limit src-addr,dst-port 5 :default"},
    {"allow tcp from any to any limit src-addr,dst-port 5 :x",
     "allow tcp from any to any limit src-addr,dst-port 5 :x"},
    {"allow tcp from any to any limit dst-port,src-port,dst-addr,src-addr tablearg",
     "allow tcp from any to any limit all tablearg :default"},
    {"allow tcp from any to any set-limit all 3",
     "allow tcp from any to any set-limit all 3 :default"},
    {"allow tcp from any to any skip-action record-state in",
     "allow tcp from any to any in record-state :default defer-action"},
    {"allow tcp from any to any keep-state defer-immed-action",
     "allow tcp from any to any keep-state :default defer-immediate-action"},
};
INSTANTIATE_TEST_SUITE_P(States, Canonical, testing::ValuesIn(kStates));

TEST(RuleParser, Numbers) {
    EXPECT_EQ(listed("10 set 5 prob 0.5 allow ip from any to any"),
              "00010 prob 0.500000 allow ip from any to any");
    EXPECT_EQ(listed("65535 deny ip from any to any"), "65535 deny ip from any to any");
    EXPECT_EQ(parse("10 set 31 allow ip from any to any")->set, 31);
}

// Facts about FreeBSD's ipfw and own ones; the last column is the text.
TEST(RuleParser, AddRuleVectors) {
    std::size_t count = 0;
    for (const std::string& line : read_lines(data_directory() / "add_rule.tsv")) {
        std::vector<std::string> fields = split(line, '\t');
        if (line.starts_with("#") || fields.size() < 3)
            continue;
        std::string rule = fields[1];
        if (rule.starts_with("add "))
            rule = rule.substr(4);
        else
            rule = "100 " + rule.substr(rule.find("add ") + 4);  // 100 add …
        std::string text = listed(rule);
        ASSERT_TRUE(text.size() > 6) << line;
        if (fields.size() < 4 || fields[3].empty())
            EXPECT_TRUE(parse(rule)) << line;
        else if (fields[3].starts_with("00"))
            EXPECT_EQ(text, fields[3]) << line;
        else
            EXPECT_EQ(text, "00000 " + fields[3]) << line;
        ++count;
    }
    EXPECT_GE(count, 53u);
}

TEST(RuleParser, KeepsWhatWasSaid) {
    auto rule = parse("allow tcp from any to any limit src-addr 2 in");
    ASSERT_TRUE(rule);
    ASSERT_TRUE(rule->state);
    EXPECT_TRUE(rule->state->by_source);
    EXPECT_FALSE(rule->state->by_destination);
    EXPECT_EQ(rule->state->limit.value, 2u);
    EXPECT_TRUE(rule->body->source.any_of.empty());

    rule = parse("allow in");
    ASSERT_TRUE(rule);
    EXPECT_FALSE(rule->body);
    EXPECT_EQ(rule->options.size(), 1u);

    rule = parse("allow log logamount 0 ip from any to any");
    EXPECT_EQ(rule->log->amount, 0u);
    rule = parse("allow log ip from any to any");
    EXPECT_FALSE(rule->log->amount);
}

TEST(RuleParser, HostsAreResolvedWhenTheRuleIsRead) {
    EXPECT_EQ(canonical("deny ip from www.example.org to any"), "deny ip from 192.0.2.80 to any");
    auto rule = parse_rule("deny ip from www.example.org to any", refusing_resolver());
    ASSERT_FALSE(rule);
    EXPECT_EQ(rule.error().status, ExitStatus::no_host);
}

// The protocol, or the option, says whose addresses are meant.
TEST(RuleParser, NamesStandForAddressesOfTheFamily) {
    EXPECT_EQ(canonical("deny ip from both.example.org to any"), "deny ip from 192.0.2.80 to any");
    EXPECT_EQ(canonical("deny ip4 from any to both.example.org"),
              "deny ip4 from any to 192.0.2.80");
    EXPECT_EQ(canonical("deny icmp from both.example.org to any"),
              "deny icmp from 192.0.2.80 to any");
    EXPECT_EQ(canonical("deny ip6 from both.example.org to any"),
              "deny ip6 from 2001:db8::80 to any");
    EXPECT_EQ(canonical("deny ipv6-icmp from any to both.example.org/64"),
              "deny ipv6-icmp from any to 2001:db8::/64");
    EXPECT_EQ(canonical("deny { ip6 or ipv6-icmp } from any to both.example.org"),
              "deny { ip6 or ipv6-icmp } from any to 2001:db8::80");
    EXPECT_EQ(canonical("deny { ip6 or ip4 } from any to both.example.org"),
              "deny { ip6 or ip4 } from any to 192.0.2.80");
    EXPECT_EQ(canonical("deny ip from any to any src-ip6 both.example.org"),
              "deny ip from any to any src-ip6 2001:db8::80");
    EXPECT_EQ(canonical("deny ip6 from any to any dst-ip both.example.org"),
              "deny ip6 from any to 2001:db8::80");
    EXPECT_EQ(canonical("deny ip6 from www.example.org to any"),
              "68 column 15: hostname \"www.example.org\" unknown, or it has no IPv6 address");
    EXPECT_EQ(canonical("deny ip4 from six.example.org to any"),
              "68 column 15: hostname \"six.example.org\" unknown, or it has no IPv4 address");
    EXPECT_EQ(canonical("deny ip from no.example.org to any"),
              "68 column 14: hostname \"no.example.org\" unknown");
}

}  // namespace
}  // namespace sluice::language
