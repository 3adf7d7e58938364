// Labels and ends of rules: what is ours, not ipfw's.
#include <gtest/gtest.h>

#include "controlplane/language/expiry.h"
#include "controlplane/language/rule_file.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

std::string canonical_of(std::string_view text) {
    auto rule = parse_rule(text, refusing_resolver());
    return rule ? print_rule(*rule) : rule.error().text();
}

TEST(Label, IsPrintedInFrontOfTheRule) {
    EXPECT_EQ(canonical_of("100 :web allow tcp from any to any 80"),
              ":web allow tcp from any to any 80");
    EXPECT_EQ(canonical_of("100 :web set 3 prob 0.5 deny ip from any to any"),
              ":web prob 0.500000 deny ip from any to any");
    EXPECT_EQ(canonical_of("set 3 :a_b-c.9 check-state"), ":a_b-c.9 check-state :default");
    auto rule =
        parse_rule("100 set 3 :web call :mail log ip from any to any // both", refusing_resolver());
    ASSERT_TRUE(rule);
    EXPECT_EQ(rule->label, "web");
    EXPECT_EQ(rule->action.label, "mail");
    EXPECT_EQ(print_rule(*rule), ":web call :mail log ip from any to any // both");
    EXPECT_EQ(*parse_rule(":web call :mail log ip from any to any // both", refusing_resolver()),
              *parse_rule(print_rule(*rule), refusing_resolver()));
}

std::vector<std::string> rules_of(std::string_view text) {
    const RuleFile file = parse_file(text, refusing_resolver());
    std::vector<std::string> result;
    for (const FileError& error : file.errors)
        result.push_back(error.text());
    for (const FileLine& line : file.lines)
        if (const auto* add = std::get_if<AddCommand>(&line.invocation.command))
            result.push_back(std::to_string(add->rule.number) + " " + print_rule(add->rule));
    return result;
}

using Texts = std::vector<std::string>;

TEST(Label, ALineOfItsOwnGivesItToTheNextRule) {
    EXPECT_EQ(rules_of("add skipto :IN ip from any to any in\n"
                       "# a comment\n"
                       ":IN   # in\n"
                       "\n"
                       "set disable 3\n"
                       "add 500 deny ip from any to any\n"
                       "add allow ip from any to any\n"),
              (Texts{"0 skipto :IN ip from any to any in", "500 :IN deny ip from any to any",
                     "0 allow ip from any to any"}));
}

TEST(Label, ErrorsSayWhere) {
    const std::pair<const char*, const char*> rows[] = {
        {"add skipto :OUT ip from any to any\n:IN\nadd count ip from any to any\n",
         "Line 1: column 12: there is no label :OUT in this file"},
        {"add  call  :x ip from any to any\n", "Line 1: column 12: there is no label :x"},
        {":A\nadd count ip from any to any\n  :A\nadd count ip from any to any\n",
         "Line 3: column 3: label :A stands in line 1 already"},
        {"add 5 :A count ip from any to any\nadd 6 :A count ip from any to any\n",
         "Line 2: column 7: label :A stands in line 1 already"},
        {":A\n:B\nadd count ip from any to any\n", "Line 2: column 1: a rule has one label"},
        {":A\nadd :B count ip from any to any\n", "Line 2: column 5: a rule has one label"},
        {"add count ip from any to any\n:A\n",
         "Line 2: column 1: label :A stands in front of no rule"},
        {":A add count ip from any to any\n", "Line 1: column 4: a label stands alone"},
        {":A/B\nadd count ip from any to any\n", "Line 1: column 1: bad label"},
        {":\nadd count ip from any to any\n", "Line 1: column 1: bad label"},
        {":A\nadd count ip from any to any expires 1h\n",
         "Line 2: column 30: a rule with a label cannot expire"}};
    for (const auto& [text, error] : rows) {
        const Texts found = rules_of(text);
        ASSERT_FALSE(found.empty()) << text;
        EXPECT_EQ(found.front().substr(0, std::string(error).size()), error) << text;
    }
}

TEST(Expiry, ADurationCountsFromNow) {
    EXPECT_EQ(*parse_expiry("90s", 1000), 1090u);
    EXPECT_EQ(*parse_expiry("1h30m", 1000), 1000u + 5400);
    EXPECT_EQ(*parse_expiry("2w1d", 0), 15u * 86400);
}

TEST(Expiry, ATimeIsUtc) {
    EXPECT_EQ(*parse_expiry("2026-12-31T23:59Z", 0), 1798761540u);
    EXPECT_EQ(*parse_expiry("2024-02-29T12:34:56Z", 0), 1709210096u);
    EXPECT_EQ(*parse_expiry("2106-02-07T06:28:15Z", 0), 0xffffffffu);
    EXPECT_FALSE(parse_expiry("2106-02-07T06:28:16Z", 0));
    EXPECT_FALSE(parse_expiry("2026-12-31T23:59Z", 1798761540));
    EXPECT_TRUE(parse_expiry("2026-12-31T23:59Z", 1798761539));
}

TEST(Expiry, TextReadsBack) {
    for (const std::uint32_t seconds : {1u, 86399u, 86400u, 1709210096u, 1798761540u, 0xffffffffu})
        EXPECT_EQ(*parse_expiry(expiry_text(seconds), 0), seconds) << expiry_text(seconds);
    EXPECT_EQ(expiry_text(1798761540), "2026-12-31T23:59:00Z");
}

TEST(Expiry, StandsBehindTheOptions) {
    EXPECT_EQ(canonical_of("allow tcp from any to any expires 2030-01-01T00:00Z 22 // c"),
              "column 53: unknown option \"22\"; expected an option or the end of the rule");
    EXPECT_EQ(
        canonical_of("allow tcp from any to any 22 expires 2030-01-01T00:00Z keep-state in // c"),
        "allow tcp from any to any 22 in keep-state :default expires 2030-01-01T00:00:00Z // c");
    EXPECT_EQ(canonical_of("check-state expires 2030-01-01T00:00Z // c"),
              "check-state :default expires 2030-01-01T00:00:00Z // c");
}

}  // namespace
}  // namespace sluice::language
