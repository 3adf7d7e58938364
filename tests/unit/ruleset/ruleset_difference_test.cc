#include "controlplane/ruleset/ruleset_difference.h"

#include <gtest/gtest.h>

namespace sluice::ruleset {
namespace {

using Rules = std::vector<ComparedRule>;

const Rules kBefore = {{100, 0, "allow ip from any to any"},
                       {200, 0, "count ip from any to any"},
                       {200, 0, "deny udp from any to any"},
                       {300, 2, "deny ip from any to any"}};

std::string summary(const Rules& before, const Rules& after) {
    return to_string(counts(difference(before, after)));
}

TEST(RulesetDifference, OfTheSameRulesIsNone) {
    EXPECT_EQ(summary(kBefore, kBefore), "+0 -0 ~0 rules");
    EXPECT_EQ(summary({}, {}), "+0 -0 ~0 rules");
}

TEST(RulesetDifference, NamesWhatWasAddedAndRemoved) {
    Rules after = kBefore;
    after.erase(after.begin());
    after.push_back({400, 0, "allow tcp from any to any"});
    const RulesetDifference found = difference(kBefore, after);
    EXPECT_EQ(found.removed, Rules({kBefore.front()}));
    EXPECT_EQ(found.added, Rules({after.back()}));
    EXPECT_TRUE(found.changed.empty());
    EXPECT_EQ(summary({}, kBefore), "+4 -0 ~0 rules");
    EXPECT_EQ(summary(kBefore, {}), "+0 -4 ~0 rules");
}

TEST(RulesetDifference, AnotherTextOrSetIsAChange) {
    Rules after = kBefore;
    after[0].text = "deny ip from any to any";
    after[3].set = 3;
    const RulesetDifference found = difference(kBefore, after);
    EXPECT_EQ(found.changed,
              (std::vector<ChangedRule>{{kBefore[0], after[0]}, {kBefore[3], after[3]}}));
    EXPECT_TRUE(found.added.empty() && found.removed.empty());
}

TEST(RulesetDifference, OfOneNumberOnlyWhatHasNoEqualCounts) {
    Rules after = kBefore;
    std::swap(after[1], after[2]);
    EXPECT_EQ(summary(kBefore, after), "+0 -0 ~0 rules");
    after.insert(after.begin() + 2, {200, 0, "count ip from any to any"});
    EXPECT_EQ(summary(kBefore, after), "+1 -0 ~0 rules");
    after[2].text = "count tcp from any to any";
    after.erase(after.begin() + 3);
    EXPECT_EQ(summary(kBefore, after), "+0 -0 ~1 rules");
}

TEST(RulesetDifference, AnotherNumberIsAnotherRule) {
    Rules after = kBefore;
    after[0].number = 150;
    EXPECT_EQ(summary(kBefore, after), "+1 -1 ~0 rules");
}

}  // namespace
}  // namespace sluice::ruleset
