#include "controlplane/service/controller.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "controlplane/language/printer.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;
using Strings = std::vector<std::string>;

class CollectingSink : public log::LogSink {
  public:
    explicit CollectingSink(Strings& lines) : lines_(lines) {}
    void write(std::string_view line, std::uint64_t, log::Priority) override {
        lines_.emplace_back(line);
    }
    void flush() override {}
    void reopen() override {}
    std::uint64_t failures() const override { return 0; }

  private:
    Strings& lines_;
};

class ControllerTest : public testing::Test {
  protected:
    ControllerTest() : loop_(std::move(*EventLoop::create())) {
        char name[] = "/tmp/sluice-ctl-XXXXXX";
        folder_ = mkdtemp(name);
        std::vector<std::unique_ptr<log::LogSink>> sinks;
        sinks.push_back(std::make_unique<CollectingSink>(log_));
        log_writer_ = std::make_unique<log::LogWriter>(std::move(sinks));
    }
    ~ControllerTest() override {
        controller_.reset();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start_dataplane(FakeDataplane::Behaviour behaviour = {}) {
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock", behaviour);
    }
    void start_controller(bool accept = false) {
        controller_ = std::make_unique<Controller>(
            *loop_,
            ControllerOptions{.dataplane_socket = folder_ + "/dp.sock",
                              .default_accept = accept,
                              .answer_timeout = milliseconds(1000),
                              .clock_s = [] { return clock_s; }},
            *log_writer_, [this](const std::string& sentence) { reports_.push_back(sentence); });
        controller_->start();
    }
    // Both, and the first ruleset is out.
    void start() {
        start_dataplane();
        start_controller();
        ASSERT_TRUE(wait([&] { return controller_->generation() == 1; }));
    }

    template <typename Condition>
    bool wait(Condition condition) {
        return wait_for(*loop_, condition);
    }

    Response submit(Request request) {
        std::optional<Response> answer;
        controller_->submit(std::move(request), [&](const Response& r) { answer = r; });
        EXPECT_TRUE(wait([&] { return answer.has_value(); }));
        return answer.value_or(Response{});
    }
    template <typename... What>
    Response run(What... what) {
        Request request{.whole = sizeof...(what) > 1, .operations = {}};
        (request.operations.push_back(
             {.line = static_cast<std::uint32_t>(request.operations.size() + 1),
              .forgive = false,
              .what = what}),
         ...);
        return submit(std::move(request));
    }
    Response add(const std::string& rule) { return run(AddOperation{rule}); }
    std::vector<ruleset::ListedRule> list() {
        const Response response = run(ListOperation{});
        return response.results.empty() ? std::vector<ruleset::ListedRule>()
                                        : response.results[0].rules;
    }
    Strings texts() {
        Strings result;
        for (const auto& rule : list())
            result.push_back(std::to_string(rule.number) + " " + rule.text);
        return result;
    }

    contract::LogRecord log_record(std::uint16_t rule, std::uint32_t limit) {
        contract::LogRecord record;
        record.rule_number = rule;
        record.slot = dataplane_->slot_of(rule);
        record.log_limit = limit;
        record.receive_interface = 1;
        return record;
    }

    static inline std::uint64_t clock_s = 1000;

    std::unique_ptr<EventLoop> loop_;
    std::string folder_;
    Strings log_, reports_;
    std::unique_ptr<log::LogWriter> log_writer_;
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerTest, AFreshDataPlaneGetsTheDefaultRule) {
    start();
    EXPECT_EQ(dataplane_->snapshot().rules().size(), 1u);
    EXPECT_EQ(dataplane_->snapshot().rules()[0].action, contract::RuleAction::deny);
    EXPECT_EQ(texts(), Strings{"65535 deny ip from any to any"});
}

TEST_F(ControllerTest, TheCostIsThatOfTheRunningRuleset) {
    start();
    dataplane_->behaviour.cost.v4.boxes = 7;
    EXPECT_EQ(run(ShowCostOperation{}).results.at(0).cost, contract::RulesetCost());
    add("allow tcp from any to any 22");
    EXPECT_EQ(run(ShowCostOperation{}).results.at(0).cost, dataplane_->behaviour.cost);

    // A control plane that comes anew is told when it connects.
    controller_.reset();
    ASSERT_TRUE(wait([&] { return !dataplane_->connected(); }));
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 2; }));
    EXPECT_EQ(run(ShowCostOperation{}).results.at(0).cost, dataplane_->behaviour.cost);
}

TEST_F(ControllerTest, WithoutADataPlaneThereIsNoCost) {
    start();
    dataplane_.reset();
    ASSERT_TRUE(wait([&] { return !run(ListOperation{}).data_plane; }));
    EXPECT_EQ(run(ShowCostOperation{}).status, ExitStatus::unavailable);
}

TEST_F(ControllerTest, RulesThatTheMemoryBoundMadeSlowAreTakenWithAWarning) {
    start();
    dataplane_->behaviour.cost.v6.cut_short = 1;
    const auto warnings = [](const Response& response) {
        std::size_t count = 0;
        for (const OperationResult& result : response.results)
            for (const std::string& complaint : result.complaints)
                count += complaint.starts_with("warning: the rules overlap") ? 1 : 0;
        return count;
    };
    const Response first = add("100 allow tcp from any to any 22");
    EXPECT_EQ(first.status, ExitStatus::ok);
    EXPECT_EQ(first.results.at(0).status, ExitStatus::ok);
    EXPECT_EQ(warnings(first), 1u);
    // Not for each further rule, but for each file.
    EXPECT_EQ(warnings(add("200 allow tcp from any to any 23")), 0u);
    EXPECT_EQ(warnings(run(AddOperation{"300 allow tcp from any to any 24"},
                           AddOperation{"400 allow tcp from any to any 25"})),
              1u);
    EXPECT_EQ(std::count_if(reports_.begin(), reports_.end(),
                            [](const std::string& report) {
                                return report.starts_with("the rules overlap");
                            }),
              1);
}

TEST_F(ControllerTest, AnAddIsActiveWhenItIsAnswered) {
    start();
    const Response response = add("allow tcp from any to any 22");
    EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    EXPECT_EQ(response.generation, 2u);
    EXPECT_EQ(dataplane_->generation(), 2u);
    EXPECT_EQ(dataplane_->rules(), Strings{"100 allow tcp from any to any 22"});
}

TEST_F(ControllerTest, AScriptIsOneSnapshot) {
    start();
    const Response response =
        run(AddOperation{"allow tcp from any to any 22"}, AddOperation{"deny ip from any to any"},
            WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"});
    EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    EXPECT_EQ(dataplane_->offers(), 2u);
    EXPECT_EQ(dataplane_->rules().size(), 2u);
    EXPECT_EQ(dataplane_->snapshot().sysctls().verbose, 1u);
}

// Scenario 36.
TEST_F(ControllerTest, AFailedScriptChangesNothing) {
    start();
    add("100 count ip from any to any");
    dataplane_->count(0, dataplane_->slot_of(100), 5, 500, 1000);
    const auto before = list();
    const Response response =
        run(AddOperation{"200 allow ip from any to any"},
            language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = false},
            AddOperation{"65535 allow ip from any to any"});
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_EQ(response.line, 3u);
    EXPECT_EQ(list(), before);
    EXPECT_EQ(controller_->generation(), 2u);
    EXPECT_EQ(dataplane_->offers(), 2u);
}

TEST_F(ControllerTest, ARefusalOfTheDataPlaneChangesNothing) {
    start();
    dataplane_->behaviour.reject_with = "no more memory";
    const Response response = add("allow ip from any to any");
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_NE(response.message.find("no more memory"), std::string::npos);
    EXPECT_EQ(texts().size(), 1u);
    dataplane_->behaviour.reject_with.clear();
    EXPECT_EQ(add("allow ip from any to any").status, ExitStatus::ok);
    EXPECT_EQ(dataplane_->rules().size(), 1u);
}

TEST_F(ControllerTest, NothingChangedIsNotPublished) {
    start();
    EXPECT_EQ(run(language::FlushCommand{}).status, ExitStatus::ok);
    EXPECT_EQ(run(WriteSysctlOperation{"net.inet.ip.fw.verbose", "0"}).status, ExitStatus::ok);
    EXPECT_EQ(dataplane_->offers(), 1u);
}

TEST_F(ControllerTest, WithoutADataPlaneRulesCanOnlyBeListed) {
    start_controller(true);
    const Response refused = add("allow ip from any to any");
    EXPECT_EQ(refused.status, ExitStatus::unavailable);
    EXPECT_NE(refused.message.find("sluice-dataplane is not running"), std::string::npos);
    const Response listed = run(ListOperation{});
    EXPECT_EQ(listed.status, ExitStatus::ok);
    EXPECT_FALSE(listed.data_plane);
    EXPECT_EQ(texts(), Strings{"65535 allow ip from any to any"});
}

TEST_F(ControllerTest, CountersAreSummedAndZeroedByABaseline) {
    start();
    add("100 count ip from any to any");
    const std::uint32_t slot = dataplane_->slot_of(100);
    dataplane_->count(0, slot, 3, 300, 1000);
    dataplane_->count(1, slot, 4, 400, 2000);
    EXPECT_EQ(list()[0].packets, 7u);
    EXPECT_EQ(list()[0].bytes, 700u);
    EXPECT_EQ(list()[0].last_match_s, 2000u);
    run(language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = false});
    EXPECT_EQ(list()[0].packets, 0u);
    EXPECT_EQ(list()[0].last_match_s, 0u);
    dataplane_->count(1, slot, 1, 60, 3000);
    EXPECT_EQ(list()[0].packets, 1u);
    EXPECT_EQ(list()[0].bytes, 60u);
    EXPECT_EQ(list()[0].last_match_s, 3000u);
    run(language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = true});
    EXPECT_EQ(list()[0].packets, 1u);
}

TEST_F(ControllerTest, CountersSurviveAReloadAndDoNotPassToOtherRules) {
    start();
    add("100 count ip from any to any");
    add("200 count tcp from any to any");
    const std::uint32_t slot = dataplane_->slot_of(100);
    dataplane_->count(0, slot, 3, 300, 1000);
    add("50 allow udp from any to any");
    EXPECT_EQ(list()[1].packets, 3u);
    run(language::DeleteCommand{.rules = {{100, 100}}, .sets = {}, .in_set = {}});
    add("300 deny ip from any to any");
    EXPECT_EQ(dataplane_->slot_of(300), slot);  // the slot is used again …
    EXPECT_EQ(list()[2].packets, 0u);           // … and begins at zero
}

// Each rule knows since when it counts: whoever asks is told, whatever else is added or restarted.
TEST_F(ControllerTest, SinceWhenRulesCount) {
    start();
    const auto since = [&](std::size_t rule) {
        ListOperation list;
        list.with_since = true;
        return run(list).results.at(0).rules.at(rule).since_s;
    };
    clock_s = 1000;
    add("100 count ip from any to any");
    clock_s = 2000;
    add("200 count tcp from any to any");
    EXPECT_EQ(since(0), 1000u);
    EXPECT_EQ(since(1), 2000u);
    EXPECT_EQ(list()[0].since_s, 0u);  // nobody has asked
    clock_s = 3000;
    run(language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = true});
    EXPECT_EQ(since(0), 1000u);
    run(language::ZeroCommand{.rules = {100}, .in_set = {}});
    EXPECT_EQ(since(0), 3000u);
    // A file that is loaded again, and a control plane that is started again.
    clock_s = 4000;
    run(language::FlushCommand{}, AddOperation{"100 count ip from any to any"},
        AddOperation{"300 count ip from any to any"});
    const std::uint64_t generation = dataplane_->generation();
    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == generation; }));
    EXPECT_EQ(since(0), 3000u);
    EXPECT_EQ(since(1), 4000u);
    clock_s = 1000;
}

// Scenario 32, and the rule that gets the slot of a rule that has used its limit up.
TEST_F(ControllerTest, LogLimits) {
    start();
    add("100 deny log logamount 3 ip from any to any");
    const auto packets = [&](int n, std::uint16_t rule) {
        log_.clear();
        for (int i = 0; i < n; ++i)
            dataplane_->log(static_cast<std::uint32_t>(i % 2), log_record(rule, 3));
        controller_->drain_logs();
        return log_;
    };
    const std::string line = "ipfw: 100 Deny MAC in via em1";
    EXPECT_EQ(packets(5, 100), (Strings{line, line, line, "ipfw: limit 3 reached on entry 100"}));
    run(language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = true});
    EXPECT_EQ(dataplane_->annotation(dataplane_->slot_of(100)).log_epoch, 2u);  // added, reset
    EXPECT_EQ(packets(2, 100), (Strings{line, line}));
    EXPECT_EQ(packets(5, 100), (Strings{line, "ipfw: limit 3 reached on entry 100"}));
    run(language::DeleteCommand{.rules = {{100, 100}}, .sets = {}, .in_set = {}});
    add("500 deny log logamount 3 ip from any to any");
    EXPECT_EQ(packets(1, 500), Strings{"ipfw: 500 Deny MAC in via em1"});
}

TEST_F(ControllerTest, ARuleGoesWhenItsTimeIsOver) {
    start();
    clock_s = 1000;
    add("100 allow tcp from any to any keep-state expires 1970-01-01T01:00Z");
    add("200 deny ip from any to any");
    // The time stands in the snapshot.
    const std::uint64_t generation = dataplane_->generation();
    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == generation; }));
    EXPECT_EQ(texts().front(),
              "100 allow tcp from any to any keep-state :default expires 1970-01-01T01:00:00Z");
    clock_s = 3600;
    ASSERT_TRUE(wait([&] { return texts().size() == 2; }));
    EXPECT_EQ(texts().front(), "200 deny ip from any to any");
    EXPECT_EQ(dataplane_->rules().size(), 1u);
    EXPECT_EQ(log_, Strings{"ipfw: rule 100 has expired: allow tcp from any to any keep-state "
                            ":default expires 1970-01-01T01:00:00Z"});
}

TEST_F(ControllerTest, ALabelThatIsJumpedToStays) {
    start();
    run(AddOperation{"100 skipto :web ip from any to any"},
        AddOperation{"200 :web deny ip from any to any"});
    EXPECT_EQ(texts().front(), "100 skipto :web ip from any to any");
    const Response refused =
        run(language::DeleteCommand{.rules = {{200, 200}}, .sets = {}, .in_set = {}});
    EXPECT_EQ(refused.status, ExitStatus::data);
    EXPECT_EQ(refused.message, "rule 100 goes on at label :web, and no rule has that label");
    EXPECT_EQ(list().size(), 3u);
    EXPECT_EQ(add("300 :web allow ip from any to any").status, ExitStatus::data);
    EXPECT_EQ(run(language::FlushCommand{}).status, ExitStatus::ok);
}

TEST_F(ControllerTest, ACrashedControlPlaneComesBackWithTheSameRules) {
    start();
    run(WriteSysctlOperation{"net.inet.ip.fw.verbose_limit", "5"},
        AddOperation{"100 set 3 deny log tcp from any to any 23 // telnet 23"},
        AddOperation{"100 prob 0.25 count ip6 from any to { 2001:db8::1 or me6 } in via em0"},
        WriteSysctlOperation{"net.inet.ip.fw.verbose_limit", "9"});
    run(AddOperation{"200 allow log ip from any to any"});
    run(language::DeleteCommand{.rules = {{200, 200}}, .sets = {}, .in_set = {}});
    dataplane_->count(0, dataplane_->slot_of(100), 8, 800, 1000);
    run(language::ZeroCommand{.rules = {100}, .in_set = {}, .log_only = false});
    dataplane_->count(0, dataplane_->slot_of(100), 2, 200, 2000);
    const auto before = list();
    const std::uint64_t generation = dataplane_->generation();
    const std::size_t offers = dataplane_->offers();

    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == generation; }));
    EXPECT_EQ(list(), before);
    EXPECT_EQ(list()[0].set, 3);
    EXPECT_EQ(list()[0].packets, 2u);
    EXPECT_EQ(dataplane_->offers(), offers);
    EXPECT_EQ(controller_->ruleset().sysctls().verbose_limit, 9u);
    EXPECT_EQ(controller_->ruleset().rules()[0]->log_limit, 5u);
    // And it goes on from there.
    EXPECT_EQ(add("300 deny ip from any to any").generation, generation + 1);
    EXPECT_EQ(dataplane_->rules().size(), 3u);
}

TEST_F(ControllerTest, AnotherDefaultActionTakesEffectAtTheStart) {
    start();
    add("100 count ip from any to any");
    controller_.reset();
    start_controller(true);
    ASSERT_TRUE(wait([&] { return dataplane_->generation() == 3; }));
    EXPECT_EQ(dataplane_->snapshot().rules().back().action, contract::RuleAction::allow);
    EXPECT_EQ(texts(), (Strings{"100 count ip from any to any", "65535 allow ip from any to any"}));
}

TEST_F(ControllerTest, ARestartedDataPlaneGetsTheRulesetAgain) {
    start();
    add("100 count ip from any to any");
    dataplane_->count(0, dataplane_->slot_of(100), 8, 800, 1000);
    dataplane_.reset();
    ASSERT_TRUE(wait([&] { return !run(ListOperation{}).data_plane; }));
    EXPECT_EQ(texts().size(), 2u);
    EXPECT_EQ(list()[0].packets, 0u);
    start_dataplane();
    ASSERT_TRUE(wait([&] { return !dataplane_->rules().empty(); }));
    EXPECT_EQ(dataplane_->rules(), Strings{"100 count ip from any to any"});
    EXPECT_GT(dataplane_->generation(), 2u);
    EXPECT_EQ(list()[0].packets, 0u);
    EXPECT_EQ(add("allow ip from any to any").status, ExitStatus::ok);
}

TEST_F(ControllerTest, ADataPlaneWithTooFewSlotsIsToldApart) {
    start();
    for (int i = 0; i < 10; ++i)
        add("count ip from any to any");
    dataplane_.reset();
    FakeDataplane::Behaviour small;
    small.slot_capacity = 8;
    start_dataplane(small);
    ASSERT_TRUE(wait([&] { return reports_.back().find("slot_capacity") != std::string::npos; }));
    const Response response = add("count ip from any to any");
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_EQ(dataplane_->generation(), 0u);
}

TEST_F(ControllerTest, AConnectionThatBrokeIsJustTakenUpAgain) {
    start();
    add("100 count ip from any to any");
    dataplane_->count(0, dataplane_->slot_of(100), 8, 800, 1000);
    dataplane_->disconnect();
    ASSERT_TRUE(wait([&] { return !run(ListOperation{}).data_plane; }));
    ASSERT_TRUE(wait([&] { return run(ListOperation{}).data_plane; }));
    EXPECT_EQ(dataplane_->offers(), 2u);
    EXPECT_EQ(list()[0].packets, 8u);
}

TEST_F(ControllerTest, ADataPlaneThatDiesInTheMiddleOfAChange) {
    start();
    add("100 count ip from any to any");
    dataplane_->behaviour.hang_up_on_offer = true;
    const Response response = add("200 deny ip from any to any");
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_NE(response.message.find("nothing was changed"), std::string::npos);
    dataplane_->behaviour.hang_up_on_offer = false;
    ASSERT_TRUE(wait([&] { return run(ListOperation{}).data_plane; }));
    EXPECT_EQ(texts().size(), 2u);
    EXPECT_EQ(dataplane_->rules().size(), 1u);
    EXPECT_EQ(add("200 deny ip from any to any").status, ExitStatus::ok);
}

TEST_F(ControllerTest, ADataPlaneThatHangsStallsOnlyChanges) {
    start();
    dataplane_->behaviour.silent = true;
    std::optional<Response> first, second;
    const auto request = [](const char* rule) {
        return Request{.whole = false,
                       .operations = {{.line = 0, .forgive = false, .what = AddOperation{rule}}}};
    };
    controller_->submit(request("100 count ip from any to any"),
                        [&](const Response& r) { first = r; });
    controller_->submit(request("200 count ip from any to any"),
                        [&](const Response& r) { second = r; });
    EXPECT_EQ(texts().size(), 1u);  // answered at once
    EXPECT_FALSE(first);
    ASSERT_TRUE(wait([&] { return first && second; }));
    EXPECT_EQ(first->status, ExitStatus::unavailable);
    EXPECT_EQ(second->status, ExitStatus::unavailable);
    EXPECT_EQ(texts().size(), 1u);
}

TEST_F(ControllerTest, ChangesOfSeveralClientsAreCarriedOutInOrder) {
    start();
    int answered = 0;
    for (int i = 0; i < 20; ++i)
        controller_->submit({.whole = false,
                             .operations = {{.line = 0,
                                             .forgive = false,
                                             .what = AddOperation{"count ip from any to any"}}}},
                            [&, i](const Response& r) {
                                EXPECT_EQ(r.generation, static_cast<std::uint64_t>(i) + 2);
                                EXPECT_EQ(answered++, i);
                            });
    ASSERT_TRUE(wait([&] { return answered == 20; }));
    EXPECT_EQ(dataplane_->rules().size(), 20u);
}

ListOperation list_with_states() {
    ListOperation list;
    list.states = ListedStates::current;
    return list;
}
WriteSysctlOperation sysctl(const std::string& name, const std::string& value) {
    return {"net.inet.ip.fw." + name, value};
}

TEST_F(ControllerTest, ListsStates) {
    start();
    add("100 allow tcp from any to any keep-state :web");
    dataplane_->states = {dataplane_->state_of(100), dataplane_->state_of(100)};
    const Response response = run(list_with_states());
    ASSERT_EQ(response.results.size(), 1u) << response.message;
    EXPECT_EQ(response.results[0].rules.size(), 2u);
    ASSERT_EQ(response.results[0].states.size(), 2u);
    EXPECT_EQ(response.results[0].states[0].name, "web");
    EXPECT_EQ(response.results[0].states[0].packets, 4u);
    EXPECT_EQ(run(StateOperation{.kind = StateOperation::Kind::count, .filter = {}})
                  .results.at(0)
                  .state_count,
              2u);
    EXPECT_EQ(dataplane_->state_requests(), 2u);
    list();  // without states nobody is asked
    EXPECT_EQ(dataplane_->state_requests(), 2u);
}

StateOperation kill(std::uint16_t first, std::uint16_t last) {
    StateOperation result{.kind = StateOperation::Kind::kill, .filter = {}};
    result.filter.rules = language::RuleRange{first, last};
    return result;
}

TEST_F(ControllerTest, KillsStatesWhenTheRestIsInForce) {
    start();
    add("100 allow tcp from any to any keep-state");
    add("200 allow udp from any to any keep-state");
    for (int i = 0; i < 3; ++i)
        dataplane_->states.push_back(dataplane_->state_of(100));
    dataplane_->states.push_back(dataplane_->state_of(200));
    const Response response =
        run(kill(100, 300), AddOperation{"300 count ip from any to any"}, kill(7, 7));
    EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    ASSERT_EQ(response.results.size(), 3u);
    EXPECT_EQ(response.results[0].state_count, 4u);
    EXPECT_EQ(response.results[2].state_count, 0u);
    EXPECT_EQ(response.results[2].status, ExitStatus::unavailable);
    EXPECT_EQ(dataplane_->state_requests(), 3u);
    EXPECT_TRUE(dataplane_->states.empty());
    EXPECT_EQ(dataplane_->rules().size(), 3u);
    EXPECT_EQ(run(kill(100, 100)).generation, response.generation);  // no change of the rules
}

TEST_F(ControllerTest, StatesNeedADataPlane) {
    start_controller();
    const Response listed = run(list_with_states());
    EXPECT_EQ(listed.status, ExitStatus::ok);
    EXPECT_EQ(listed.results.at(0).rules.size(), 1u);
    for (const auto kind :
         {StateOperation::Kind::list, StateOperation::Kind::count, StateOperation::Kind::kill}) {
        const Response response = run(StateOperation{.kind = kind, .filter = {}});
        EXPECT_EQ(response.status, ExitStatus::unavailable);
        EXPECT_NE(response.message.find("sluice-dataplane is not running"), std::string::npos);
    }
}

TEST_F(ControllerTest, ADataPlaneThatGoesWhileItIsAskedForStates) {
    start();
    add("100 allow tcp from any to any keep-state");
    dataplane_->behaviour.hang_up_on_states = true;
    const Response asked = run(list_with_states());
    EXPECT_EQ(asked.status, ExitStatus::unavailable);
    EXPECT_NE(asked.message.find("asked for its states"), std::string::npos) << asked.message;
    ASSERT_TRUE(wait([&] { return run(ListOperation{}).data_plane; }));
    const Response killed = run(kill(100, 100));
    EXPECT_EQ(killed.status, ExitStatus::unavailable);
    EXPECT_NE(killed.message.find("while it killed states"), std::string::npos) << killed.message;
    dataplane_->behaviour.hang_up_on_states = false;
    ASSERT_TRUE(wait([&] { return run(ListOperation{}).data_plane; }));
    EXPECT_EQ(run(list_with_states()).status, ExitStatus::ok);
}

Request apply_and_judge(const std::string& rules) {
    Request request{.whole = true,
                    .operations = {},
                    .apply = ApplyOrder{.if_generation = {}, .states = KeptStates::judged_anew}};
    request.operations.push_back({.what = AddOperation{rules}});
    return request;
}

TEST_F(ControllerTest, AnApplyHasStatesJudgedAnewWhenTheRulesRun) {
    start();
    add("100 allow tcp from any to any keep-state");
    dataplane_->behaviour.judged.kept = 3;
    dataplane_->behaviour.judged.moved = 4;
    dataplane_->behaviour.judged.killed = 5;
    const Response applied = submit(apply_and_judge("200 allow udp from any to any keep-state"));
    EXPECT_EQ(applied.status, ExitStatus::ok) << applied.message;
    ASSERT_TRUE(applied.applied && applied.applied->states);
    EXPECT_EQ(*applied.applied->states, (JudgedStates{.kept = 3, .moved = 4, .killed = 5}));
    // The rule that went is there for its states until they have been judged.
    EXPECT_EQ(dataplane_->state_of(100).rule_number, 100);
    // Whoever is not judged lives on, and the client is told.
    dataplane_->behaviour.refuse_states_with = "worker 1 sleeps";
    const Response refused = submit(apply_and_judge("300 allow ip from any to any keep-state"));
    EXPECT_EQ(refused.status, ExitStatus::unavailable);
    EXPECT_EQ(refused.message,
              "the rules run, but not all states have been judged anew, and the others live on: "
              "worker 1 sleeps");
    EXPECT_EQ(texts().front(), "300 allow ip from any to any keep-state :default");
    // States that have moved would have no rule to go back to.
    Request for_a_time = apply_and_judge("400 allow ip from any to any keep-state");
    for_a_time.apply->confirm_s = 60;
    EXPECT_EQ(submit(for_a_time).message,
              "--states recheck and --confirm do not go together: states that go on under new "
              "rules would end when these go back; nothing was changed");
}

TEST_F(ControllerTest, ADataPlaneThatDoesNotTellStatesStallsNoReads) {
    start();
    dataplane_->behaviour.silent = true;
    std::optional<Response> asked, changed;
    controller_->submit(
        {.whole = false, .operations = {{.line = 0, .forgive = false, .what = list_with_states()}}},
        [&](const Response& r) { asked = r; });
    controller_->submit({.whole = false,
                         .operations = {{.line = 0,
                                         .forgive = false,
                                         .what = AddOperation{"count ip from any to any"}}}},
                        [&](const Response& r) { changed = r; });
    EXPECT_EQ(texts().size(), 1u);
    EXPECT_FALSE(asked || changed);
    EXPECT_EQ(dataplane_->offers(), 1u);  // one thing at a time
    ASSERT_TRUE(wait([&] { return asked && changed; }));
    EXPECT_EQ(asked->status, ExitStatus::unavailable);
}

TEST_F(ControllerTest, SysctlsTellOfTheStateTable) {
    FakeDataplane::Behaviour behaviour;
    behaviour.state_capacity = 20000;
    behaviour.state_buckets = 4096;
    start_dataplane(behaviour);
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 1; }));
    dataplane_->set_state_counts(0, 5, 1);
    dataplane_->set_state_counts(1, 7, 2);
    const auto value = [&](const std::string& name) {
        return run(ReadSysctlOperation{{"net.inet.ip.fw." + name}})
            .results.at(0)
            .sysctls.at(0)
            .value;
    };
    EXPECT_EQ(value("dyn_count"), 12u);
    EXPECT_EQ(value("dyn_parent_count"), 3u);
    EXPECT_EQ(value("dyn_buckets"), 4096u);
    EXPECT_EQ(value("state_capacity"), 20000u);
    EXPECT_EQ(run(sysctl("dyn_max", "20001")).status, ExitStatus::unavailable);
    EXPECT_EQ(run(sysctl("dyn_max", "20000")).status, ExitStatus::ok);
    EXPECT_EQ(dataplane_->snapshot().sysctls().dyn_max, 20000u);
    // A smaller one that comes in its place takes the ruleset all the same.
    dataplane_.reset();
    behaviour.state_capacity = 1024;
    start_dataplane(behaviour);
    ASSERT_TRUE(wait([&] { return dataplane_->generation() != 0; }));
    EXPECT_NE(reports_.back().find("1024 states, fewer than net.inet.ip.fw.dyn_max = 20000"),
              std::string::npos)
        << reports_.back();
}

TEST_F(ControllerTest, OrphansLiveAsLongAsTheirStates) {
    start();
    run(sysctl("dyn_keep_states", "1"));
    add("100 allow tcp from any to any keep-state");
    const std::uint32_t slot = dataplane_->slot_of(100);
    dataplane_->set_states_of(1, slot, 2);
    run(language::DeleteCommand{.rules = {{100, 100}}, .sets = {}, .in_set = {}});
    EXPECT_EQ(texts().size(), 1u);
    ASSERT_EQ(dataplane_->snapshot().all_rules().size(), 2u);
    EXPECT_EQ(dataplane_->snapshot().all_rules()[1].slot, slot);
    add("200 count ip from any to any");
    EXPECT_NE(dataplane_->slot_of(200), slot);
    EXPECT_EQ(dataplane_->snapshot().all_rules().size(), 3u);
    // The states go, and with the next change the rule.
    dataplane_->set_states_of(1, slot, 0);
    add("300 count ip from any to any");
    EXPECT_EQ(dataplane_->snapshot().all_rules().size(), 3u);
    EXPECT_EQ(dataplane_->snapshot().rules().size(), 3u);
    add("400 count ip from any to any");
    EXPECT_EQ(dataplane_->slot_of(400), slot);
}

TEST_F(ControllerTest, ACrashedControlPlaneComesBackWithDisabledSetsAndOrphans) {
    start();
    run(sysctl("dyn_keep_states", "1"), AddOperation{"50 allow tcp from any to any keep-state"},
        AddOperation{"100 count ip from any to any"},
        AddOperation{"100 set 4 skipto 200 ip from any to any"},
        AddOperation{"100 set 4 count tcp from any to any keep-state :web"},
        AddOperation{"100 count udp from any to any"},
        AddOperation{"200 set 4 count ip from any to any"});
    dataplane_->set_states_of(0, dataplane_->slot_of(50), 1);
    run(language::DeleteCommand{.rules = {{50, 50}}, .sets = {}, .in_set = {}},
        language::SetEnableCommand{.enable = 0, .disable = 1u << 4});
    const auto before = list();
    const std::uint32_t next = controller_->ruleset().next_id();
    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == dataplane_->generation(); }));
    EXPECT_EQ(list(), before);
    EXPECT_TRUE(list()[1].disabled);
    EXPECT_EQ(controller_->ruleset().orphans().size(), 1u);
    EXPECT_EQ(controller_->ruleset().next_id(), next);
    run(language::SetEnableCommand{.enable = 1u << 4, .disable = 0});
    EXPECT_EQ(dataplane_->rules(),
              (Strings{"100 count ip from any to any", "100 skipto 200 ip from any to any",
                       "100 count tcp from any to any keep-state :web",
                       "100 count udp from any to any", "200 count ip from any to any"}));
    EXPECT_EQ(dataplane_->snapshot().all_rules().size(), 7u);
}

TEST_F(ControllerTest, IdsOfAnOfferWithoutAnAnswerAreNotUsedAgain) {
    start();
    add("100 allow tcp from any to any keep-state");
    const std::uint32_t first = dataplane_->snapshot().rules()[0].id;
    dataplane_->behaviour.hang_up_on_offer = true;
    add("200 allow tcp from any to any keep-state");
    dataplane_->behaviour.hang_up_on_offer = false;
    ASSERT_TRUE(wait([&] { return run(ListOperation{}).data_plane; }));
    add("300 allow udp from any to any keep-state");
    EXPECT_EQ(dataplane_->snapshot().rules()[1].id, first + 2);
}

}  // namespace
}  // namespace sluice::service
