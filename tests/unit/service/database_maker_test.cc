// Patterns that take long to compile, and a controller that goes on meanwhile.
#include "controlplane/service/database_maker.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "controlplane/service/controller.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using contract::PatternMode;

patterns::DatabaseOrder order(const std::string& pattern) {
    return {.mode = PatternMode::packet, .ignore_case = false, .patterns = {pattern}};
}

class DatabaseMakerTest : public testing::Test {
  protected:
    DatabaseMakerTest()
        : loop_(std::move(*EventLoop::create())), maker_(std::move(*DatabaseMaker::start())) {
        char name[] = "/tmp/sluice-maker-XXXXXX";
        folder_ = mkdtemp(name);
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock",
                                                     FakeDataplane::Behaviour{});
        controller_ = std::make_unique<Controller>(
            *loop_,
            ControllerOptions{.dataplane_socket = folder_ + "/dp.sock", .databases = maker_.get()},
            log_writer_, [](const std::string&) {});
        controller_->start();
        EXPECT_TRUE(wait_for(*loop_, [&] { return controller_->generation() == 1; }));
    }
    ~DatabaseMakerTest() override {
        controller_.reset();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    using Answer = std::shared_ptr<std::optional<Response>>;

    template <typename... What>
    Answer submit(What... what) {
        Request request{.whole = sizeof...(what) > 1, .operations = {}};
        (request.operations.push_back({.line = 0, .forgive = false, .what = what}), ...);
        auto answer = std::make_shared<std::optional<Response>>();
        controller_->submit(std::move(request), [answer](const Response& r) { *answer = r; });
        return answer;
    }
    Response wait(const Answer& answer) {
        EXPECT_TRUE(wait_for(*loop_, [&] { return answer->has_value(); }));
        return answer->value_or(Response{});
    }

    static PatternOperation pattern(language::PatternCommand::Verb verb,
                                    const std::string& text = {}) {
        PatternOperation operation;
        operation.command.verb = verb;
        operation.command.object = "web";
        if (!text.empty())
            operation.command.entries = {{.pattern = text, .value = {}}};
        return operation;
    }

    std::string folder_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<DatabaseMaker> maker_;
    log::LogWriter log_writer_{{}};
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<Controller> controller_;
};

TEST(DatabaseMaker, TellsWhatBecameOfEach) {
    const auto maker = DatabaseMaker::start();
    ASSERT_TRUE(maker);
    EXPECT_FALSE((*maker)->take());
    (*maker)->begin({order("\"one pattern\""), order("re:/a(?=b)/")});
    std::optional<std::vector<DatabaseMaker::Made>> made;
    while (!made)
        made = (*maker)->take();
    ASSERT_EQ(made->size(), 2u);
    ASSERT_TRUE((*made)[0]);
    EXPECT_EQ((*(*made)[0])->content, patterns::content_hash(order("\"one pattern\"")));
    ASSERT_FALSE((*made)[1]);
    EXPECT_EQ((*made)[1].error().pattern, 0u);
}

TEST_F(DatabaseMakerTest, ReadersNeedNotWait) {
    using Verb = language::PatternCommand::Verb;
    const Answer change = submit(pattern(Verb::create), pattern(Verb::add, "re:/first.*second/"),
                                 AddOperation{"100 deny tcp from any to any payload web"});
    const Answer next = submit(AddOperation{"200 allow ip from any to any"});
    EXPECT_FALSE(*change) << "it waits for its patterns";
    const Answer listing = submit(ListOperation{});
    ASSERT_TRUE(*listing) << "who only reads does not";
    EXPECT_EQ((*listing)->results.at(0).rules.size(), 1u) << "as it was";
    EXPECT_EQ(wait(change).status, ExitStatus::ok);
    EXPECT_EQ(wait(next).status, ExitStatus::ok);
    EXPECT_EQ(controller_->generation(), 3u);
    EXPECT_EQ(controller_->ruleset().size(), 2u);
}

TEST_F(DatabaseMakerTest, OrdersNeedNotWait) {
    using Verb = language::PatternCommand::Verb;
    const Answer change = submit(pattern(Verb::create), pattern(Verb::add, "re:/x.{9000}y/"));
    const Answer kill = submit(StateOperation{.kind = StateOperation::Kind::kill, .filter = {}});
    EXPECT_EQ(wait(kill).status, ExitStatus::ok);
    EXPECT_FALSE(*change) << "that takes a quarter of a second to compile";
    EXPECT_EQ(wait(change).status, ExitStatus::ok);
    EXPECT_NE(controller_->ruleset().patterns().find("web"), nullptr);
}

TEST_F(DatabaseMakerTest, WhatCannotBeCompiledChangesNothing) {
    using Verb = language::PatternCommand::Verb;
    const Response refused = wait(submit(pattern(Verb::create), pattern(Verb::add, "re:/a(?=b)/"),
                                         AddOperation{"100 deny tcp from any to any payload web"}));
    EXPECT_EQ(refused.status, ExitStatus::data);
    EXPECT_EQ(controller_->generation(), 1u);
    EXPECT_EQ(controller_->ruleset().patterns().find("web"), nullptr);
}

}  // namespace
}  // namespace sluice::service
