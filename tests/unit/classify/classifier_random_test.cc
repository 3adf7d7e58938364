// Large random rulesets × packets at the corners of their rules: the classifier must tell what rule
// after rule tells, with all sets of instructions, from everywhere a walk may begin, and however
// little memory it is given.
//
// A normal run takes a few seconds. SLUICE_CLASSIFIER_SECONDS makes it longer,
// SLUICE_CLASSIFIER_SEED starts elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "dataplane/classify/rule_boxes.h"
#include "tests/reference/random_rules.h"
#include "tests/unit/classify/classifier_bench.h"

namespace sluice::classify {
namespace {

using language::ActionKind;
using language::Rule;
using reference::Random;
using Lines = std::vector<std::string>;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Networks within networks.
std::string network(Random& random, bool v6) {
    if (random.one_in(6))
        return "any";
    if (v6) {
        const unsigned length = random.pick(std::vector<unsigned>{24, 32, 40, 48, 56, 64, 128});
        std::string text = "2001:db8:" + std::to_string(random.below(40)) + ":" +
                           std::to_string(random.below(4)) + "::";
        return text + (length == 128 ? std::to_string(random.below(9)) : "") + "/" +
               std::to_string(length);
    }
    const unsigned length =
        random.pick(std::vector<unsigned>{1, 8, 12, 16, 20, 24, 24, 29, 32, 32});
    return std::to_string(random.one_in(4) ? random.below(224) : 10) + "." +
           std::to_string(random.below(24)) + "." + std::to_string(random.below(256)) + "." +
           std::to_string(random.below(256)) + "/" + std::to_string(length);
}

std::string ports(Random& random) {
    switch (random.below(6)) {
        case 0:
            return " " + std::to_string(random.below(1200));
        case 1:
            return " 1024-65535";
        case 2: {
            const unsigned first = random.below(60000);
            return " " + std::to_string(first) + "-" + std::to_string(first + random.below(5000));
        }
        case 3:
            return std::string(random.one_in(2) ? " not" : "") + " 22,80,443,8000-8100";
        default:
            return "";
    }
}

// As ClassBench makes them: two networks, two ranges of ports, a protocol.
std::string five_fields(Random& random) {
    const bool v6 = random.one_in(3);
    const std::string protocol =
        random.pick(Lines{"tcp", "tcp", "tcp", "udp", "ip", "icmp", "gre"});
    const bool has_ports = protocol == "tcp" || protocol == "udp";
    std::string text = random.pick(Lines{"allow ", "deny ", "count ", "skipto 1 "}) + protocol;
    text += " from " + network(random, v6) + (has_ports ? ports(random) : "");
    text += " to " + network(random, v6) + (has_ports ? ports(random) : "");
    return text + (random.one_in(6) ? random.pick(Lines{" in", " out", " established", " setup",
                                                        " frag", " via em0", " recv em1"})
                                    : "");
}

// Tables are no matter of the classifier.
bool names_a_table(const std::string& rule) {
    for (const char* word : {"table(", "tablearg", "lookup ", "flow ", "src-mac ", "dst-mac "})
        if (rule.find(word) != std::string::npos)
            return true;
    return false;
}

std::string rule_without_tables(Random& random) {
    std::string rule = reference::random_rule_text(random);
    while (names_a_table(rule))
        rule = reference::random_rule_text(random);
    return rule;
}

std::vector<Rule> large_ruleset(Random& random, unsigned count, unsigned percent_of_constructs) {
    Lines lines;
    unsigned number = 1;
    for (unsigned i = 0; i < count; ++i) {
        number += random.one_in(4) ? 0 : random.between(1, 6);
        lines.push_back(std::to_string(number) + " " +
                        (random.below(100) < percent_of_constructs ? rule_without_tables(random)
                                                                   : five_fields(random)));
    }
    std::vector<Rule> rules = reference::parse_rules(lines);
    for (Rule& rule : rules) {
        if (rule.action.kind == ActionKind::check_state)
            continue;
        // Else few packets would get past the first rules.
        if (!random.one_in(8) || !rule.action.label.empty())
            rule.action = language::Action{};
        if (rule.action.kind == ActionKind::skipto)
            rule.action.argument.value = rule.number + random.between(1, 6 * count);
        if (rule.action.argument.value > 65535)
            rule.action.argument.value = 65535;
    }
    return rules;
}

packet::Environment large_world(Random& random) {
    packet::Environment environment = reference::world(random.below(3));
    if (random.one_in(2))
        for (std::size_t i = environment.interfaces.size(); i < packet::kMaximumInterfaces; ++i)
            environment.interfaces.push_back({(i % 2 == 0 ? "em" : "eth") + std::to_string(i), {}});
    return environment;
}

// Most of them at the corners of a few of the rules.
Packets aimed_packets(Random& random, const std::vector<Rule>& rules, unsigned interfaces,
                      unsigned count) {
    Packets packets;
    for (unsigned i = 0; i < count; ++i) {
        std::vector<Rule> some;
        for (unsigned k = random.between(1, 3); k > 0; --k)
            some.push_back(random.pick(rules));
        packets.add(reference::random_packet(random, reference::corners_of(some, random),
                                             random.one_in(2) ? interfaces : 2));
    }
    return packets;
}

void check(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const unsigned count = random.pick(std::vector<unsigned>{3, 40, 200, 400, 900});
    const unsigned percent = random.pick(std::vector<unsigned>{0, 5, 30, 100});
    const std::vector<Rule> rules = large_ruleset(random, count, percent);
    const packet::Environment environment = large_world(random);
    const std::uint32_t disabled =
        random.one_in(3) ? static_cast<std::uint32_t>(random.next()) & 0x7fffffff : 0;
    const Bench bench(rules, environment, disabled);
    const Packets packets =
        aimed_packets(random, rules, static_cast<unsigned>(environment.interfaces.size()), 150);
    const RuleIndices entries = bench.entries();
    for (const InstructionSet set :
         {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
        if (!is_available(set))
            continue;
        SCOPED_TRACE(name_of(set));
        Classifier::Options options{.instructions = set};
        if (random.one_in(3)) {
            options.places_per_box = 1;
            options.places_on_top = random.one_in(2) ? 0 : 300;
        }
        const auto classifier = bench.classifier(options);
        expect_linear(bench, *classifier, packets.all(), 0);
        for (unsigned i = 0; i < 6; ++i) {
            const std::size_t burst =
                std::min<std::size_t>(packets.all().size(), random.between(1, 70));
            const std::size_t first =
                random.below(static_cast<unsigned>(packets.all().size() - burst + 1));
            expect_linear(bench, *classifier, packets.all().subspan(first, burst),
                          random.pick(entries));
        }
    }
}

TEST(ClassifierRandom, TellsWhatRuleAfterRuleTells) {
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(setting("SLUICE_CLASSIFIER_SECONDS", 4));
    const std::uint64_t first_seed = setting("SLUICE_CLASSIFIER_SEED", 1);
    std::uint64_t seed = first_seed;
    for (; std::chrono::steady_clock::now() < end && !HasFailure(); ++seed)
        check(seed);
    EXPECT_GT(seed, first_seed);
    std::cout << seed - first_seed << " rulesets\n";
}

// Ranges that overlap widely could be copied into every branch.
TEST(ClassifierRandom, WideRangesStayWithinTheBound) {
    Random random(1);
    Lines lines;
    for (unsigned i = 0; i < 10000; ++i) {
        const unsigned source = random.below(50000), destination = random.below(50000);
        lines.push_back("1 count tcp from any " + std::to_string(source) + "-" +
                        std::to_string(source + 6000) + " to any " + std::to_string(destination) +
                        "-" + std::to_string(destination + 6000));
    }
    const Bench bench(lines);
    // At worst each place is a block of its own.
    for (const std::size_t places : {std::size_t{1}, std::size_t{8}}) {
        const auto classifier = bench.classifier({.places_per_box = places, .places_on_top = 0});
        for (const Family family : {Family::v4, Family::v6}) {
            const ForestCost& cost = classifier->cost().families[static_cast<std::size_t>(family)];
            EXPECT_EQ(cost.boxes, 10001u);
            EXPECT_TRUE(cost.cut_short || places > 1);
            const std::size_t block = family == Family::v4 ? sizeof(Block4) : sizeof(Block6);
            EXPECT_LT(cost.bytes, places * cost.boxes * block + (4u << 20));
        }
        const Packets packets = aimed_packets(random, reference::parse_rules(lines), 2, 3);
        expect_linear(bench, *classifier, packets.all(), 0);
    }
}

// Many rules with long lists: from some rule on, lists are not taken apart any more.
TEST(ClassifierRandom, ListsStayWithinTheBound) {
    constexpr std::size_t kRules = 1500, kList = 100;
    Random random(2);
    Lines lines;
    for (std::size_t i = 0; i < kRules; ++i) {
        std::string list;
        for (std::size_t k = 0; k < kList; ++k)
            list += (k == 0 ? "" : ",") + std::string("10.") + std::to_string(random.below(256)) +
                    "." + std::to_string(random.below(256)) + "." +
                    std::to_string(random.below(256));
        lines.push_back("1 allow ip from " + list + " to any");
    }
    const Bench bench(lines);
    const auto classifier = bench.classifier({});
    const ForestCost& cost = classifier->cost().families[static_cast<std::size_t>(Family::v4)];
    EXPECT_GT(cost.boxes, kRules + 1);
    EXPECT_LE(cost.boxes, kRules + 1 + boxes_to_spare(kRules + 1));
    const Packets packets = aimed_packets(random, reference::parse_rules(lines), 2, 200);
    ASSERT_FALSE(packets.all().empty());
    const std::size_t count = std::min<std::size_t>(packets.all().size(), 200);
    expect_linear(bench, *classifier, packets.all().first(count), 0);
}

}  // namespace
}  // namespace sluice::classify
