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

TEST(FollowCommand, CapturesAndLiveTraces) {
    using Kind = service::FollowOperation::Kind;
    ASSERT_TRUE(is_follow_command(Words{"capture"}));
    ASSERT_TRUE(is_follow_command(Words{"trace", "--live"}));
    EXPECT_FALSE(is_follow_command(Words{"trace", "in em0 tcp"}));
    const auto capture =
        parse_follow_command(Words{"capture", "--rule", "100", "-s", "96", "-c", "2", "-w", "-"});
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->operation.kind, Kind::packets);
    EXPECT_EQ(capture->operation.filter.rule_number, 100);
    EXPECT_EQ(capture->operation.snap_length, 96u);
    EXPECT_EQ(capture->file, "-");
    const auto live = parse_follow_command(Words{"trace", "in", "--live", "--json"});
    ASSERT_TRUE(live) << live.error().message;
    EXPECT_EQ(live->operation.kind, Kind::traces);
    EXPECT_EQ(live->operation.filter.way, contract::WantedWay::in);
    EXPECT_EQ(live->operation.form, service::FollowOperation::Form::json);
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
        {{"tail", "-c", "0"}, ExitStatus::data, "expected a number from 1 on"},
        {{"tail", "-w", "x"}, ExitStatus::usage, "unexpected word \"-w\""},
        {{"capture", "-c", "1"}, ExitStatus::usage, "-w is missing"},
        {{"capture", "--json", "-w", "x"}, ExitStatus::usage, "usage: ipfw capture"},
        {{"capture", "-s", "1921", "-w", "x"}, ExitStatus::data, "1 to 1920"},
        {{"trace", "--live", "x"}, ExitStatus::usage, "usage: ipfw trace --live"},
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
