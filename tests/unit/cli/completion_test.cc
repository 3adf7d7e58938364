#include "controlplane/cli/completion.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/language/keywords.h"
#include "controlplane/language/usage.h"

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;

bool offers(const Words& words, const std::string& wanted) {
    const Words found = completions(words);
    return std::find(found.begin(), found.end(), wanted) != found.end();
}

TEST(Completion, OffersWhatMayComeNext) {
    EXPECT_EQ(completions(Words{"pan"}), Words{"panic"});
    EXPECT_EQ(completions(Words{"panic", ""}), (Words{"deny", "off", "pass"}));
    EXPECT_EQ(completions(Words{"-q", "del"}), Words{"delete"});
    EXPECT_EQ(completions(Words{"sysctl", "net.inet.ip.fw.dyn_ma"}),
              Words{"net.inet.ip.fw.dyn_max"});
    EXPECT_TRUE(offers({"add", "100", "un"}, "unreach6"));
    EXPECT_FALSE(offers({"add", "100", "keep"}, "keep-state"));  // an action comes first
    EXPECT_TRUE(
        offers({"add", "100", "allow", "tcp", "from", "any", "to", "me", "keep"}, "keep-state"));
    EXPECT_TRUE(offers({"set", "3", "add", "all"}, "allow"));
    EXPECT_TRUE(offers({"set", "sw"}, "swap"));
    EXPECT_TRUE(completions(Words{}).empty());
    EXPECT_TRUE(completions(Words{"nonsense", ""}).empty());
    EXPECT_TRUE(completions(Words{"replay", "/etc/"}).empty());
}

TEST(Completion, KnowsTheWholeLanguage) {
    for (const auto& action : language::action_keywords())
        EXPECT_TRUE(offers({"add", std::string(action.name)}, std::string(action.name)));
    for (const auto& option : language::option_keywords())
        EXPECT_TRUE(offers({"add", "deny", std::string(option.name)}, std::string(option.name)));
}

// The verbs of `ipfw -h`.
TEST(Completion, KnowsEveryCommandOfTheSynopsis) {
    const std::string usage = language::usage();
    const std::size_t begin = usage.find("\nCOMMAND\n") + 9, end = usage.find("\nFLAGS\n");
    ASSERT_LT(begin, end);
    std::size_t verbs = 0;
    for (std::size_t line = begin; line < end; line = usage.find('\n', line) + 1) {
        if (usage.compare(line, 4, "    ") != 0 || !std::islower(usage[line + 4]))
            continue;
        const std::size_t stop = usage.find_first_of(" \n", line + 4);
        std::string alternatives = usage.substr(line + 4, stop - line - 4);
        while (!alternatives.empty()) {
            const std::size_t bar = std::min(alternatives.find('|'), alternatives.size());
            const std::string verb = alternatives.substr(0, bar);
            alternatives.erase(0, bar + 1);
            if (verb == "print" || verb == "show|print")
                continue;
            EXPECT_TRUE(offers({verb}, verb)) << verb;
            ++verbs;
        }
    }
    EXPECT_GT(verbs, 15u);
}

}  // namespace
}  // namespace sluice::cli
