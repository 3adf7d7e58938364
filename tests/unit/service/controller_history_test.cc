// What is kept of rulesets, and what a data plane without one gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "controlplane/service/controller.h"
#include "tests/unit/history/fragile_folder.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Strings = std::vector<std::string>;
using Verb = language::TableCommand::Verb;
using Kind = HistoryOperation::Kind;

// The keeper owns a folder; the test keeps the disk.
class Disk : public history::Folder {
  public:
    explicit Disk(history::FragileFolder& folder) : folder_(folder) {}
    const std::string& path() const override { return folder_.path(); }
    Result<Strings> names() override { return folder_.names(); }
    Result<std::string> read(const std::string& name, std::size_t maximum) override {
        return folder_.read(name, maximum);
    }
    Result<std::size_t> size(const std::string& name) override { return folder_.size(name); }
    Result<std::unique_ptr<history::File>> create(const std::string& name) override {
        while (hangs)
            std::this_thread::sleep_for(milliseconds(1));
        return folder_.create(name);
    }
    Result<Done> rename(const std::string& from, const std::string& to) override {
        return folder_.rename(from, to);
    }
    Result<Done> remove(const std::string& name) override { return folder_.remove(name); }
    Result<Done> synchronize() override { return folder_.synchronize(); }

    static inline std::atomic<bool> hangs = false;

  private:
    history::FragileFolder& folder_;
};

class ControllerHistoryTest : public testing::Test {
  protected:
    ControllerHistoryTest() : loop_(std::move(*EventLoop::create())), log_writer_({}) {
        char name[] = "/tmp/sluice-ctl-XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~ControllerHistoryTest() override {
        stop_controller();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start_dataplane() {
        dataplane_.reset();
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock");
    }
    void stop_controller() {
        controller_.reset();
        keeper_.reset();
    }
    void start_controller() {
        stop_controller();
        const auto report = [this](const std::string& sentence) { reports_.push_back(sentence); };
        keeper_ = std::move(*HistoryKeeper::open(*loop_, std::make_unique<Disk>(disk_),
                                                 {.quiet = quiet_,
                                                  .longest = longest_,
                                                  .again = milliseconds(20),
                                                  .clock_s = [] { return clock_s; },
                                                  .failures = &failures_},
                                                 report));
        controller_ =
            std::make_unique<Controller>(*loop_,
                                         ControllerOptions{.dataplane_socket = folder_ + "/dp.sock",
                                                           .answer_timeout = milliseconds(2000),
                                                           .clock_s = [] { return clock_s; },
                                                           .disk_patience = milliseconds(100),
                                                           .history = keeper_.get()},
                                         log_writer_, report);
        controller_->start();
    }
    void start() {
        start_dataplane();
        start_controller();
        ASSERT_TRUE(wait([&] { return controller_->generation() != 0; }));
    }
    // Both daemons end as when the power goes, and come back.
    void restart_both() {
        stop_controller();
        start_dataplane();
        reports_.clear();
        start_controller();
        ASSERT_TRUE(wait([&] { return controller_->generation() != 0; }));
    }

    template <typename Condition>
    bool wait(Condition condition) {
        return wait_for(*loop_, condition);
    }

    Response submit(Request request, Author author = {.uid = 1, .user = "alice", .did = "it"}) {
        std::optional<Response> answer;
        author.whole = request.whole;
        controller_->submit(
            std::move(request), [&](const Response& r) { answer = r; }, author);
        EXPECT_TRUE(wait([&] { return answer.has_value(); }));
        return answer.value_or(Response{});
    }
    template <typename What>
    Response run(What what) {
        Request request;
        request.operations.push_back({.what = what});
        return submit(std::move(request));
    }
    void add(const std::string& rule, std::uint32_t uid = 1) {
        Request request;
        request.operations.push_back({.what = AddOperation{rule}});
        const Response response =
            submit(std::move(request),
                   {.uid = uid, .user = "user" + std::to_string(uid), .did = "add " + rule});
        EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    }
    Response apply(const std::string& rules, std::uint32_t confirm_s = 0) {
        Request request{.whole = true,
                        .operations = {},
                        .apply = ApplyOrder{.if_generation = {}, .confirm_s = confirm_s}};
        request.operations.push_back({.what = AddOperation{rules}});
        return submit(std::move(request));
    }
    Response apply_and(KeptStates states, const std::string& rules) {
        Request request{.whole = true,
                        .operations = {},
                        .apply = ApplyOrder{.if_generation = {}, .states = states}};
        request.operations.push_back({.what = AddOperation{rules}});
        return submit(std::move(request));
    }
    Response roll_back(std::uint64_t number) {
        Request request{.whole = true, .operations = {}, .apply = ApplyOrder()};
        request.operations.push_back({.what = RollbackOperation{number}});
        return submit(std::move(request));
    }
    Response one_back() { return run(SafetyOperation{SafetyOperation::Order::give_back}); }
    Response table(const std::string& words) {
        const auto invocation =
            language::parse_command_line(std::span(&words, 1), language::refusing_resolver());
        EXPECT_TRUE(invocation) << words;
        return run(TableOperation{std::get<language::TableCommand>(invocation->command)});
    }
    Strings entries_of(const std::string& name) {
        const Response response = table("table " + name + " list");
        Strings lines = response.results.at(0).lines;
        if (!lines.empty())
            lines.erase(lines.begin());
        return lines;
    }
    std::vector<history::Entry> history() { return run(HistoryOperation{}).results.at(0).history; }

    static inline std::uint64_t clock_s = 1000;

    history::FragileFolder disk_;
    metrics::Count failures_;
    milliseconds quiet_{0}, longest_{10'000};
    std::unique_ptr<EventLoop> loop_;
    std::string folder_;
    Strings reports_;
    log::LogWriter log_writer_;
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<HistoryKeeper> keeper_;
    std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerHistoryTest, BeforeTheFirstRulesetTheDefaultRuleDecides) {
    start();
    EXPECT_TRUE(dataplane_->rules().empty());
    EXPECT_THAT(reports_, Contains(HasSubstr("there is no ruleset in the history")));
    const auto entries = history();
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].did, "start, with the default rule alone");
}

TEST_F(ControllerHistoryTest, BothDaemonsEndAndAllComesBack) {
    start();
    table("table T create type addr limit 10");
    table("table T add 10.0.0.0/8 5");
    table("table T add 10.1.0.0/16 6 ttl 100");
    table("table T add 10.2.0.0/16 7 ttl 10");
    add("100 count ip from table(T) to any");
    add("200 set 3 count log tcp from any to any");
    run(language::SetEnableCommand{.enable = 0, .disable = 1u << 3});
    run(WriteSysctlOperation{"net.inet.ip.fw.dyn_udp_lifetime", "33"});
    const std::uint64_t generation = controller_->generation();
    const Strings rules = dataplane_->rules();
    ASSERT_EQ(run(HistoryOperation{.kind = Kind::save}).status, ExitStatus::ok);
    clock_s += 50;
    restart_both();
    EXPECT_EQ(dataplane_->rules(), rules);
    EXPECT_EQ(dataplane_->snapshot().header().disabled_sets, 1u << 3);
    EXPECT_EQ(dataplane_->snapshot().sysctls().dyn_udp_lifetime, 33u);
    EXPECT_EQ(entries_of("T"), (Strings{"10.0.0.0/8 5", "10.1.0.0/16 6 ttl 50"}));
    // No generation is used twice, and what boots is no new ruleset.
    EXPECT_GT(controller_->generation(), generation);
    const auto entries = history();
    EXPECT_EQ(entries.back().generation, controller_->generation());
    EXPECT_THAT(reports_, Contains(HasSubstr("has been given to sluice-dataplane as generation")));
    const std::size_t count = entries.size();
    restart_both();
    EXPECT_EQ(dataplane_->rules(), rules);
    EXPECT_EQ(history().size(), count);
}

// The contents of tables are kept, too, without any other change.
TEST_F(ControllerHistoryTest, WhatTablesHoldComesBack) {
    start();
    table("table T create");
    add("100 count ip from table(T) to any");
    const std::size_t count = history().size();
    table("table T add 10.0.0.0/8 5");
    EXPECT_EQ(history().size(), count);
    restart_both();
    EXPECT_EQ(entries_of("T"), Strings{"10.0.0.0/8 5"});
}

// Who asks meanwhile is not told that there are no rules.
TEST_F(ControllerHistoryTest, QuestionsWaitForTheFirstRuleset) {
    start();
    table("table T create");
    add("100 count ip from table(T) to any");
    history();
    stop_controller();
    start_dataplane();
    start_controller();
    ASSERT_TRUE(wait([&] { return dataplane_->table_requests() != 0; }));
    EXPECT_EQ(controller_->generation(), 0u);
    EXPECT_EQ(run(ListOperation{}).results.at(0).rules.size(), 2u);
}

TEST_F(ControllerHistoryTest, ADamagedOneIsSetAsideAndTheOneBeforeIsUsed) {
    start();
    add("100 count ip from any to any");
    history();
    add("200 count ip from any to any");
    history();
    const std::string name = "00000003.rules";
    disk_.put(name, disk_.read(name, 1 << 20)->substr(0, 1000));
    restart_both();
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
    EXPECT_THAT(reports_, Contains(HasSubstr(name + " is damaged")));
    EXPECT_THAT(*disk_.names(), Contains(name + ".bad"));
    EXPECT_EQ(history().back().number, 2u);
    add("300 count ip from any to any");
    EXPECT_EQ(history().back().number, 4u);
}

// As after a downgrade: what this release does not carry out is no reason to run nothing.
TEST_F(ControllerHistoryTest, OneThatCannotBeCarriedOutIsPassedOver) {
    start();
    add("100 count ip from any to any");
    history();
    ASSERT_TRUE(history::carry_out(
        disk_, {{.number = 3, .generation = 3}, "add 200 nat 1 ip from any to any\n"}));
    ASSERT_TRUE(history::carry_out(disk_, {{.number = 4, .generation = 4}, "dance\n"}));
    restart_both();
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
    EXPECT_THAT(reports_,
                Contains(HasSubstr("ruleset 4 of the history (generation 4) cannot be read")));
    EXPECT_THAT(reports_, Contains(HasSubstr("cannot be carried out: line 1: ")));
    EXPECT_GT(controller_->generation(), 4u);
}

// A control plane that finds a ruleset keeps to it; the three outcomes.
TEST_F(ControllerHistoryTest, TheSameAsOnTheDisk) {
    start();
    add("100 count ip from any to any");
    const std::size_t count = history().size();
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 2; }));
    EXPECT_THAT(reports_, Contains("it is the same as ruleset 2 of the history (generation 2)"));
    EXPECT_EQ(history().size(), count);
}

TEST_F(ControllerHistoryTest, TheDataPlaneIsNewerThanTheDisk) {
    start();
    history();
    quiet_ = milliseconds(10'000);
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 1; }));
    add("100 count ip from any to any");  // and it dies before that is written
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 2; }));
    EXPECT_THAT(reports_, Contains("it is newer than ruleset 1 of the history (generation 1), and "
                                   "is added to the history"));
    EXPECT_EQ(history().back().did, "found in sluice-dataplane");
    restart_both();
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
}

TEST_F(ControllerHistoryTest, TheDiskIsNewerThanTheDataPlane) {
    start();
    add("100 count ip from any to any");
    history();
    ASSERT_TRUE(history::carry_out(
        disk_, {{.number = 9, .generation = 9}, "add 200 count ip from any to any\n"}));
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() == 2; }));
    EXPECT_THAT(reports_, Contains("ruleset 9 of the history (generation 9) is newer than it: what "
                                   "runs stays; `ipfw rollback 9` brings the other one"));
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
    EXPECT_EQ(history().back().number, 10u);
    EXPECT_EQ(roll_back(9).status, ExitStatus::ok);
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("200")));
    EXPECT_GT(controller_->generation(), 9u);
}

TEST_F(ControllerHistoryTest, AQuickRowIsOneEntry) {
    quiet_ = milliseconds(300);
    start();
    history();
    for (int i = 1; i <= 5; ++i)
        add(std::to_string(i) + " count ip from any to any");
    add("50 count ip from any to any", 2);
    EXPECT_EQ(apply("60 count ip from any to any").status, ExitStatus::ok);
    add("70 count ip from any to any");
    const auto entries = history();
    ASSERT_EQ(entries.size(), 5u);
    EXPECT_EQ(entries[1].did, "add 1 count ip from any to any and 4 more");
    EXPECT_EQ(entries[1].difference, (ruleset::DifferenceCounts{5, 0, 0}));
    EXPECT_EQ(entries[2].user, "user2");
    EXPECT_EQ(entries[3].difference, (ruleset::DifferenceCounts{1, 6, 0}));
    EXPECT_EQ(entries[4].did, "add 70 count ip from any to any");
    // Also without anybody who asks.
    add("80 count ip from any to any");
    EXPECT_EQ(keeper_->store().entries().size(), 5u);
    EXPECT_TRUE(wait([&] { return keeper_->store().entries().size() == 6; }));
}

TEST_F(ControllerHistoryTest, ARowThatDoesNotEndIsWrittenAllTheSame) {
    quiet_ = milliseconds(200);
    longest_ = milliseconds(400);
    start();
    history();
    const auto end = EventLoop::Clock::now() + std::chrono::seconds(8);
    for (int i = 1; keeper_->store().entries().size() < 3 && EventLoop::Clock::now() < end; ++i)
        run(WriteSysctlOperation{"net.inet.ip.fw.dyn_udp_lifetime", std::to_string(i)});
    EXPECT_EQ(keeper_->store().entries().size(), 3u);
}

TEST_F(ControllerHistoryTest, RollbackKeepsWhatStays) {
    start();
    add("100 count ip from any to any");
    add("200 count log tcp from any to any");
    const auto number = history().back().number;
    const std::uint32_t slot = dataplane_->slot_of(200);
    dataplane_->count(0, slot, 5, 500, 1);
    add("300 count ip from any to any");
    EXPECT_EQ(apply("200 count log tcp from any to any").status, ExitStatus::ok);
    const std::uint64_t before = controller_->generation();
    const Response response = roll_back(number);
    ASSERT_EQ(response.status, ExitStatus::ok) << response.message;
    EXPECT_EQ(response.generation, before + 1);
    EXPECT_EQ(response.applied->difference, (ruleset::DifferenceCounts{1, 0, 0}));
    EXPECT_EQ(dataplane_->rules().size(), 2u);
    EXPECT_EQ(dataplane_->slot_of(200), slot);
    EXPECT_EQ(run(ListOperation{}).results[0].rules[1].packets, 5u);
    EXPECT_EQ(history().back().restores, number);
    EXPECT_EQ(roll_back(77).status, ExitStatus::unavailable);
    EXPECT_EQ(dataplane_->rules().size(), 2u);
}

TEST_F(ControllerHistoryTest, WithoutANumberItGoesOneBackEachTime) {
    start();
    history();
    for (const char* rule : {"100", "200", "300"}) {
        add(rule + std::string(" count ip from any to any"));
        history();
    }
    for (const std::size_t left : {2u, 1u, 0u}) {
        const Response response = one_back();
        ASSERT_EQ(response.status, ExitStatus::ok) << response.message;
        EXPECT_EQ(dataplane_->rules().size(), left);
    }
    const Response none = one_back();
    EXPECT_EQ(none.status, ExitStatus::unavailable);
    EXPECT_THAT(none.message, HasSubstr("no earlier ruleset"));
    // What was just typed and is not on the disk yet is what goes.
    quiet_ = milliseconds(10'000);
    start_controller();
    ASSERT_TRUE(wait([&] { return controller_->generation() != 0; }));
    add("400 count ip from any to any");
    EXPECT_EQ(one_back().status, ExitStatus::ok);
    EXPECT_EQ(dataplane_->rules().size(), 0u);
}

TEST_F(ControllerHistoryTest, RollbackLeavesTablesThatAreThere) {
    start();
    table("table T create");
    table("table T add 10.0.0.0/8 5");
    table("table U create");
    table("table U add 10.9.0.0/16 5");
    add("100 count ip from table(T) to table(U)");
    const auto number = history().back().number;
    EXPECT_EQ(apply("100 count ip from any to any").status, ExitStatus::ok);
    table("table T add 11.0.0.0/8 6");
    table("table U destroy");
    ASSERT_EQ(roll_back(number).status, ExitStatus::ok);
    EXPECT_EQ(entries_of("T"), (Strings{"10.0.0.0/8 5", "11.0.0.0/8 6"}));
    EXPECT_EQ(entries_of("U"), Strings{"10.9.0.0/16 5"});
}

// The history wants to know what is in tables, and the data plane answers one thing at a time.
TEST_F(ControllerHistoryTest, StatesAreKilledBeforeTablesAreAskedFor) {
    start();
    reports_.clear();
    table("table T create");
    table("table T add 10.0.0.0/8 5");
    dataplane_->behaviour.judged.moved = 2;
    for (const auto& [states, rules] :
         {std::pair(KeptStates::judged_anew, "100 allow ip from table(T) to any keep-state"),
          std::pair(KeptStates::none, "200 allow ip from table(T) to any keep-state")}) {
        // What was known of them is not known any more.
        for (int i = 0; i < 4; ++i)
            table("table T add 10.0.0." + std::to_string(i) + " 5");
        clock_s += 1000;
        const Response response = apply_and(states, rules);
        EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    }
    EXPECT_TRUE(reports_.empty()) << reports_.front();
    EXPECT_EQ(entries_of("T").size(), 5u);
}

TEST_F(ControllerHistoryTest, AFullDiskStopsNothingButTheHistory) {
    start();
    history();
    disk_.steps = 0;
    disk_.fails_from = 1;
    add("100 count ip from any to any");
    EXPECT_TRUE(wait([&] { return failures_.get() >= 3; }));
    EXPECT_EQ(dataplane_->rules().size(), 1u);
    add("200 count ip from any to any");
    EXPECT_EQ(dataplane_->rules().size(), 2u);
    const Response list = run(HistoryOperation{});
    EXPECT_THAT(list.results.at(0).complaints,
                ElementsAre(HasSubstr("the ruleset that runs is not in the history")));
    EXPECT_EQ(run(HistoryOperation{.kind = Kind::save}).status, ExitStatus::os);
    const auto told = [&](const char* what) {
        return std::count_if(reports_.begin(), reports_.end(), [&](const std::string& sentence) {
            return sentence.find(what) != std::string::npos;
        });
    };
    EXPECT_EQ(told("No space left on device: the ruleset runs"), 1);
    // What runs can still be left: the newest that is kept is one back.
    EXPECT_EQ(one_back().status, ExitStatus::ok);
    EXPECT_EQ(dataplane_->rules().size(), 0u);
    add("300 count ip from any to any");
    disk_.fails_from = 0;
    EXPECT_TRUE(wait([&] { return told("are written to /history again") == 1; }));
    restart_both();
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("300")));
}

// A disk that never answers holds up who asks for the history, and nobody else.
TEST_F(ControllerHistoryTest, ADiskThatHangsStopsNothingButTheHistory) {
    start();
    history();
    add("100 count ip from any to any");
    const auto number = history().back().number;
    Disk::hangs = true;
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(apply("200 count ip from any to any " + std::to_string(i)).status,
                  ExitStatus::ok);
    const Response response = one_back();
    EXPECT_EQ(response.status, ExitStatus::unavailable);
    EXPECT_THAT(response.message, HasSubstr("the disk does not take"));
    add("300 count ip from any to any");
    EXPECT_EQ(roll_back(number).status, ExitStatus::ok);
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
    Disk::hangs = false;
    restart_both();  // the last ones are lost, as when the power goes
    EXPECT_EQ(dataplane_->rules().size(), 1u);
}

// What waits for its confirmation is nothing that one boots with.
TEST_F(ControllerHistoryTest, WhatIsNotConfirmedIsNotKept) {
    quiet_ = milliseconds(10'000);
    start();
    add("100 count ip from any to any");
    ASSERT_EQ(apply("200 deny ip from any to any", 60).status, ExitStatus::ok);
    // The one before it is on the disk, although it was just made.
    EXPECT_TRUE(wait([&] { return keeper_->store().entries().size() == 1; }));
    table("table T create");
    EXPECT_EQ(history().back().did, "add 100 count ip from any to any");
    EXPECT_EQ(run(HistoryOperation{.kind = Kind::save}).status, ExitStatus::unavailable);
    EXPECT_EQ(roll_back(1).status, ExitStatus::unavailable);
    restart_both();
    EXPECT_THAT(dataplane_->rules(), ElementsAre(HasSubstr("100")));
}

TEST_F(ControllerHistoryTest, TheTextOfWhatRuns) {
    start();
    table("table T create");
    table("table T add 10.0.0.0/8 5");
    add("100 count ip from table(T) to any");
    const auto lines = run(HistoryOperation{.kind = Kind::running}).results.at(0).lines;
    EXPECT_THAT(lines, Contains("table T add 10.0.0.0/8 5"));
    EXPECT_THAT(lines, Contains("add 100 count ip from table(T) to any"));
    const auto shown = run(HistoryOperation{.kind = Kind::show, .number = history().back().number});
    EXPECT_EQ(shown.results.at(0).lines, lines);
    EXPECT_EQ(run(HistoryOperation{.kind = Kind::show, .number = 99}).status,
              ExitStatus::unavailable);
}

}  // namespace
}  // namespace sluice::service
