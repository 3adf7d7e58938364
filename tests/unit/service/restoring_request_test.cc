#include "controlplane/service/restoring_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/compiler/support.h"
#include "controlplane/language/construct.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset_text.h"
#include "controlplane/ruleset/table_text.h"
#include "controlplane/service/script.h"

namespace sluice::service {
namespace {

using ruleset::Ruleset;

Ruleset restored(const std::string& text, const Ruleset& onto = Ruleset(false)) {
    const Result<Request> request =
        restoring_request(text, 0, std::as_const(onto).tables(), ApplyOrder());
    EXPECT_TRUE(request) << request.error().message;
    const auto outcome = run_script(*request, onto, [](std::uint32_t) { return RuleTotals(); });
    EXPECT_TRUE(outcome) << outcome.error().line << ": " << outcome.error().error.message;
    return outcome ? outcome->ruleset : onto;
}

void add(Ruleset& rules, const std::string& text, std::uint16_t number = 0, std::uint8_t set = 0) {
    auto rule = language::parse_rule(text, language::refusing_resolver());
    ASSERT_TRUE(rule) << text;
    rule->number = number;
    rule->set = set;
    const auto added = rules.add(std::move(*rule));
    EXPECT_TRUE(added) << text;
}

// Whatever a rule may say comes back from the text of its ruleset, byte for byte.
TEST(RestoringRequest, EveryConstructComesBack) {
    unsigned count = 0;
    for (const auto& construct : language::all_constructs()) {
        auto rule = language::parse_rule(construct.example, language::refusing_resolver());
        if (!rule || compiler::unsupported(*rule))
            continue;
        Ruleset rules(false);
        if (!rules.add(std::move(*rule)))
            continue;
        const std::string text = ruleset::ruleset_text(rules);
        EXPECT_EQ(ruleset::ruleset_text(restored(text)), text) << construct.example;
        ++count;
    }
    EXPECT_GT(count, 100u);
}

TEST(RestoringRequest, PatternObjectsComeBack) {
    Ruleset rules(false);
    ruleset::PatternCatalogue& patterns = rules.patterns();
    ASSERT_TRUE(patterns.create("web", {.mode = contract::PatternMode::stream,
                                        .direction = contract::PatternDirection::reverse,
                                        .depth = 77,
                                        .ignore_case = true}));
    ASSERT_TRUE(patterns.create("hosts", {.type = contract::PatternType::names}));
    ASSERT_TRUE(patterns.create("empty", {}));
    for (const char* typed :
         {"cmd.exe", R"("a b # c // d")", R"(re:/x\/ y # z\//im)", R"("\x00\xff\"")", "hex:0a"}) {
        const auto text = patterns.read("web", typed);
        ASSERT_TRUE(text) << typed << ": " << text.error().message;
        patterns.add("web", *text, 7, false);
    }
    patterns.add("web", "\"" + std::string(4000, 'x') + "\"", 4294967295u, false);
    for (int i = 0; i < 300; ++i)
        patterns.add("hosts", std::to_string(i) + ".example", i % 3, false);
    patterns.add("hosts", "5", 0, false);
    add(rules, "deny tcp from any to any payload web");
    add(rules, "deny tcp from any to any payload \"a # b\" tls-sni hosts,1");
    const std::string text = ruleset::ruleset_text(rules);
    Ruleset onto(false);
    ASSERT_TRUE(onto.patterns().create("gone", {}));
    ASSERT_TRUE(onto.patterns().create("web", {.type = contract::PatternType::names}));
    onto.patterns().add("web", "old.example", 1, false);
    for (const Ruleset& back : {restored(text), restored(text, onto)}) {
        EXPECT_EQ(ruleset::ruleset_text(back), text);
        EXPECT_EQ(back.patterns().find("gone"), nullptr);
        ASSERT_NE(back.patterns().find("web"), nullptr);
        EXPECT_EQ(back.patterns().find("web")->settings, patterns.find("web")->settings);
        EXPECT_EQ(back.patterns().find("web")->patterns.size(), 6u);
        EXPECT_EQ(back.patterns().find("hosts")->patterns.size(), 301u);
    }
    // They are policy: what they look for decides about packets.
    Ruleset other = rules;
    other.patterns().add("hosts", "new.example", 0, false);
    EXPECT_NE(ruleset::policy_hash(ruleset::ruleset_text(other)), ruleset::policy_hash(text));
}

TEST(RestoringRequest, NumbersSetsAndSysctlsComeBack) {
    Ruleset rules(false);
    add(rules, "count log tcp from any to any");  // without a limit
    rules.sysctls().verbose_limit = 7;
    rules.sysctls().dyn_max = 1234567;
    rules.sysctls().autoinc_step = 10;
    add(rules, "count log udp from any to any");
    add(rules, "allow ip from any to any // a comment", 5, 31);
    add(rules, "deny ip from any to any", 5, 4);
    add(rules, "skipto 60000 ip from any to any", 65534);
    rules.switch_sets(0, 1u << 4 | 1u << 30);
    const std::string text = ruleset::ruleset_text(rules);
    EXPECT_THAT(text, testing::HasSubstr("add 5 set 4 deny ip from any to any\n"));
    const Ruleset again = restored(text);
    EXPECT_EQ(ruleset::ruleset_text(again), text);
    EXPECT_EQ(again.disabled_sets(), rules.disabled_sets());
    EXPECT_EQ(again.sysctls().dyn_max, 1234567u);
    ASSERT_EQ(again.rules().size(), 5u);
    EXPECT_EQ(again.rules()[2]->log_limit, 0u);
    EXPECT_EQ(again.rules()[3]->log_limit, 7u);
    // Whatever else was there is gone.
    Ruleset other(false);
    add(other, "allow ip from any to any", 1, 31);
    other.switch_sets(0, 2);
    other.sysctls().dyn_udp_lifetime = 77;
    EXPECT_EQ(ruleset::ruleset_text(restored(text, other)), text);
}

TEST(RestoringRequest, RulesThatStayAreTheSameRules) {
    Ruleset rules(false);
    add(rules, "count ip from any to any", 10);
    add(rules, "count log ip from any to any", 20);
    const std::string text = ruleset::ruleset_text(rules);
    add(rules, "deny ip from any to any", 15);
    rules.published();
    const Ruleset again = restored(text, rules);
    ASSERT_EQ(again.rules().size(), 2u);
    EXPECT_EQ(again.rules()[0]->slot, rules.rules()[0]->slot);
    EXPECT_EQ(again.rules()[1]->slot, rules.rules()[2]->slot);
    EXPECT_EQ(again.rules()[1]->id, rules.rules()[2]->id);
}

void table(Ruleset& rules, const std::string& name, contract::TableType type) {
    ASSERT_TRUE(rules.tables().create(name, type));
}

TEST(RestoringRequest, TablesThatAreMissingComeBack) {
    Ruleset rules(false);
    table(rules, "here", contract::TableType::addr);
    table(rules, "gone", contract::TableType::flow);
    rules.tables().change("gone").limit = 9;
    rules.tables().change("gone").locked = 1;
    add(rules, "count ip from table(here) to any", 10);
    const std::string text = ruleset::ruleset_text(rules, [&](const contract::TableDescriptor& each,
                                                              std::string& lines) {
        const bool address = each.type == contract::TableType::addr;
        const auto key = ruleset::parse_table_key(
            each, address ? "10.0.0.0/8" : "10.0.0.1,tcp,1024,10.0.0.2,80");
        lines += ruleset::entry_line(each, *key, {}, 0);
        lines += ruleset::entry_line(
            each,
            *ruleset::parse_table_key(each, address ? "10.1.0.0/16" : "10.0.0.9,tcp,1,10.0.0.2,80"),
            {}, 100);
    });
    Ruleset now(false);
    table(now, "here", contract::TableType::addr);
    const auto verbs = [&](std::uint64_t age_s) {
        const Result<Request> request =
            restoring_request(text, age_s, std::as_const(now).tables(), ApplyOrder());
        EXPECT_TRUE(request) << request.error().message;
        std::vector<std::string> result;
        for (const Operation& operation : request->operations)
            if (const auto* each = std::get_if<TableOperation>(&operation.what)) {
                std::string line = each->command.table + " " +
                                   std::to_string(static_cast<int>(each->command.verb));
                for (const auto& record : each->command.records)
                    line += " " + record.key;
                line += each->command.ttl_s ? " ttl " + std::to_string(*each->command.ttl_s) : "";
                result.push_back(line);
            }
        return result;
    };
    using Verb = language::TableCommand::Verb;
    const auto of = [](Verb verb) { return "gone " + std::to_string(static_cast<int>(verb)); };
    std::vector<std::string> expected = {of(Verb::create),
                                         of(Verb::unlock),
                                         of(Verb::modify),
                                         of(Verb::add) + " 10.0.0.1,6,1024,10.0.0.2,80",
                                         of(Verb::add) + " 10.0.0.9,6,1,10.0.0.2,80 ttl 60",
                                         of(Verb::lock)};
    EXPECT_EQ(verbs(40), expected);
    expected.erase(expected.begin() + 4);  // its time is over
    EXPECT_EQ(verbs(100), expected);
    const Ruleset again = restored(text, now);
    EXPECT_EQ(std::as_const(again).tables().find("gone")->limit, 9u);
    EXPECT_EQ(std::as_const(again).tables().find("gone")->locked, 1);
    EXPECT_EQ(ruleset::policy_hash(ruleset::ruleset_text(again)), ruleset::policy_hash(text));
}

TEST(RestoringRequest, WhatCannotBeReadIsRefusedWithItsLine) {
    const ruleset::TableCatalogue none;
    for (const char* line : {"dance", "sysctl", "table T create type colour", "nat 1 config"}) {
        const auto request =
            restoring_request("# a comment\n\n" + std::string(line) + "\n", 0, none, ApplyOrder());
        ASSERT_FALSE(request) << line;
        EXPECT_THAT(request.error().message, testing::StartsWith("line 3: ")) << line;
    }
}

TEST(RulesetText, ThePolicyIsAllButTables) {
    Ruleset rules(false);
    add(rules, "count ip from any to any", 10);
    const std::uint64_t policy = ruleset::policy_hash(ruleset::ruleset_text(rules));
    table(rules, "T", contract::TableType::addr);
    rules.tables().change("T").set = 5;
    EXPECT_EQ(ruleset::policy_hash(ruleset::ruleset_text(rules)), policy);
    EXPECT_EQ(ruleset::policy_hash("# comment\n" + ruleset::ruleset_text(rules)), policy);
    Ruleset other = rules;
    other.sysctls().verbose = 1;
    EXPECT_NE(ruleset::policy_hash(ruleset::ruleset_text(other)), policy);
    other = rules;
    other.switch_sets(0, 2);
    EXPECT_NE(ruleset::policy_hash(ruleset::ruleset_text(other)), policy);
    add(rules, "count ip from any to any", 10);
    EXPECT_NE(ruleset::policy_hash(ruleset::ruleset_text(rules)), policy);
    EXPECT_EQ(ruleset::rules_in(ruleset::ruleset_text(rules)).size(), 2u);
}

// The check value of CRC-64/XZ.
TEST(RulesetText, ChecksumIsThatOfTheStandard) {
    EXPECT_EQ(ruleset::checksum("123456789"), 0x995dc9bbdf1939fau);
    EXPECT_EQ(ruleset::checksum("6789", ruleset::checksum("12345")), 0x995dc9bbdf1939fau);
}

}  // namespace
}  // namespace sluice::service
