#include "controlplane/language/construct.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "controlplane/language/keywords.h"
#include "tests/unit/language/random_rules.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

TEST(Constructs, EachExampleUsesItsConstruct) {
    for (const ConstructInfo& construct : all_constructs()) {
        auto rule = parse(construct.example);
        ASSERT_TRUE(rule) << construct.example << ": " << rule.error().text();
        std::vector<Construct> used = constructs_of(*rule);
        EXPECT_TRUE(std::is_sorted(used.begin(), used.end()));
        EXPECT_TRUE(std::binary_search(used.begin(), used.end(), construct.construct))
            << construct.name << ": " << construct.example;
        EXPECT_EQ(info(construct.construct).name, construct.name);
    }
}

TEST(Constructs, EveryKeywordIsInAnExample) {
    std::set<std::string> words;
    for (const ConstructInfo& construct : all_constructs())
        for (const std::string& word : split(print_rule(*parse(construct.example)), ' '))
            words.insert(word.substr(0, word.find(':')));
    // One example stands for both sides; `setup` is how its flags are printed.
    for (const char* other :
         {"dst-mac", "src-ip", "dst-ip", "src-ip6", "dst-ip6", "src-port", "proto", "ip4", "ip6"})
        words.insert(other);
    for (const auto& keyword : option_keywords()) {
        if (!keyword.help.empty()) {
            EXPECT_TRUE(words.contains(std::string(keyword.name))) << keyword.name;
        }
    }
    for (const auto& keyword : action_keywords()) {
        if (!keyword.help.empty()) {
            EXPECT_TRUE(words.contains(std::string(keyword.name))) << keyword.name;
        }
    }
    for (const auto& keyword : modifier_keywords())
        EXPECT_TRUE(words.contains(std::string(keyword.name))) << keyword.name;
}

TEST(Constructs, RandomRulesReachAll) {
    std::mt19937_64 random(1);
    std::set<Construct> seen;
    for (int i = 0; i < 60000; ++i)
        for (Construct construct : constructs_of(random_rule(random)))
            seen.insert(construct);
    for (const ConstructInfo& construct : all_constructs())
        EXPECT_TRUE(seen.contains(construct.construct)) << construct.name;
}

TEST(Constructs, PlainRuleUsesLittle) {
    auto rule = parse("allow ip from any to any");
    EXPECT_EQ(constructs_of(*rule),
              (std::vector<Construct>{Construct::action_allow, Construct::protocol_any,
                                      Construct::address_any}));
}

}  // namespace
}  // namespace sluice::language
