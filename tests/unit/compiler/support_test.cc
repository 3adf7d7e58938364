#include "controlplane/compiler/support.h"

#include <gtest/gtest.h>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::compiler {
namespace {

language::Rule example_of(const language::ConstructInfo& info) {
    auto rule = language::parse_rule(info.example, language::refusing_resolver());
    EXPECT_TRUE(rule) << info.example;
    rule->number = 100;
    return *rule;
}

// Every keyword of the language either works or is refused with a message and an exit status; there
// is no third way.
TEST(Support, EveryConstructIsCarriedOutOrRefusedByName) {
    for (const language::ConstructInfo& info : language::all_constructs()) {
        const language::Rule rule = example_of(info);
        const RuleInput input{.rule = &rule, .slot = 2};
        ruleset::Ruleset rules(false);
        ASSERT_TRUE(rules.tables().make_for(rule)) << info.example;
        ASSERT_TRUE(rules.patterns().create("PATTERNS", {}));
        ASSERT_TRUE(rules.patterns().create("NAMES", {.type = contract::PatternType::names}));
        if (!ruleset::payload_matches(rule).empty()) {
            ASSERT_TRUE(rules.add(rule)) << info.example;
            ASSERT_TRUE(rules.complete_patterns()) << info.example;
        }
        const auto image = compile(
            {.rules = {&input, 1}, .tables = &rules.tables(), .patterns = &rules.patterns()});
        const auto why = unsupported(rule);
        if (is_carried_out(info.construct) && !why) {
            EXPECT_TRUE(image) << info.example << ": " << image.error().message;
            continue;
        }
        ASSERT_TRUE(why) << info.name;
        EXPECT_TRUE(why->starts_with("not supported yet: ") ||
                    why->starts_with("cannot be carried out: "))
            << *why;
        ASSERT_FALSE(image) << info.example;
        EXPECT_EQ(image.error().status, ExitStatus::unavailable);
        EXPECT_EQ(image.error().message, *why);
    }
}

TEST(Support, NamesTheConstructThatIsMissing) {
    auto rule = language::parse_rule("100 allow tcp from any to any 80 jail 1",
                                     language::refusing_resolver());
    ASSERT_TRUE(rule);
    const auto why = unsupported(*rule);
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("jail"), std::string::npos) << *why;
}

}  // namespace
}  // namespace sluice::compiler
