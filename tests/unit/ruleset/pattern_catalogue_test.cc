#include "controlplane/ruleset/pattern_catalogue.h"

#include <gtest/gtest.h>

#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset.h"

namespace sluice::ruleset {
namespace {

using Change = PatternCatalogue::Change;
using contract::PatternType;

language::Rule rule_of(const std::string& text) {
    auto rule = language::parse_rule(text, language::refusing_resolver());
    EXPECT_TRUE(rule) << text;
    return rule ? *rule : language::Rule();
}

Ruleset with(const std::vector<std::string>& bytes, const std::vector<std::string>& names = {}) {
    Ruleset rules(false);
    for (const std::string& name : bytes)
        EXPECT_TRUE(rules.patterns().create(name, {}));
    for (const std::string& name : names)
        EXPECT_TRUE(rules.patterns().create(name, {.type = PatternType::names}));
    return rules;
}

std::string refusal(Ruleset& rules, const std::string& text) {
    const auto added = rules.add(rule_of(text));
    return added ? "" : added.error().message;
}

std::vector<std::string> texts_of(const PatternObject& object) {
    std::vector<std::string> texts;
    for (const patterns::Pattern& pattern : object.patterns)
        texts.push_back(pattern.text);
    return texts;
}

TEST(PatternCatalogue, AddsAndRemoves) {
    Ruleset rules = with({"web"});
    PatternCatalogue& patterns = rules.patterns();
    EXPECT_EQ(patterns.add("web", "\"a\"", 1, false), Change::done);
    EXPECT_EQ(patterns.add("web", "\"b\"", 2, false), Change::done);
    EXPECT_EQ(patterns.add("web", "\"c\"", 3, false), Change::done);
    EXPECT_EQ(patterns.add("web", "\"b\"", 9, false), Change::exists);
    EXPECT_EQ(patterns.find("web")->patterns[1].value, 2u);
    EXPECT_EQ(patterns.add("web", "\"b\"", 9, true), Change::updated);
    EXPECT_EQ(patterns.find("web")->patterns[1].value, 9u);
    EXPECT_EQ(patterns.remove("web", {"\"a\"", "\"x\"", "\"a\""}),
              (std::vector<Change>{Change::done, Change::not_found, Change::not_found}));
    EXPECT_EQ(texts_of(*patterns.find("web")), (std::vector<std::string>{"\"b\"", "\"c\""}));
    EXPECT_EQ(patterns.add("web", "\"c\"", 0, false), Change::exists);
    EXPECT_EQ(patterns.add("web", "\"a\"", 0, false), Change::done);
    EXPECT_EQ(patterns.find("no"), nullptr);
}

TEST(PatternCatalogue, ACopyIsAnother) {
    Ruleset rules = with({"web", "other"});
    rules.patterns().add("web", "\"a\"", 1, false);
    ASSERT_TRUE(rules.complete_patterns());
    const PatternObject* const before = rules.patterns().find("web");
    Ruleset next = rules;
    EXPECT_EQ(next.patterns().find("web"), before);  // shared until it changes
    next.patterns().add("web", "\"b\"", 2, false);
    next.patterns().destroy("other");
    ASSERT_TRUE(next.complete_patterns());
    EXPECT_EQ(rules.patterns().find("web"), before);
    EXPECT_EQ(texts_of(*before), std::vector<std::string>{"\"a\""});
    EXPECT_NE(rules.patterns().find("other"), nullptr);
    EXPECT_EQ(next.patterns().find("web")->patterns.size(), 2u);
    EXPECT_NE(before->database, next.patterns().find("web")->database);
    EXPECT_NE(before->content, next.patterns().find("web")->content);
}

TEST(PatternCatalogue, WhatBecomesWhatItWasKeepsItsDatabase) {
    Ruleset rules = with({"web"});
    rules.patterns().add("web", "\"a\"", 1, false);
    ASSERT_TRUE(rules.complete_patterns());
    const auto database = rules.patterns().find("web")->database;
    ASSERT_TRUE(database);
    rules.patterns().destroy("web");
    ASSERT_TRUE(rules.patterns().create("web", {}));
    rules.patterns().add("web", "\"a\"", 7, false);
    ASSERT_TRUE(rules.complete_patterns());
    EXPECT_EQ(rules.patterns().find("web")->database, database);
}

TEST(PatternCatalogue, ReadsByType) {
    Ruleset rules = with({"web"}, {"hosts"});
    const auto read = [&](const char* object, const std::string& typed) {
        const auto text = rules.patterns().read(object, typed);
        return text ? *text : std::to_string(text.error().column) + "!";
    };
    EXPECT_EQ(read("web", "cmd.exe"), "\"cmd.exe\"");
    EXPECT_EQ(read("web", "a\\x20b"), "\"a b\"");
    EXPECT_EQ(read("web", "a\\qb"), "1!");
    EXPECT_EQ(read("web", "\"a\\qb\""), "2!");
    EXPECT_EQ(read("web", "hex:41420a"), "\"AB\\n\"");
    EXPECT_EQ(read("web", "re:/a b/si"), "re:/a b/is");
    // In a file the expression would end at the slash that a blank follows.
    EXPECT_EQ(read("web", "re:/a / b/"), "6!");
    EXPECT_EQ(read("web", "re:/a \\/ b/"), "re:/a \\/ b/");
    EXPECT_EQ(read("hosts", "Example.COM"), "example.com");
    EXPECT_EQ(read("hosts", "\"=Example.COM\""), "=example.com");
    EXPECT_EQ(read("hosts", "exa mple"), "3!");
}

TEST(PatternCatalogue, RulesNameWhatIsThere) {
    Ruleset rules = with({"web"}, {"hosts"});
    const std::string body = "deny tcp from any to any ";
    for (const char* option :
         {"payload web", "payload web,7", "http-uri web", "http-host web", "http-host hosts",
          "tls-sni hosts", "dns-qname hosts", "payload \"a b\"", "tls-sni \"example.com\""})
        EXPECT_EQ(refusal(rules, body + option), "") << option;
    EXPECT_TRUE(refusal(rules, body + "payload no").starts_with("there is no pattern object no;"));
    EXPECT_TRUE(refusal(rules, body + "payload hosts").find("of type names") != std::string::npos);
    EXPECT_TRUE(refusal(rules, body + "http-uri hosts").find("of type names") != std::string::npos);
    EXPECT_TRUE(refusal(rules, body + "http-host \"a b\"").starts_with("bad pattern \"a b\": "));
    EXPECT_EQ(rules.pattern_references("web"), 4u);
    EXPECT_EQ(rules.pattern_references("hosts"), 3u);
    EXPECT_EQ(rules.pattern_references("no"), 0u);
}

TEST(PatternCatalogue, PatternsOfRulesAreInObjectsWithoutAName) {
    Ruleset rules = with({"web"});
    const auto add = [&](const std::string& text) { EXPECT_EQ(refusal(rules, text), "") << text; };
    add("100 deny tcp from any to any payload \"b\"");
    add("200 deny tcp from any to any { payload \"a\" or http-uri \"b\" }");
    add("300 deny tcp from any to any http-host \"Example.com\" tls-sni \"example.com\"");
    ASSERT_TRUE(rules.complete_patterns());
    const auto all = rules.patterns().all();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(texts_of(*all[0]), (std::vector<std::string>{"\"a\"", "\"b\""}));
    EXPECT_EQ(texts_of(*all[1]), std::vector<std::string>{"example.com"});
    EXPECT_EQ(all[2]->name, "web");
    EXPECT_EQ(rules.patterns().literal_value(PatternType::bytes, "\"b\""), 2u);
    EXPECT_EQ(rules.patterns().literal_value(PatternType::bytes, "\"c\""), std::nullopt);
    EXPECT_EQ(rules.patterns().literal_place(PatternType::names), 1u);
    EXPECT_EQ(rules.patterns().place("web"), 2u);
    EXPECT_TRUE(all[0]->database);
    EXPECT_FALSE(all[1]->database);
    EXPECT_FALSE(all[2]->database);  // it has no patterns
    // What changes nothing about them keeps them.
    add("400 deny tcp from any to any payload \"a\"");
    ASSERT_TRUE(rules.complete_patterns());
    EXPECT_EQ(rules.patterns().all()[0], all[0]);
    rules.remove({.first = 100, .last = 400});
    ASSERT_TRUE(rules.complete_patterns());
    EXPECT_EQ(rules.patterns().all().size(), 1u);
    EXPECT_EQ(rules.patterns().literal_place(PatternType::names), std::nullopt);
}

TEST(PatternCatalogue, RulesHaveSoManyPatternsOfTheirOwn) {
    Ruleset rules(false);
    for (int i = 0; i < 257; ++i) {
        ASSERT_TRUE(rules.complete_patterns()) << i;
        ASSERT_TRUE(rules.add(
            rule_of("count tcp from any to any tls-sni \"" + std::to_string(i) + ".example\"")));
    }
    const auto done = rules.complete_patterns();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().message.starts_with("rules have 257 different patterns"))
        << done.error().message;
}

TEST(PatternCatalogue, LoadsFiles) {
    Ruleset rules = with({"web"});
    PatternCatalogue& patterns = rules.patterns();
    patterns.add("web", "\"gone\"", 1, false);
    patterns.add("web", "\"a b\"", 1, false);
    patterns.add("web", "\"same\"", 0, false);
    const auto counts = patterns.load("web", "f",
                                      "# a list\n\n7\ta b\r\nsame\n  re:/x\\s# y/i \n12\t\"q\"\n"
                                      "same\n9\n");
    ASSERT_TRUE(counts) << counts.error().message;
    EXPECT_EQ(counts->patterns, 5u);
    EXPECT_EQ(counts->added, 3u);
    EXPECT_EQ(counts->changed, 1u);
    EXPECT_EQ(counts->removed, 1u);
    EXPECT_EQ(texts_of(*patterns.find("web")),
              (std::vector<std::string>{"\"a b\"", "\"same\"", "re:/x\\s# y/i", "\"q\"", "\"9\""}));
    EXPECT_EQ(patterns.find("web")->patterns[3].value, 12u);
    for (const auto& [content, begin] : std::vector<std::pair<std::string, std::string>>{
             {"a\n7\tb\\q\n", "f:2:4: "},
             {"  \"a\\x4\"\n", "f:1:5: "},
             {"4294967296\ta\n", "f:1:1: value 4294967296 is out of range"},
             {"1\ta\n\n2\ta\n", "f:3:3: the pattern \"a\" stands here with the value 2"}}) {
        const auto loaded = patterns.load("web", "f", content);
        ASSERT_FALSE(loaded) << content;
        EXPECT_TRUE(loaded.error().message.starts_with(begin)) << loaded.error().message;
        EXPECT_EQ(patterns.find("web")->patterns.size(), 5u);
    }
}

TEST(PatternCatalogue, SwapExchangesAllButNames) {
    Ruleset rules(false);
    PatternCatalogue& patterns = rules.patterns();
    ASSERT_TRUE(patterns.create("a", {.depth = 100}));
    ASSERT_TRUE(patterns.create("b", {.mode = contract::PatternMode::stream, .depth = 200}));
    patterns.add("a", "\"x\"", 1, false);
    patterns.add("b", "\"y\"", 2, false);
    ASSERT_TRUE(rules.complete_patterns());
    const auto database = patterns.find("a")->database;
    patterns.swap("a", "b");
    EXPECT_EQ(patterns.find("a")->settings.depth, 200u);
    EXPECT_EQ(patterns.find("a")->name, "a");
    EXPECT_EQ(texts_of(*patterns.find("b")), std::vector<std::string>{"\"x\""});
    EXPECT_EQ(patterns.find("b")->database, database);
}

TEST(PatternCatalogue, ABadExpressionIsNamed) {
    Ruleset rules = with({"web"});
    rules.patterns().add("web", "\"good\"", 0, false);
    rules.patterns().add("web", "re:/(?=a)b/", 0, false);
    const auto done = rules.complete_patterns();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().message.starts_with("pattern object web: re:/(?=a)b/: "))
        << done.error().message;
}

}  // namespace
}  // namespace sluice::ruleset
