#include "controlplane/patterns/lint.h"

#include <gtest/gtest.h>

#include "controlplane/patterns/corpus.h"
#include "controlplane/patterns/expression_shape.h"

namespace sluice::patterns {
namespace {

using contract::PatternMode;
using contract::PatternType;

// ---- Shapes ------------------------------------------------------------------------------------

TEST(ExpressionShape, LongestRowOfBytesThatMustBeThere) {
    const struct {
        const char* expression;
        const char* literal;
    } all[] = {
        {"abc", "abc"},
        {"abc.*defgh", "defgh"},
        {"ab?cde", "cde"},
        {"abc?", "ab"},
        {"ab*", "a"},
        {"abc+d", "abc"},
        {"ab{3}c", "abbbc"},
        {"ab{2,}c", "abb"},
        {"ab{0,5}c", "a"},
        {"a{b", "a{b"},
        {"abc|de", "de"},
        {"abc|.", ""},
        {"x(abcd|efg)y", "efg"},
        {"(?:abc)?d", "d"},
        {"(?i)abc", "abc"},
        {"(?i:abc)", "abc"},
        {"(?<name>abc)", "abc"},
        {"(?P<name>abc)d", "abc"},
        {"(?'name'abc)", "abc"},
        {"(?#remark)abc", "abc"},
        {"(?=abcdef)gh", "gh"},
        {"(?<!abcdef)gh", "gh"},
        {"[abc]de", "de"},
        {"[]a]bc", "bc"},
        {"[^]abc]bc", "bc"},
        {"[\\]abc]bc", "bc"},
        {"[[:alpha:]abc]bc", "bc"},
        {"\\d\\w\\sabc", "abc"},
        {"^abc$", "abc"},
        {"\\babc\\.\\/\\n", "abc./\n"},
        {"\\x41\\x{42}C", "ABC"},
        {"\\Qa.b+c\\E", "a.b+"},
        {"union\\s.{0,40}select", "select"},
        {".*", ""},
        {"(a", ""},
        {"a)bcd", ""},
        {"(?", ""},
        {"\\", ""},
        {"[", ""},
    };
    for (const auto& each : all)
        EXPECT_EQ(shape_of(each.expression).literal, each.literal) << each.expression;
}

TEST(ExpressionShape, AlternativesAreCertainOfNothing) {
    EXPECT_EQ(shape_of("abc|def").certain, "");
    EXPECT_EQ(shape_of("x(abcd|efgh)yz").certain, "yz");
    EXPECT_EQ(shape_of("x(abcd|efgh)yz").literal, "abcd");
    EXPECT_EQ(shape_of("x(?:abcd)y").certain, "abcd");
    EXPECT_EQ(shape_of("x(?:abcd)?y").certain, "x");
    EXPECT_EQ(shape_of("(?x)a b c").certain, "");
}

TEST(ExpressionShape, RepeatsAndEnds) {
    EXPECT_EQ(shape_of("a.{10,300}b").largest_repeat, 300u);
    EXPECT_EQ(shape_of("a[^x]{200,}b").largest_repeat, 200u);
    EXPECT_EQ(shape_of("a.*b").largest_repeat, 0u);
    EXPECT_EQ(shape_of("a{500}").largest_repeat, 0u);
    EXPECT_TRUE(shape_of("(?si)a").any_case);
    EXPECT_TRUE(shape_of("b(?i:a)").any_case);
    EXPECT_FALSE(shape_of("(?s-i)a").any_case);
    EXPECT_FALSE(shape_of("(?:i)(?<i>)").any_case);
    EXPECT_TRUE(shape_of("^a").begins);
    EXPECT_TRUE(shape_of("\\Aa|b").begins);
    EXPECT_TRUE(shape_of("a$").ends);
    EXPECT_FALSE(shape_of("a\\$[$^]").ends);
    EXPECT_FALSE(shape_of("a\\^[$^]").begins);
}

TEST(ExpressionShape, GroupsInGroups) {
    EXPECT_EQ(shape_of(std::string(50, '(') + "abc" + std::string(50, ')')).literal, "abc");
    EXPECT_EQ(shape_of(std::string(100000, '(')).literal, "");
}

// ---- Findings ----------------------------------------------------------------------------------

std::vector<PatternFinding> findings(std::vector<std::string> patterns,
                                     PatternMode mode = PatternMode::packet,
                                     PatternType type = PatternType::bytes) {
    LintOrder order{.name = "web", .type = type, .database = {.mode = mode, .patterns = patterns}};
    return lint(order).findings;
}

std::string faults(const std::vector<PatternFinding>& findings) {
    static constexpr const char* kNames[] = {"duplicate", "covered", "none",    "short",
                                             "common",    "repeat",  "anchored"};
    std::string text;
    for (const PatternFinding& finding : findings)
        text += std::to_string(finding.pattern) + kNames[static_cast<int>(finding.fault)] +
                (finding.other ? std::to_string(*finding.other) : "") + " ";
    return text;
}

TEST(PatternLint, Quality) {
    EXPECT_EQ(faults(findings({R"("rare~literal")", R"("abc~")", R"("Mozilla/5.0")"})),
              "1short 2common ");
    EXPECT_EQ(faults(findings({"re:/[a-z]+x*/", "re:/ab~.{0,100}cd~/", "re:/^rare~literal/"})),
              "0none 1short 1repeat 2anchored ");
    EXPECT_EQ(faults(findings({"re:/^rare~literal/m"})), "");
    EXPECT_EQ(faults(findings({"re:/^rare~literal/"}, PatternMode::stream)), "");
    EXPECT_EQ(faults(findings({"re:/rare~literal$/m"})), "");
    EXPECT_EQ(faults(findings({"re:/rare~literal$/m"}, PatternMode::stream)), "0anchored ");
    EXPECT_EQ(faults(findings({"re:/mozilla/i"})), "0common ");
    EXPECT_EQ(faults(findings({"re:/mozillA/"})), "");
}

TEST(PatternLint, Covers) {
    EXPECT_EQ(
        faults(findings({R"("rare~literal")", R"("a rare~literal x")", R"("rare~literal")",
                         "re:/x+rare~literal/", "re:/rare~literal/i", "re:/x+rare~literal/"})),
        "1covered0 2duplicate0 3covered0 5duplicate3 ");
    EXPECT_EQ(faults(findings({R"("rare~literal")", "re:/rare~literal|other~literal/"})), "");
    EXPECT_EQ(faults(findings({R"("rare~literal\x00")", "re:/rare~literal/"})), "");
    LintOrder order{
        .database = {.ignore_case = true,
                     .patterns = {R"("RARE~literal")", R"("rare~LITERAL")", "re:/rare~literal/i"}}};
    EXPECT_EQ(faults(lint(order).findings), "1duplicate0 2covered0 ");
}

TEST(PatternLint, Names) {
    EXPECT_EQ(faults(findings({"example.com", "www.example.com", "=example.com", "example.com",
                               "=com", "badexample.com", "=a.b.example.com"},
                              PatternMode::packet, PatternType::names)),
              "1covered0 2covered0 3duplicate0 6covered0 ");
}

// ---- Costs -------------------------------------------------------------------------------------

TEST(PatternLint, CostsAreMeasured) {
    const LintOrder order{
        .name = "web",
        .database = {.mode = PatternMode::stream, .patterns = {"re:/rare~.{0,5}literal/"}},
        .flows = 1000};
    const LintReport report = lint(order);
    ASSERT_TRUE(report.cost) << report.no_cost;
    EXPECT_GT(report.cost->database_bytes, 500u);
    EXPECT_GT(report.cost->scratch_bytes, 500u);
    EXPECT_GT(report.cost->stream_bytes, 0u);
    EXPECT_GT(report.cost->large_gbit, 0.01);
    EXPECT_GT(report.cost->small_ns, 0.5);
    EXPECT_EQ(report.expressions, 1u);
    const std::vector<std::string> lines = lint_lines(order, report);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0], "pattern web: 0 literals and 1 expression, stream mode");
    EXPECT_NE(lines[1].find("up to 3 times as long"), std::string::npos) << lines[1];
    EXPECT_NE(lines[2].find("for 1000 flows"), std::string::npos) << lines[2];
}

TEST(PatternLint, WhatDoesNotCompileHasNoSpeed) {
    const LintOrder order{.name = "web", .database = {.patterns = {"re:/(?=a)b/"}}};
    const std::vector<std::string> lines = lint_lines(order);
    EXPECT_NE(lines[1].find("not known: Hyperscan does not take the pattern"), std::string::npos)
        << lines[1];
}

TEST(PatternLint, OfEachKindSoMany) {
    LintOrder order{.name = "web", .type = PatternType::names};
    for (int i = 0; i < 25; ++i)
        order.database.patterns.push_back("example.com");
    const std::vector<std::string> lines = lint_lines(order);
    ASSERT_EQ(lines.size(), 1 + kToldFindings + 1);
    EXPECT_EQ(lines[0], "pattern web: 25 names");
    EXPECT_EQ(lines[1], "example.com: the same is there before it");
    EXPECT_EQ(lines.back(), "… and 14 more patterns that are there twice");
}

TEST(PatternLint, CorpusIsTheSameEachTime) {
    const std::string corpus = http_corpus(100'000);
    EXPECT_EQ(corpus.size(), 100'000u);
    EXPECT_EQ(corpus, http_corpus(100'000));
    EXPECT_NE(corpus, http_corpus(100'000, 2));
    EXPECT_NE(corpus.find(" HTTP/1.1\r\nHost: "), std::string::npos);
}

}  // namespace
}  // namespace sluice::patterns
