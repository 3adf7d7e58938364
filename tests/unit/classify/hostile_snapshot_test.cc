// What a snapshot may hold but no compiler writes: ranges that end before they begin, networks with
// bits outside of their masks, protocols above 255, masks of ports with holes. Whatever
// SnapshotView takes, the classifier tells what rule after rule tells, and reads nothing outside
// (the sanitizers watch).
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/reference/random_rules.h"
#include "tests/unit/classify/classifier_bench.h"

namespace sluice::classify {
namespace {

using contract::Instruction;
using contract::InterfaceTest;
using contract::Opcode;
using contract::RuleAction;
using contract::RuleRecord;
using contract::SnapshotParts;
using reference::Random;

constexpr std::uint32_t kListSize = 12;  // elements of each list

std::uint32_t number(Random& random) {
    static const std::vector<std::uint32_t> corners = {
        0,      1,      2,      4,       6,          7,          8,          17,
        40,     58,     63,     64,      128,        255,        256,        511,
        0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    if (random.one_in(3))
        return static_cast<std::uint32_t>(random.next()) >> random.below(32);
    return random.pick(corners);
}

// Each byte one of few, so that packets come close.
template <typename Address>
void fill(Random& random, Address& address) {
    static const std::vector<std::uint8_t> bytes = {0, 0, 1, 2, 10, 32, 0xff, 0xff, 0x80};
    auto* at = reinterpret_cast<std::uint8_t*>(&address);
    for (std::size_t i = 0; i < sizeof address; ++i)
        at[i] = random.pick(bytes);
}

void fill_lists(Random& random, SnapshotParts& parts) {
    parts.ports.resize(kListSize);
    for (contract::PortTest& test : parts.ports) {
        test.first = static_cast<std::uint16_t>(number(random));
        test.last = static_cast<std::uint16_t>(number(random));
        test.mask = random.one_in(2) ? 0xffff : static_cast<std::uint16_t>(number(random));
    }
    parts.ranges.resize(kListSize);
    for (contract::Range& range : parts.ranges)
        range = {number(random), number(random)};
    parts.v4_networks.resize(kListSize);
    for (contract::V4Network& network : parts.v4_networks) {
        fill(random, network.address);
        fill(random, network.mask);
    }
    parts.v6_networks.resize(kListSize);
    for (contract::V6Network& network : parts.v6_networks) {
        fill(random, network.address);
        fill(random, network.mask);
    }
    parts.words.resize(kListSize);
    for (std::uint32_t& word : parts.words)
        word = static_cast<std::uint32_t>(random.next());
    parts.mac_tests.resize(kListSize);
    for (contract::MacTest& test : parts.mac_tests)
        fill(random, test);
    parts.interface_tests.resize(kListSize);
    for (InterfaceTest& test : parts.interface_tests) {
        test.kind = static_cast<InterfaceTest::Kind>(random.below(4));
        const std::string pattern =
            random.pick(std::vector<std::string>{"", "*", "em0", "em*", "[", "em[0-", "?", "\\"});
        pattern.copy(test.pattern, sizeof test.pattern - 1);
        fill(random, test.address);
    }
}

// A header test that SnapshotView takes.
Instruction random_test(Random& random) {
    Instruction test;
    test.opcode = static_cast<Opcode>(random.below(static_cast<unsigned>(Opcode::probability)));
    test.flags = random.one_in(3) ? contract::kNegated : 0;
    test.argument = number(random);
    test.data = random.below(kListSize);
    switch (test.opcode) {
        case Opcode::source_set:
        case Opcode::destination_set:
            fill(random, test.argument);
            test.count = random.below(257);
            test.data = random.below(kListSize + 1 - (test.count + 31) / 32);
            break;
        case Opcode::icmp_types:
        case Opcode::icmp6_types:
            test.count = 8;
            test.data = random.below(kListSize - 7);
            break;
        case Opcode::via:
        case Opcode::recv:
        case Opcode::xmit:
        case Opcode::mac:
            test.count = number(random);
            break;
        case Opcode::source_v4:
        case Opcode::destination_v4:
        case Opcode::source_v6:
        case Opcode::destination_v6:
        case Opcode::source_ports:
        case Opcode::destination_ports:
        case Opcode::ip_length:
        case Opcode::ip_id:
        case Opcode::ip_ttl:
        case Opcode::dscp:
        case Opcode::tcp_window:
        case Opcode::tcp_mss:
        case Opcode::tcp_data_length:
        case Opcode::mac_type:
        case Opcode::flow_id:
            test.count = random.below(kListSize - test.data + 1);
            break;
        default:
            test.data = 0;
    }
    return test;
}

void add_tests(Random& random, RuleRecord& rule, std::vector<Instruction>& tests) {
    rule.first_instruction = static_cast<std::uint32_t>(tests.size());
    rule.header_count = random.below(5);
    for (std::uint32_t i = 0; i < rule.header_count; ++i) {
        tests.push_back(random_test(random));
        if (i + 1 < rule.header_count && random.one_in(3))
            tests.back().flags |= contract::kOrNext;
    }
    rule.residual_count = random.one_in(5) ? 1 : 0;
    if (rule.residual_count != 0)
        tests.push_back({.opcode = Opcode::probability, .argument = number(random)});
}

SnapshotParts hostile_parts(Random& random) {
    SnapshotParts parts;
    fill_lists(random, parts);
    const unsigned live = random.between(2, 120), detached = random.below(4);
    parts.header.live_rules = live;
    parts.instructions.clear();
    parts.rules.assign(live + detached, {});
    for (unsigned i = 0; i < parts.rules.size(); ++i) {
        RuleRecord& rule = parts.rules[i];
        rule.slot = rule.id = i + 1;
        if (i + 1 == live) {
            rule.number = 65535;
            continue;
        }
        rule.number = static_cast<std::uint16_t>(1 + i / 2);
        rule.action =
            static_cast<RuleAction>(random.below(static_cast<unsigned>(RuleAction::count_)));
        if (random.one_in(2))
            rule.action = RuleAction::count;
        rule.action_number = static_cast<std::uint16_t>(number(random));
        rule.flags = random.one_in(4) ? contract::rule_flag::link_layer : 0;
        rule.target = random.below(live);
        if (i >= live)
            rule.flags |= contract::rule_flag::disabled;
        else if (rule.action == RuleAction::skipto)
            rule.target = random.between(i + 1, live - 1);
        add_tests(random, rule, parts.instructions);
    }
    return parts;
}

TEST(HostileSnapshot, TellsWhatRuleAfterRuleTells) {
    for (std::uint64_t seed = 1; seed <= 150 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Random random(seed);
        const Bench bench(hostile_parts(random), reference::world(random.below(3)));
        const auto rules = reference::parse_rules(reference::random_ruleset(random, 20));
        const reference::Corners corners = reference::corners_of(rules, random);
        Packets packets;
        for (unsigned i = 0; i < 100; ++i)
            packets.add(reference::random_packet(
                random, corners, static_cast<unsigned>(bench.environment().interfaces.size())));
        const RuleIndices entries = bench.entries();
        for (const InstructionSet set :
             {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
            if (!is_available(set))
                continue;
            SCOPED_TRACE(name_of(set));
            const auto classifier = bench.classifier({.instructions = set});
            for (const std::uint32_t from : {std::uint32_t{0}, random.pick(entries)})
                expect_linear(bench, *classifier, packets.all(), from);
        }
    }
}

}  // namespace
}  // namespace sluice::classify
