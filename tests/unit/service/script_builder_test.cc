#include "controlplane/service/script_builder.h"

#include <gtest/gtest.h>

#include "controlplane/language/rule_parser.h"

namespace sluice::service {
namespace {

Result<std::vector<Operation>> build(std::vector<std::string> arguments, std::uint32_t line = 7) {
    const auto invocation = language::parse_command_line(arguments, language::refusing_resolver());
    EXPECT_TRUE(invocation) << arguments.back();
    return operations_for(invocation->command, invocation->flags, line);
}

TEST(ScriptBuilder, RulesTravelAsCanonicalText) {
    const auto operations = build({"add", "100", "set", "3", "prob", "0.5", "pass", "log", "all",
                                   "from", "1.2.3.4/32", "to", "any", "//", "why"});
    ASSERT_TRUE(operations);
    EXPECT_EQ(operations->at(0).what,
              decltype(Operation::what)(
                  AddOperation{"100 set 3 prob 0.500000 allow log ip from 1.2.3.4 to any // why"}));
    EXPECT_EQ(operations->at(0).line, 7u);
    EXPECT_FALSE(operations->at(0).forgive);
}

TEST(ScriptBuilder, WhatIsSentMeansTheSame) {
    for (const char* text : {"65000 set 31 deny log logamount 5 tcp from any to me 22 in via em0",
                             "count { ip4 or ip6 } from not 10.0.0.0/8 to any { in or frag }"}) {
        const auto rule = language::parse_rule(text, language::refusing_resolver());
        ASSERT_TRUE(rule) << text;
        const auto again = language::parse_rule(rule_text(*rule), language::refusing_resolver());
        ASSERT_TRUE(again) << rule_text(*rule);
        EXPECT_EQ(*again, *rule);
    }
}

TEST(ScriptBuilder, RecordsOfManyLinesAreOneOperation) {
    Operation first = build({"table", "t", "add", "10.0.0.1", "1"}, 3)->at(0);
    Operation second = build({"table", "t", "add", "10.0.0.2", "2", "10.0.0.3", "3"}, 5)->at(0);
    ASSERT_TRUE(join(first, second));
    const auto& joined = std::get<TableOperation>(first.what);
    EXPECT_EQ(joined.lines, (std::vector<std::uint32_t>{3, 5, 5}));
    ASSERT_EQ(joined.command.records.size(), 3u);
    EXPECT_EQ(joined.command.records[2].key, "10.0.0.3");
    const Request request{.whole = true, .brief = false, .operations = {first}};
    EXPECT_EQ(*decode_request(encode(request)), request);
    for (const std::vector<std::string>& other :
         {std::vector<std::string>{"table", "u", "add", "10.0.0.4", "4"},
          {"table", "t", "delete", "10.0.0.4"},
          {"table", "t", "add", "10.0.0.4", "4", "ttl", "5"},
          {"table", "t", "atomic", "add", "10.0.0.4", "4"},
          {"-q", "table", "t", "add", "10.0.0.4", "4"},
          {"table", "t", "flush"},
          {"add", "100", "allow", "ip", "from", "any", "to", "any"}}) {
        Operation next = build(other, 6)->at(0);
        EXPECT_FALSE(join(first, next)) << other.back();
    }
    EXPECT_EQ(joined.lines.size(), 3u);
}

TEST(ScriptBuilder, QuietAndForceForgive) {
    EXPECT_TRUE(build({"-q", "delete", "100"})->at(0).forgive);
    EXPECT_TRUE(build({"-f", "delete", "100"})->at(0).forgive);
    EXPECT_FALSE(build({"delete", "100"})->at(0).forgive);
}

TEST(ScriptBuilder, EachTargetOfAListIsAnOperation) {
    EXPECT_EQ(build({"list"})->size(), 1u);
    EXPECT_EQ(build({"list", "100", "x", "200-300"}, 0)->size(), 2u);
    EXPECT_EQ(build({"list", "x"}, 0)->size(), 0u);
    const auto in_file = build({"list", "100", "x"});
    ASSERT_FALSE(in_file);
    EXPECT_EQ(in_file.error().status, ExitStatus::usage);
}

TEST(ScriptBuilder, ListsWithStates) {
    const auto list = [](std::vector<std::string> arguments) {
        return std::get<ListOperation>(build(std::move(arguments))->at(0).what);
    };
    EXPECT_EQ(list({"list"}).states, ListedStates::none);
    EXPECT_EQ(list({"-d", "list"}).states, ListedStates::current);
    EXPECT_FALSE(list({"-d", "list"}).without_rules);
    EXPECT_EQ(list({"-de", "show"}).states, ListedStates::expired_too);
    EXPECT_EQ(list({"-D", "list", "100"}).states, ListedStates::current);
    EXPECT_TRUE(list({"-D", "list", "100"}).without_rules);
    EXPECT_EQ(list({"-e", "list"}).states, ListedStates::none);
}

TEST(ScriptBuilder, DeletingStatesOnlyLeavesTheRules) {
    const auto operations = build({"-D", "delete", "100", "200-300"});
    ASSERT_TRUE(operations);
    ASSERT_EQ(operations->size(), 2u);
    const auto& kill = std::get<StateOperation>(operations->at(1).what);
    EXPECT_EQ(kill.kind, StateOperation::Kind::kill);
    EXPECT_EQ(kill.filter.rules, (language::RuleRange{200, 300}));
    const auto set = build({"-D", "delete", "set", "5"});
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().status, ExitStatus::usage);
}

TEST(ScriptBuilder, Sets) {
    EXPECT_EQ(build({"set", "show"})->at(0).what, decltype(Operation::what)(ShowSetsOperation{}));
    EXPECT_EQ(build({"set", "disable", "5", "enable", "6"})->at(0).what,
              decltype(Operation::what)(
                  language::SetEnableCommand{.enable = 1u << 6, .disable = 1u << 5}));
}

TEST(ScriptBuilder, SysctlsAreOperationsOfTheirOwn) {
    const auto operations = build({"sysctl", "-w", "net.inet.ip.fw.verbose=1"});
    ASSERT_EQ(operations->size(), 1u);
    EXPECT_EQ(operations->at(0).what,
              decltype(Operation::what)(WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"}));
    EXPECT_EQ(build({"sysctl", "-a"})->size(), 1u);
    EXPECT_EQ(build({"enable", "verbose"})->at(0).what,
              decltype(Operation::what)(WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"}));
}

TEST(ScriptBuilder, SetsAreMovedAndSwapped) {
    EXPECT_EQ(build({"set", "swap", "1", "2"})->at(0).what,
              decltype(Operation::what)(language::SetSwapCommand{.first = 1, .second = 2}));
    EXPECT_EQ(
        build({"set", "move", "rule", "700", "to", "2"})->at(0).what,
        decltype(Operation::what)(language::SetMoveCommand{.by_rule = true, .what = 700, .to = 2}));
}

TEST(ScriptBuilder, WhatTheApplianceDoesNotHaveIsRefusedByName) {
    const std::vector<std::vector<std::string>> commands = {{"pipe", "1", "config"}};
    for (const auto& command : commands) {
        const auto operations = build(command);
        ASSERT_FALSE(operations) << command[0];
        EXPECT_EQ(operations.error().status, ExitStatus::unavailable);
        EXPECT_TRUE(operations.error().message.starts_with("not supported yet: "));
    }
}

}  // namespace
}  // namespace sluice::service
