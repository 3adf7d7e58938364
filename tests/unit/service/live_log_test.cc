#include "controlplane/service/live_log.h"

#include <gtest/gtest.h>

namespace sluice::service {
namespace {

// A client that takes what it is told to have room for.
class FakeStream final : public Stream {
  public:
    bool there() const override { return is_there; }
    std::size_t room() const override { return bytes; }
    bool send(const StreamPiece& piece) override {
        if (bytes == 0)
            return false;
        pieces.push_back(piece);
        return true;
    }

    bool is_there = true;
    std::size_t bytes = 1000;
    std::vector<StreamPiece> pieces;
};

void log(LiveLog& live, const std::string& line) {
    live.take({.line = line, .time_ms = 0});
}

TEST(LiveLog, LinesGoToAllInOnePiece) {
    LiveLog live;
    const auto one = std::make_shared<FakeStream>(), two = std::make_shared<FakeStream>();
    live.add({}, one);
    live.add({.form = FollowOperation::Form::json}, two);
    live.flush();
    EXPECT_TRUE(one->pieces.empty());
    log(live, "ipfw: first");
    log(live, "ipfw: second");
    EXPECT_TRUE(one->pieces.empty());
    live.flush();
    ASSERT_EQ(one->pieces.size(), 1u);
    ASSERT_EQ(one->pieces[0].lines.size(), 2u);
    EXPECT_TRUE(one->pieces[0].lines[0].ends_with(" ipfw: first"));
    ASSERT_EQ(two->pieces.size(), 1u);
    EXPECT_TRUE(two->pieces[0].lines[1].starts_with("{\"schema\":\"sluice/log/1\""));
}

TEST(LiveLog, WhatASlowClientLosesIsCountedAndTold) {
    LiveLog live;
    const auto slow = std::make_shared<FakeStream>();
    slow->bytes = 0;
    live.add({}, slow);
    for (int i = 0; i < 10; ++i)
        log(live, "ipfw: lost");
    live.flush();
    EXPECT_EQ(live.lost(), 10u);
    slow->bytes = 200;  // room for a few
    live.flush();
    ASSERT_EQ(slow->pieces.size(), 1u);
    EXPECT_EQ(slow->pieces[0].lost, 10u);
    for (int i = 0; i < 100; ++i)
        log(live, "ipfw: some of these");
    live.flush();
    ASSERT_EQ(slow->pieces.size(), 2u);
    EXPECT_GT(slow->pieces[1].lines.size(), 0u);
    EXPECT_EQ(slow->pieces[1].lines.size() + slow->pieces[1].lost, 100u);
    EXPECT_EQ(live.lost(), 10 + slow->pieces[1].lost);
}

TEST(LiveLog, WhoHasGoneIsForgotten) {
    LiveLog live;
    const auto stream = std::make_shared<FakeStream>();
    live.add({}, stream);
    stream->is_there = false;
    live.flush();
    EXPECT_EQ(live.size(), 0u);
    EXPECT_EQ(stream.use_count(), 1);
}

}  // namespace
}  // namespace sluice::service
