#include "controlplane/cli/follow_command.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;

TEST(FollowCommand, AllWords) {
    ASSERT_TRUE(is_follow_command(Words{"tail"}));
    EXPECT_FALSE(is_follow_command(Words{"list", "tail"}));
    EXPECT_FALSE(is_follow_command(Words{}));
    const auto command =
        parse_follow_command(Words{"tail", "rule", "100", "host", "10.0.0.0/8", "port", "http",
                                   "proto", "tcp", "out", "deny", "-c", "3", "--json"});
    ASSERT_TRUE(command) << command.error().message;
    contract::PacketFilter filter{.ip_version = 4,
                                  .prefix_length = 8,
                                  .protocol = 6,
                                  .has_protocol = 1,
                                  .port = 80,
                                  .rule_number = 100,
                                  .way = contract::WantedWay::out,
                                  .fate = contract::Fate::deny};
    filter.address.bytes[0] = 10;
    EXPECT_EQ(command->operation.filter, filter);
    EXPECT_EQ(command->operation.form, service::FollowOperation::Form::json);
    EXPECT_EQ(command->most, 3u);
    EXPECT_EQ(*parse_follow_command(Words{"tail"}), FollowCommand());
}

TEST(FollowCommand, MistakesAreNamed) {
    struct Bad {
        Words words;
        ExitStatus status;
        const char* text;
    };
    const Bad bad[] = {
        {{"tail", "hots", "1"}, ExitStatus::usage, "unexpected word \"hots\"; usage: ipfw tail"},
        {{"tail", "in", "out"}, ExitStatus::usage, "unexpected word \"out\""},
        {{"tail", "port", "1", "port", "2"}, ExitStatus::usage, "\"port\" was already given"},
        {{"tail", "rule"}, ExitStatus::usage, "missing argument of rule; expected a rule number"},
        {{"tail", "rule", "0"}, ExitStatus::data, "bad argument \"0\" of rule; expected a rule"},
        {{"tail", "host", "::/129"}, ExitStatus::data, "expected an address"},
        {{"tail", "proto", "nope"}, ExitStatus::data, "expected the name or number of a protocol"},
        {{"tail", "-c", "0"}, ExitStatus::data, "expected a number of lines from 1 on"},
    };
    for (const Bad& one : bad) {
        const auto command = parse_follow_command(one.words);
        ASSERT_FALSE(command) << one.text;
        EXPECT_EQ(command.error().status, one.status) << one.text;
        EXPECT_NE(command.error().message.find(one.text), std::string::npos)
            << command.error().message;
    }
}

}  // namespace
}  // namespace sluice::cli
