#include "controlplane/compiler/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "controlplane/compiler/support.h"
#include "controlplane/language/names.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_parser.h"
#include "tests/unit/language/random_rules.h"

namespace sluice::compiler {
namespace {

std::vector<std::string> words_of(const std::string& text, const TestContext& context = {}) {
    const auto rule = language::parse_rule(text, language::refusing_resolver());
    EXPECT_TRUE(rule) << text;
    return rule ? test_words(*rule, context) : std::vector<std::string>();
}

using Words = std::vector<std::string>;

TEST(Explain, SaysTestsInTheWordsOfTheRule) {
    EXPECT_EQ(
        words_of("100 allow tcp from 10.0.0.0/8 to { me or 1.2.3.4 } 80 in setup"),
        (Words{"tcp", "from 10.0.0.0/8", "to { me or 1.2.3.4 }", "in", "setup", "dst-port 80"}));
}

TEST(Explain, PutsWhatHeadersDoNotDecideBehind) {
    EXPECT_EQ(words_of("100 prob 0.5 deny udp from not 1.1.1.1 to any tagged 7 via em0"),
              (Words{"udp", "from not 1.1.1.1", "via em0", "prob 0.500000", "tagged 7"}));
}

TEST(Explain, FollowsHeaderChangesOfOtherRules) {
    TestContext context;
    context.changes.traffic_class = true;
    EXPECT_EQ(words_of("100 deny ip from any to any dscp be in", context),
              (Words{"in", "dscp be"}));
}

// One for each block, whatever the rule is.
TEST(Explain, AgreesWithTheCompilerOnEveryRule) {
    unsigned compiled = 0;
    std::mt19937_64 random(1);
    language::GeneratorOptions options;
    options.accept = is_carried_out;
    for (unsigned i = 0; i < 4000; ++i) {
        const language::Rule rule = language::random_rule(random, options);
        Sections sections;
        contract::RuleRecord record;
        if (unsupported(rule) || !compile_tests(rule, {}, sections, record))
            continue;
        ++compiled;
        const auto blocks =
            std::count_if(sections.instructions.begin(), sections.instructions.end(),
                          [](const contract::Instruction& test) {
                              return (test.flags & contract::kOrNext) == 0;
                          });
        EXPECT_EQ(test_words(rule, {}).size(), static_cast<std::size_t>(blocks))
            << language::print_rule(rule);
    }
    EXPECT_GT(compiled, 200u);
}

}  // namespace
}  // namespace sluice::compiler
