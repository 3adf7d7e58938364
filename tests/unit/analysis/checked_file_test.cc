#include "analysis/checked_file.h"

#include <gtest/gtest.h>

namespace sluice::analysis {
namespace {

CheckedFile check(std::string_view text) {
    return check_file(text, language::system_resolver());
}

TEST(CheckedFile, CountsTheRulesThatAreLeftAndKnowsTheirLines) {
    const CheckedFile file = check(
        "-q flush\n"
        "add 300 allow tcp from any to any\n"
        "\n"
        "add 100 deny ip from 10.0.0.0/8 to any\n"
        "add 200 deny ip from any to any\n"
        "delete 200\n"
        "add 300 count ip from any to any\n");
    ASSERT_TRUE(file.ruleset);
    EXPECT_EQ(file.status, ExitStatus::ok);
    EXPECT_EQ(file.ruleset->size(), 3u);
    EXPECT_EQ(file.lines, (std::vector<std::size_t>{4, 2, 7}));
}

TEST(CheckedFile, OfRulesThatAreTheSameTheLastOnesAreLeft) {
    const CheckedFile file = check(
        "add 100 allow ip from any to any\n"
        "flush\n"
        "add 100 allow ip from any to any\n");
    EXPECT_EQ(file.lines, (std::vector<std::size_t>{3}));
}

TEST(CheckedFile, TellsOfAllErrorsWithTheirPlaces) {
    const CheckedFile file = check(
        "add 100 allow tcp from any to any 65536\n"
        "add 200 allow tcp from any to any estblished\n"
        "add 300 pipe 1 ip from any to any\n"
        "add skipto :nowhere ip from any to any\n");
    EXPECT_FALSE(file.ruleset);
    ASSERT_EQ(file.errors.size(), 4u);
    EXPECT_EQ(file.status, ExitStatus::data);
    EXPECT_EQ(file.errors[0].place("rules"), "rules:1:35: ");
    EXPECT_EQ(file.errors[1].line, 2u);
    EXPECT_NE(file.errors[1].text.find("did you mean \"established\"?"), std::string::npos);
    EXPECT_EQ(file.errors[1].text.find("column"), std::string::npos);
    EXPECT_EQ(file.errors[2].place("rules"), "rules:3: ");
    EXPECT_EQ(file.errors[2].text.rfind("not supported yet: ", 0), 0u) << file.errors[2].text;
    EXPECT_NE(file.errors[3].text.find(":nowhere"), std::string::npos);
}

TEST(CheckedFile, RefusesWhatTheScriptOfALoadRefuses) {
    struct Case {
        const char* text;
        ExitStatus status;
        std::size_t line;
    };
    for (const Case& each : {
             Case{"add allow ip from any to any\ndelete 777\n", ExitStatus::unavailable, 2},
             Case{"add 65535 allow ip from any to any\n", ExitStatus::unavailable, 1},
             Case{"table t create type iface\nadd deny ip from table(t) to any\n",
                  ExitStatus::unavailable, 2},
             Case{"table t create\n\ntable t add nonsense/99\n", ExitStatus::data, 3},
             Case{"sysctl net.inet.ip.fw.nothing=1\n", ExitStatus::data, 1},
         }) {
        const CheckedFile file = check(each.text);
        EXPECT_FALSE(file.ruleset) << each.text;
        ASSERT_EQ(file.errors.size(), 1u) << each.text;
        EXPECT_EQ(file.errors[0].line, each.line) << file.errors[0].text;
        EXPECT_EQ(file.status, each.status) << file.errors[0].text;
    }
}

TEST(CheckedFile, WarnsOfRulesThatAreSurelyNotMeant) {
    const CheckedFile file = check(
        "add allow icmp from any 53 to any\n"
        "-q add allow icmp from any 53 to any\n");
    ASSERT_TRUE(file.ruleset);
    ASSERT_EQ(file.warnings.size(), 1u);
    EXPECT_EQ(file.warnings[0].line, 1u);
}

TEST(CheckedFile, ATestedLineChangesNothing) {
    EXPECT_EQ(check("-n add 100 allow ip from any to any\n").ruleset->size(), 0u);
}

}  // namespace
}  // namespace sluice::analysis
