// What becomes of tables when one of the processes is restarted.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "controlplane/service/controller.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;
using Strings = std::vector<std::string>;
using Verb = language::TableCommand::Verb;

class TableRestartTest : public testing::Test {
  protected:
    TableRestartTest() : loop_(std::move(*EventLoop::create())), log_writer_({}) {
        char name[] = "/tmp/sluice-ctl-XXXXXX";
        folder_ = mkdtemp(name);
        start_dataplane();
        start_controller();
    }
    ~TableRestartTest() override {
        controller_.reset();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start_dataplane() {
        dataplane_.reset();
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock");
    }
    void start_controller() {
        controller_.reset();
        controller_ =
            std::make_unique<Controller>(*loop_,
                                         ControllerOptions{.dataplane_socket = folder_ + "/dp.sock",
                                                           .answer_timeout = milliseconds(2000)},
                                         log_writer_, [](const std::string&) {});
        controller_->start();
        ASSERT_TRUE(wait([&] { return controller_->generation() >= 1; }));
    }

    template <typename Condition>
    bool wait(Condition condition) {
        return wait_for(*loop_, condition);
    }

    template <typename What>
    Response run(What what) {
        Request request;
        request.operations.push_back({.line = 0, .forgive = false, .what = what});
        std::optional<Response> answer;
        controller_->submit(std::move(request), [&](const Response& r) { answer = r; });
        EXPECT_TRUE(wait([&] { return answer.has_value(); }));
        return answer.value_or(Response{});
    }
    Response table(Verb verb, const std::string& name,
                   std::vector<language::TableRecord> records = {}) {
        TableOperation operation;
        operation.command.verb = verb;
        operation.command.table = name;
        operation.command.records = std::move(records);
        return run(operation);
    }
    Strings listed(const std::string& name) {
        const Response response = table(Verb::list, name);
        return response.results.empty() ? Strings{response.message} : response.results[0].lines;
    }

    std::unique_ptr<EventLoop> loop_;
    log::LogWriter log_writer_;
    std::string folder_;
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<Controller> controller_;
};

const Strings kFilled = {"--- table(7), set(0) ---", "10.0.0.0/8 5", "2001:db8::/32 6"};

TEST_F(TableRestartTest, ANewControlPlaneFindsTablesAndGoesOn) {
    table(Verb::add, "7", {{"10.0.0.0/8", "5"}, {"2001:db8::/32", "6"}});
    run(AddOperation{"100 deny ip from table(7) to any"});
    start_controller();
    EXPECT_EQ(listed("7"), kFilled);
    EXPECT_EQ(table(Verb::destroy, "7").results[0].status, ExitStatus::os);
    EXPECT_EQ(table(Verb::add, "8", {{"10.0.0.0/8", ""}}).results[0].status, ExitStatus::ok);
    EXPECT_EQ(listed("7"), kFilled);
}

TEST_F(TableRestartTest, ADataPlaneThatWasRestartedGetsThemBack) {
    table(Verb::add, "7", {{"10.0.0.0/8", "5"}, {"2001:db8::/32", "6"}, {"11.0.0.0/8", ""}});
    run(AddOperation{"100 deny ip from table(7) to any recv table(mine)"});
    table(Verb::remove, "7", {{"11.0.0.0/8", ""}});
    start_dataplane();
    ASSERT_TRUE(wait([&] { return dataplane_->generation() != 0; }));
    EXPECT_EQ(listed("7"), kFilled);
    EXPECT_EQ(listed("mine"), Strings{"--- table(mine), set(0) ---"});
}

// The image that it asks for when it has taken over is what is given back.
TEST_F(TableRestartTest, BothCanBeRestartedInTurn) {
    table(Verb::add, "7", {{"10.0.0.0/8", "5"}, {"2001:db8::/32", "6"}});
    start_controller();
    EXPECT_EQ(listed("7"), kFilled);
    table(Verb::add, "7", {{"11.0.0.0/8", "1"}});
    table(Verb::remove, "7", {{"11.0.0.0/8", ""}});
    start_dataplane();
    ASSERT_TRUE(wait([&] { return dataplane_->generation() != 0; }));
    EXPECT_EQ(listed("7"), kFilled);
}

TEST_F(TableRestartTest, WhatTheDataPlaneRefusesIsToldAndNotKept) {
    table(Verb::add, "7", {{"10.0.0.0/8", "5"}, {"2001:db8::/32", "6"}});
    dataplane_->behaviour.refuse_tables_with = "no room";
    const Response response = table(Verb::add, "9", {{"10.0.0.0/8", ""}});
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_NE(response.message.find("no room"), std::string::npos) << response.message;
    dataplane_->behaviour.refuse_tables_with.clear();
    EXPECT_EQ(table(Verb::list, "9").results[0].status, ExitStatus::os);
    EXPECT_EQ(listed("7"), kFilled);
}

TEST_F(TableRestartTest, RulesThatAreRefusedChangeNoTable) {
    dataplane_->behaviour.reject_with = "not today";
    Request request{.whole = true, .operations = {}};
    TableOperation add;
    add.command.verb = Verb::add;
    add.command.table = "7";
    add.command.records = {{"10.0.0.0/8", ""}};
    request.operations.push_back({.line = 1, .forgive = false, .what = add});
    request.operations.push_back(
        {.line = 2, .forgive = false, .what = AddOperation{"deny ip from table(7) to any"}});
    std::optional<Response> answer;
    controller_->submit(std::move(request), [&](const Response& r) { answer = r; });
    ASSERT_TRUE(wait([&] { return answer.has_value(); }));
    EXPECT_EQ(answer->status, ExitStatus::unavailable);
    EXPECT_TRUE(dataplane_->tables.descriptors().empty());
    EXPECT_EQ(table(Verb::list, "7").results[0].status, ExitStatus::os);
}

}  // namespace
}  // namespace sluice::service
