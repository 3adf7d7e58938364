#include "controlplane/cli/state_command.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;
using Kind = service::StateOperation::Kind;

StateCommand parsed(const Words& words) {
    EXPECT_TRUE(is_state_command(words));
    const auto command = parse_state_command(words);
    EXPECT_TRUE(command) << command.error().text();
    return command ? *command : StateCommand();
}

TEST(StateCommand, IsToldFromOtherCommands) {
    EXPECT_TRUE(is_state_command(Words{"state"}));
    EXPECT_TRUE(is_state_command(Words{"-q", "-f", "state", "kill"}));
    EXPECT_FALSE(is_state_command(Words{"list", "state"}));
    EXPECT_FALSE(is_state_command(Words{"-q"}));
    EXPECT_FALSE(is_state_command(Words{}));
}

TEST(StateCommand, AllFilters) {
    const StateCommand command =
        parsed({"-q", "state", "kill", "host", "2001:db8::/33", "port", "http", "proto", "udp",
                "rule", "100", "name", ":web", "age", "60", "--json"});
    EXPECT_TRUE(command.force && command.quiet && command.json);
    EXPECT_EQ(command.operation.kind, Kind::kill);
    const service::StateFilter expected{.address = *parse_ipv6("2001:db8::"),
                                        .prefix_length = 33,
                                        .protocol = 17,
                                        .port = 80,
                                        .rules = language::RuleRange{100, 100},
                                        .name = "web",
                                        .minimum_age_s = 60};
    EXPECT_EQ(command.operation.filter, expected);
    const StateCommand one =
        parsed({"-f", "state", "list", "host", "10.0.0.1", "port", "53", "proto", "0"});
    EXPECT_TRUE(one.force);
    EXPECT_FALSE(one.quiet);
    EXPECT_EQ(one.operation.filter.prefix_length, 32);
    EXPECT_EQ(one.operation.filter.port, 53);
    EXPECT_EQ(one.operation.filter.protocol, 0);
    EXPECT_EQ(parsed({"state", "count"}).operation.filter, service::StateFilter());
}

TEST(StateCommand, MistakesAreNamedWithTheirColumn) {
    struct Bad {
        Words words;
        ExitStatus status;
        const char* text;
    };
    const Bad bad[] = {
        {{"state"}, ExitStatus::usage, "column 7: missing word after state"},
        {{"state", "show"}, ExitStatus::usage, "column 7: unknown state command \"show\""},
        {{"-a", "state", "list"}, ExitStatus::usage, "column 1: unknown flag \"-a\""},
        {{"state", "list", "hots", "1"}, ExitStatus::usage, "column 12: unknown word \"hots\""},
        {{"state", "list", "host"}, ExitStatus::usage, "column 17: missing argument of host"},
        {{"state", "list", "rule", "1", "rule", "2"},
         ExitStatus::usage,
         "column 19: \"rule\" was already given"},
        {{"state", "list", "host", "1.2.3"}, ExitStatus::data, "column 17: bad argument \"1.2.3\""},
        {{"state", "list", "host", "1.2.3.4/33"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "host", "1.2.3.4/"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "port", "0"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "port", "65536"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "proto", "nonsense"}, ExitStatus::data, "column 18: bad argument"},
        {{"state", "list", "rule", "0"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "name", ":any"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "name", "a b"}, ExitStatus::data, "column 17: bad argument"},
        {{"state", "list", "age", "-1"}, ExitStatus::data, "column 16: bad argument"},
    };
    for (const Bad& one : bad) {
        const auto command = parse_state_command(one.words);
        ASSERT_FALSE(command) << one.text;
        EXPECT_EQ(command.error().status, one.status) << one.text;
        EXPECT_TRUE(command.error().text().starts_with(one.text)) << command.error().text();
    }
}

}  // namespace
}  // namespace sluice::cli
