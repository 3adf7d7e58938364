// What the controller shows to those who only look.
#include <gtest/gtest.h>

#include <filesystem>

#include "controlplane/metrics/rule_series.h"
#include "controlplane/service/controller.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

language::DeleteCommand deletion(std::uint16_t number) {
    language::DeleteCommand command;
    command.rules.push_back({number, number});
    return command;
}

TableOperation on_table(language::TableCommand::Verb verb) {
    TableOperation operation;
    operation.command.verb = verb;
    operation.command.table = "blocked";
    return operation;
}

class ObservationTest : public testing::Test {
  protected:
    ObservationTest() : loop_(std::move(*EventLoop::create())) {
        char name[] = "/tmp/sluice-obs-XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~ObservationTest() override {
        controller_.reset();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start_dataplane() {
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock");
    }
    void start_controller() {
        controller_ = std::make_unique<Controller>(
            *loop_,
            ControllerOptions{.dataplane_socket = folder_ + "/dp.sock",
                              .answer_timeout = milliseconds(1000),
                              .clock_s = [] { return std::uint64_t{1234}; },
                              .size_interval = milliseconds(20),
                              .observation = &observation_},
            log_writer_, [](const std::string&) {});
        controller_->start();
    }
    void start() {
        start_dataplane();
        start_controller();
        ASSERT_TRUE(wait([&] { return controller_->generation() == 1; }));
    }
    template <typename Condition>
    bool wait(Condition condition) {
        return wait_for(*loop_, condition);
    }
    template <typename What>
    Response run(What what) {
        Request request;
        request.operations.push_back({.what = what});
        std::optional<Response> answer;
        controller_->submit(std::move(request), [&](const Response& r) { answer = r; });
        EXPECT_TRUE(wait([&] { return answer.has_value(); }));
        return answer.value_or(Response{});
    }
    metrics::Board::Lease look() { return std::move(*observation_.board.look()); }
    // What the metrics say of the first rule with this number.
    metrics::RuleCount counted(std::uint16_t number) {
        const auto view = look();
        return metrics::count_of(view->counters,
                                 view->ruleset.find({number, number}).front()->slot);
    }
    void count(std::uint16_t rule, std::uint64_t packets) {
        dataplane_->count(0, dataplane_->slot_of(rule), packets, packets * 100, 77);
    }

    std::unique_ptr<EventLoop> loop_;
    std::string folder_;
    log::LogWriter log_writer_{{}};
    Observation observation_;
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<Controller> controller_;
};

TEST_F(ObservationTest, BeforeADataPlaneIsThereThereAreOnlyRules) {
    start_controller();
    EXPECT_FALSE(look()->dataplane);
    EXPECT_EQ(look()->generation, 0u);
    start_dataplane();
    ASSERT_TRUE(wait([&] { return look()->generation == 1; }));
    ASSERT_TRUE(look()->dataplane);
    EXPECT_EQ(look()->dataplane->ports.size(), 2u);
    dataplane_.reset();
    ASSERT_TRUE(wait([&] { return !look()->dataplane; }));
    EXPECT_EQ(look()->counters.workers.size(), 0u);
}

TEST_F(ObservationTest, ZeroSetsNothingBack) {
    start();
    run(AddOperation{"100 allow ip from any to any"});
    EXPECT_EQ(look()->generation, 2u);
    count(100, 5);
    EXPECT_EQ(counted(100).packets, 5u);
    run(language::ZeroCommand{});
    count(100, 2);
    EXPECT_EQ(counted(100).packets, 7u);
    EXPECT_EQ(counted(100).bytes, 700u);
}

TEST_F(ObservationTest, ARuleBeginsAtZeroInASlotThatAnotherOneHad) {
    start();
    run(AddOperation{"100 allow ip from any to any"});
    const auto slot = dataplane_->slot_of(100);
    count(100, 5);
    run(deletion(100));
    run(AddOperation{"200 allow ip from any to any"});
    ASSERT_EQ(dataplane_->slot_of(200), slot);
    EXPECT_EQ(counted(200).packets, 0u);
    EXPECT_EQ(counted(200).last_match_s, 0u);
    count(200, 3);
    EXPECT_EQ(counted(200).packets, 3u);
}

TEST_F(ObservationTest, WhatWasCountedSurvivesTheControlPlane) {
    start();
    run(AddOperation{"50 allow ip from any to any"});
    count(50, 9);
    run(deletion(50));
    run(AddOperation{"100 allow ip from any to any"});
    count(100, 5);
    run(language::ZeroCommand{});
    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait([&] { return look()->generation != 0; }));
    count(100, 1);
    EXPECT_EQ(counted(100).packets, 6u);
}

TEST_F(ObservationTest, WhatBecameOfRulesets) {
    start();
    run(AddOperation{"100 allow ip from any to any"});
    metrics::Tally::Apply apply = observation_.tally.apply();
    EXPECT_EQ(apply.applied, 2u);
    EXPECT_EQ(apply.failed, 0u);
    EXPECT_TRUE(apply.last_worked);
    EXPECT_EQ(apply.last_time_s, 1234);
    dataplane_->behaviour.reject_with = "no";
    run(AddOperation{"200 allow ip from any to any"});
    apply = observation_.tally.apply();
    EXPECT_EQ(apply.applied, 2u);
    EXPECT_EQ(apply.failed, 1u);
    EXPECT_FALSE(apply.last_worked);
    EXPECT_EQ(look()->generation, 2u);
    // One that dies in the middle.
    dataplane_->behaviour.reject_with.clear();
    dataplane_->behaviour.hang_up_on_offer = true;
    run(AddOperation{"200 allow ip from any to any"});
    EXPECT_EQ(observation_.tally.apply().failed, 2u);
}

TEST_F(ObservationTest, HowLargeTablesAre) {
    start();
    run(AddOperation{"100 allow ip from table(blocked) to any"});
    const auto entries = [&] {
        const auto view = look();
        return view->tables.size() == 1 && view->tables[0].name == "blocked"
                   ? static_cast<int>(view->tables[0].entries)
                   : -1;
    };
    ASSERT_TRUE(wait([&] { return entries() == 0; }));
    TableOperation add = on_table(language::TableCommand::Verb::add);
    for (const char* key : {"192.0.2.0/24", "2001:db8::/32"})
        add.command.records.emplace_back().key = key;
    EXPECT_EQ(run(add).status, ExitStatus::ok);
    EXPECT_TRUE(wait([&] { return entries() == 2; }));
    // Whoever asks meanwhile is answered.
    EXPECT_EQ(run(AddOperation{"200 allow ip from any to any"}).status, ExitStatus::ok);
    run(language::FlushCommand{});
    EXPECT_EQ(run(on_table(language::TableCommand::Verb::destroy)).status, ExitStatus::ok);
    EXPECT_TRUE(wait([&] { return look()->tables.empty(); }));
}

}  // namespace
}  // namespace sluice::service
