// What the classifier tells, against rule after rule, where compiled forms go wrong: rules that
// only seem to hide others, lists that are longer than an answer, conditions without a bit, boxes
// that overlap.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/reference/random_rules.h"
#include "tests/unit/classify/classifier_bench.h"

namespace sluice::classify {
namespace {

using packet::Direction;
using packet::Entry;
using packet::Passage;
using reference::FramePlan;
using Lines = std::vector<std::string>;

constexpr Passage kIn = {.direction = Direction::in, .receive_interface = 0};

FramePlan tcp4(const char* source, const char* destination, std::uint16_t port = 80) {
    FramePlan plan;
    plan.source4 = *parse_ipv4(source);
    plan.destination4 = *parse_ipv4(destination);
    plan.source_port = 1025;
    plan.destination_port = port;
    plan.tcp_flags = 2;
    return plan;
}

FramePlan tcp6(const char* source, const char* destination) {
    FramePlan plan = tcp4("0.0.0.0", "0.0.0.0");
    plan.version = 6;
    plan.ether_type = 0x86dd;
    plan.source6 = *parse_ipv6(source);
    plan.destination6 = *parse_ipv6(destination);
    return plan;
}

FramePlan not_ip() {
    FramePlan plan;
    plan.version = 0;
    plan.ether_type = 0x0806;
    plan.payload = 40;
    return plan;
}

std::vector<InstructionSet> instruction_sets() {
    std::vector<InstructionSet> sets;
    for (const InstructionSet set :
         {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512})
        if (is_available(set))
            sets.push_back(set);
    return sets;
}

// From everywhere a walk may begin, with all sets of instructions.
void expect_all_linear(const Bench& bench, const Packets& packets) {
    for (const InstructionSet set : instruction_sets()) {
        SCOPED_TRACE(name_of(set));
        const auto classifier = bench.classifier({.instructions = set});
        for (const std::uint32_t from : bench.entries())
            expect_linear(bench, *classifier, packets.all(), from);
    }
}

std::string numbered(unsigned number, const std::string& rule) {
    return std::to_string(number) + " " + rule;
}

TEST(Classifier, OnlyTheDefaultRule) {
    const Bench bench(Lines{});
    Packets packets;
    packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
    packets.add(tcp6("::2", "::3"), kIn);
    packets.add(not_ip(), {.entry = Entry::bridge, .receive_interface = 1});
    expect_all_linear(bench, packets);
    EXPECT_EQ(bench.enumerate(*bench.classifier(), packets.all(), 0)[0], RuleIndices{0});
}

TEST(Classifier, NoPackets) {
    const Bench bench(Lines{"1 count tcp from any to any"});
    bench.classifier()->read_keys({}, {});
    bench.classifier()->classify({}, 0, {});
}

// More matches than one answer holds, in a tree, with and without verification, and wild ones.
TEST(Classifier, TellsAThousandMatches) {
    for (const char* rule :
         {"count tcp from any to any", "count ip from any to any",
          "count ip from any to any iplen 40-1500", "count ip from 10.0.0.0/8 to any",
          "count tcp from any to any setup iplen 40-60"}) {
        Lines lines;
        for (unsigned i = 1; i <= 1000; ++i)
            lines.push_back(numbered(i, rule));
        lines.push_back("2000 allow tcp from any to any");
        lines.push_back("2001 deny ip from any to any");
        const Bench bench(lines);
        Packets packets;
        for (unsigned i = 0; i < 3; ++i)
            packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
        packets.add(tcp6("::2", "::3"), kIn);
        packets.add(tcp4("11.0.0.2", "10.0.0.3"), kIn);
        expect_all_linear(bench, packets);
        EXPECT_EQ(bench.enumerate(*bench.classifier(), packets.all(), 0)[0].size(), 1001u) << rule;
    }
}

// A leaf of hundreds of blocks, entered everywhere, of which not every box matches.
TEST(Classifier, GoesOnInALongLeaf) {
    for (const bool v6 : {false, true}) {
        Lines lines;
        for (unsigned i = 1; i <= 4200; ++i)
            lines.push_back(numbered(i, i % 3 == 0 ? "count udp from any to any"
                                        : v6       ? "count ip6 from 2001:db8::/32 to any"
                                                   : "count ip4 from 10.0.0.0/8 to any"));
        const Bench bench(lines);
        Packets packets;
        packets.add(v6 ? tcp6("2001:db8::2", "::3") : tcp4("10.0.0.2", "10.0.0.3"), kIn);
        packets.add(v6 ? tcp6("2001:db9::2", "::3") : tcp4("11.0.0.2", "10.0.0.3"), kIn);
        for (const InstructionSet set : instruction_sets()) {
            SCOPED_TRACE(name_of(set));
            const auto classifier = bench.classifier({.instructions = set});
            for (std::uint32_t from = 0; from < 4201; from += from < 200 ? 1 : 97)
                expect_linear(bench, *classifier, packets.all(), from);
            for (std::uint32_t from = 4100; from <= 4200; ++from)
                expect_linear(bench, *classifier, packets.all(), from);
        }
        EXPECT_EQ(bench.enumerate(*bench.classifier(), packets.all(), 0)[0].size(), 2801u);
    }
}

// What a match costs must not grow with the matches before it, as it would if each answer passed
// all blocks of the leaf before it.
TEST(Classifier, AMatchCostsTheSameAmongMany) {
    const auto time_per_match = [](unsigned count) {
        const Bench bench(Lines(count, "1 count ip from 10.0.0.0/8 to any"));
        Packets packets;
        packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
        const auto classifier = bench.classifier();
        HeaderKey key;
        classifier->read_key(packets.all()[0], key);
        auto least = std::chrono::nanoseconds::max();
        for (int repetition = 0; repetition < 30; ++repetition) {
            const auto begin = std::chrono::steady_clock::now();
            std::size_t told = 0;
            for (std::uint32_t from = 0; from <= count;) {
                Matches matches;
                classifier->classify({&key, 1}, from, {&matches, 1});
                told += matches.count;
                from = matches.end;
            }
            least =
                std::min<std::chrono::nanoseconds>(least, std::chrono::steady_clock::now() - begin);
            EXPECT_EQ(told, count + 1u);
        }
        return static_cast<double>(least.count()) / count;
    };
    const double among_few = time_per_match(1000), among_many = time_per_match(40000);
    RecordProperty("ns_among_1000", std::to_string(among_few));
    RecordProperty("ns_among_10000", std::to_string(time_per_match(10000)));
    RecordProperty("ns_among_40000", std::to_string(among_many));
    EXPECT_LT(among_many, 3 * among_few);
}

// Exactly as many as an answer holds, one fewer and one more, with the end and without it.
TEST(Classifier, AnswersThatAreJustFull) {
    for (unsigned count = 10; count <= 34; ++count) {
        for (const char* rule : {"count tcp from any to any", "count ip from any to any"}) {
            Lines lines;
            for (unsigned i = 1; i <= count; ++i)
                lines.push_back(numbered(i, i % 2 == 0 ? "count tcp from any to any" : rule));
            lines.push_back("2000 allow tcp from any to any");
            Packets packets;
            packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
            expect_all_linear(Bench(lines), packets);
        }
    }
}

// The boxes of one rule that a packet matches at once are more than a search keeps candidates.
TEST(Classifier, OneRuleOfManyBoxesThatOverlap) {
    std::string nested6 = "2001:db8::/32";
    for (unsigned length = 33; length < 64; ++length)
        nested6 += ",2001:db8::/" + std::to_string(length);
    const std::string block =
        "{ src-ip 10.0.0.0/8 or dst-ip 10.0.0.0/8 or src-port 1025 or dst-port 80 or proto tcp }";
    const Bench bench(Lines{"1 count ip from " + nested6 + " to " + nested6,
                            "2 count ip from any to any " + block + " " + block,
                            "3 count tcp from any to any", "4 count ip from " + nested6 + " to any",
                            "5 allow ip from any to any"});
    Packets packets;
    packets.add(tcp6("2001:db8::1", "2001:db8::2"), kIn);
    packets.add(tcp6("2001:db9::1", "2001:db8::2"), kIn);
    packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
    packets.add(tcp4("10.0.0.2", "11.0.0.3", 81), kIn);
    expect_all_linear(bench, packets);
}

// More conditions than there are bits, in several boxes of one rule.
TEST(Classifier, ConditionsWithoutABit) {
    Lines lines;
    for (unsigned ttl = 1; ttl <= 80; ++ttl)
        for (unsigned i = 0; i < 3; ++i)
            lines.push_back(numbered(1, "count icmp from any to any ipttl " + std::to_string(ttl)));
    const std::string block =
        "{ tcpflags !fin or icmptypes 17 or frag or iptos !mincost or ipttl 1-253 or in or "
        "src-port 1-2000 or not src-ip me or not dst-ip me }";
    for (unsigned i = 0; i < 20; ++i)
        lines.push_back(numbered(2, "count ip from any to any " + block + " " + block));
    lines.push_back("3 count tcp from any to any tcpflags fin,!psh");
    lines.push_back("3 allow tcp from any to any ipttl 64");
    lines.push_back("4 deny ip from any to any dscp 1,3,5");
    lines.push_back("5 count ip from any to any");
    const Bench bench(lines);
    Packets packets;
    packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
    packets.add(tcp4("10.0.0.1", "10.0.0.1"), kIn);
    FramePlan icmp = tcp4("10.0.0.2", "10.0.0.3");
    icmp.protocol = 1;
    for (const std::uint8_t number : {1, 17, 30, 64, 80, 81}) {
        icmp.icmp_type = number;
        icmp.ttl = number;
        packets.add(icmp, kIn);
    }
    packets.add(not_ip(), {.entry = Entry::bridge, .receive_interface = 0});
    expect_all_linear(bench, packets);
}

// An or-block of tests of which every box is without limits and bits.
TEST(Classifier, OneRuleOfManyBoxesWithoutLimits) {
    Lines lines;
    // These take the bits.
    for (unsigned ttl = 1; ttl <= 29; ++ttl)
        for (unsigned i = 0; i < 3; ++i)
            lines.push_back(numbered(1, "count ip from any to any ipttl " + std::to_string(ttl)));
    const std::string block =
        "{ tcpflags !fin or icmptypes 17 or frag !mf or iptos !mincost or ipttl 33-253 or "
        "not src-ip me }";
    for (unsigned number = 2; number <= 3; ++number)
        lines.push_back(numbered(number, "count ip from any to any " + block + " " + block));
    lines.push_back("4 count ip from any to any");
    const Bench bench(lines);
    Packets packets;
    packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
    packets.add(tcp4("10.0.0.1", "10.0.0.3"), kIn);
    expect_all_linear(bench, packets);
}

// Neighbours in a node that hold the same boxes, of which one hides the other in one of them only.
TEST(Classifier, NeighboursThatAreNotAlike) {
    for (unsigned width : {1u, 3u, 7u, 20u}) {
        Lines lines;
        // Ends at every place, so that not all of them can be pivots.
        for (unsigned i = 0; i < 60; ++i)
            lines.push_back(numbered(1, "allow tcp from any to any " +
                                            std::to_string(1000 + i * 2 * width) + "-" +
                                            std::to_string(1000 + i * 2 * width + width)));
        lines.push_back("2 allow ip from any to any out");
        lines.push_back("3 count ip from any to any");
        for (unsigned i = 0; i < 60; ++i)
            lines.push_back(numbered(4, "allow ip from 10." + std::to_string(i * 2) + ".0.0/" +
                                            std::to_string(15 - i % 3) + " to any"));
        for (unsigned i = 0; i < 60; ++i)
            lines.push_back(
                numbered(5, "count ip from 10." + std::to_string(i * 4 + 1) + ".0.0/16 to any"));
        lines.push_back("6 count ip from 10.0.0.0/8 to any");
        const Bench bench(lines);
        Packets packets;
        for (unsigned port = 990; port < 1100; ++port)
            packets.add(tcp4("10.0.0.2", "10.0.0.3", static_cast<std::uint16_t>(port)), kIn);
        for (unsigned i = 0; i < 256; ++i)
            packets.add(tcp4(("10." + std::to_string(i) + ".3.4").c_str(), "1.1.1.1"), kIn);
        expect_all_linear(bench, packets);
    }
}

// What a walk reaches that enters the list behind a rule for everything.
TEST(Classifier, BehindARuleForEverything) {
    const Lines tail = {"500 count tcp from any to any", "600 count tcp from 10.0.0.0/24 to any",
                        "700 allow tcp from any to any 80", "800 count ip from any to any"};
    const auto with_tail = [&](Lines lines) {
        lines.insert(lines.end(), tail.begin(), tail.end());
        return lines;
    };
    Packets packets;
    packets.add(tcp4("10.0.0.2", "10.0.0.3"), kIn);
    packets.add(tcp4("10.0.1.2", "10.0.0.3", 81), kIn);
    packets.add(tcp6("::2", "::3"), kIn);
    for (const Passage& passage : {Passage{.entry = Entry::bridge, .receive_interface = 0},
                                   Passage{.entry = Entry::layer2, .receive_interface = 0}})
        packets.add(not_ip(), passage);
    for (const char* covering :
         {"allow ip from any to any", "deny tcp from any to any", "reset tcp from any to any 80",
          "allow ip from any to any layer2", "allow tcp from any to any keep-state",
          "allow ip from any to any iplen 1-1000", "allow ip4 from any to any"}) {
        SCOPED_TRACE(covering);
        for (const char* jump :
             {"skipto 600 tcp from any to any 80", "divert 1 tcp from any to any",
              "tee 1 tcp from any to any", "count tcp from any to any keep-state",
              "skipto 500 udp from any to any record-state"}) {
            SCOPED_TRACE(jump);
            // Beside the jump under its number, and behind it.
            expect_all_linear(Bench(with_tail({numbered(100, jump), numbered(100, covering)})),
                              packets);
            expect_all_linear(Bench(with_tail({numbered(100, jump), numbered(101, covering)})),
                              packets);
            // The jump's set is disabled: only its states use it.
            expect_all_linear(
                Bench(with_tail({"100 set 2 " + std::string(jump) +
                                     (std::string(jump).find("state") == std::string::npos
                                          ? " record-state"
                                          : ""),
                                 numbered(100, covering)}),
                      1u << 2),
                packets);
        }
        expect_all_linear(Bench(with_tail({numbered(100, covering)})), packets);
    }
}

// `me` with every kind of address on the machine.
TEST(Classifier, LocalAddresses) {
    const std::vector<language::Rule> rules = reference::parse_rules(
        {"1 count ip from me to any", "2 count ip from not me to any", "3 count ip from any to me6",
         "4 count ip from any to { not me or me6 }", "5 allow ip from me to me"});
    for (const Lines& addresses :
         {Lines{}, Lines{"10.0.0.1"}, Lines{"0.0.0.0"}, Lines{"::"}, Lines{"0.0.0.0", "10.0.0.1"},
          Lines{"255.255.255.255", "0.0.0.1"}, Lines{"::", "::1", "0.0.0.0"}}) {
        packet::Environment environment;
        environment.interfaces = {{"em0", {}}};
        for (const std::string& text : addresses) {
            if (const auto v4 = parse_ipv4(text))
                environment.interfaces[0].addresses.push_back({*v4, 24});
            else
                environment.interfaces[0].addresses.push_back({*parse_ipv6(text), 64});
        }
        const Bench bench(rules, environment);
        Packets packets;
        for (const char* source : {"0.0.0.0", "10.0.0.1", "10.0.0.2", "255.255.255.255"})
            for (const char* destination : {"0.0.0.0", "10.0.0.1", "0.0.0.1"})
                packets.add(tcp4(source, destination), kIn);
        for (const char* source : {"::", "::1", "::2"})
            for (const char* destination : {"::", "::1", "fe80::1"})
                packets.add(tcp6(source, destination), kIn);
        packets.add(not_ip(), {.entry = Entry::bridge, .receive_interface = 0});
        SCOPED_TRACE(addresses.empty() ? "none" : addresses.front());
        expect_all_linear(bench, packets);
    }
}

// As many interfaces as there can be; packets of all, of none, and without a receiving one.
TEST(Classifier, ManyInterfaces) {
    packet::Environment environment;
    Lines lines;
    for (unsigned i = 0; i < packet::kMaximumInterfaces; ++i) {
        const std::string name = (i % 2 == 0 ? "em" : "vlan") + std::to_string(i);
        environment.interfaces.push_back({name, {}});
        const char* role = i % 3 == 0 ? " via " : i % 3 == 1 ? " recv " : " xmit ";
        lines.push_back(numbered(i + 1, "count ip from any to any" + std::string(role) + name));
    }
    for (const char* text :
         {"via em*", "recv vlan1?", "xmit *5", "not via em*", "not xmit vlan*", "not recv em255",
          "out recv em0 xmit vlan1", "via nosuch", "not via nosuch"})
        lines.push_back(numbered(1000, "count ip from any to any " + std::string(text)));
    lines.push_back("2000 allow ip from any to any via vlan2*");
    const Bench bench(reference::parse_rules(lines), environment);
    Packets packets;
    const FramePlan plan = tcp4("10.0.0.2", "10.0.0.3");
    for (unsigned i = 0; i < packet::kMaximumInterfaces; ++i) {
        const auto interface = static_cast<packet::InterfaceIndex>(i);
        packets.add(plan, {.direction = Direction::in, .receive_interface = interface});
        packets.add(plan, {.direction = Direction::out, .transmit_interface = interface});
        packets.add(plan, {.direction = Direction::out,
                           .receive_interface = static_cast<packet::InterfaceIndex>(255 - i),
                           .transmit_interface = interface});
        packets.add(not_ip(), {.entry = Entry::bridge, .receive_interface = interface});
    }
    packets.add(plan, {});
    packets.add(plan, {.direction = Direction::out});
    // A transmit interface that does not count yet.
    packets.add(plan,
                {.direction = Direction::in, .receive_interface = 3, .transmit_interface = 4});
    expect_all_linear(bench, packets);
}

TEST(Classifier, EveryBurstAndMixedFamilies) {
    Lines lines;
    for (unsigned i = 0; i < 80; ++i) {
        lines.push_back(numbered(1, "count ip from 10.0." + std::to_string(i) + ".0/24 to any"));
        lines.push_back(
            numbered(1, "count ip from any to 2001:db8:" + std::to_string(i) + "::/48"));
    }
    lines.push_back("2 count ip from any to any layer2 mac-type 0x0806");
    lines.push_back("3 allow tcp from any to any 80");
    const Bench bench(lines);
    const auto classifier = bench.classifier();
    for (const unsigned mixture : {1u, 2u, 3u, 7u}) {
        Packets packets;
        for (unsigned i = 0; i < 70; ++i) {
            const std::string part = std::to_string(i);
            if (i % mixture == 0)
                packets.add(tcp4(("10.0." + part + ".1").c_str(), "10.0.0.3"), kIn);
            else if (i % mixture == 1)
                packets.add(tcp6("::1", ("2001:db8:" + part + "::1").c_str()), kIn);
            else
                packets.add(not_ip(), {.entry = Entry::bridge, .receive_interface = 0});
        }
        ASSERT_EQ(packets.all().size(), 70u);
        for (std::size_t burst = 1; burst <= 70; ++burst)
            for (const std::size_t first : {std::size_t{0}, 70 - burst})
                expect_linear(bench, *classifier, packets.all().subspan(first, burst), 0);
    }
}

}  // namespace
}  // namespace sluice::classify
