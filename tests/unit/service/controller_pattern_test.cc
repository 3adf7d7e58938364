// Pattern objects from the command to the snapshot, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "controlplane/language/command.h"
#include "controlplane/service/controller.h"
#include "controlplane/service/script_builder.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;
using Strings = std::vector<std::string>;
using testing::HasSubstr;

class ControllerPatternTest : public testing::Test {
  protected:
    ControllerPatternTest() : loop_(std::move(*EventLoop::create())), log_writer_({}) {
        char name[] = "/tmp/sluice-ctl-XXXXXX";
        folder_ = mkdtemp(name);
        dataplane_ = std::make_unique<FakeDataplane>(*loop_, folder_ + "/dp.sock");
        start_controller();
        EXPECT_TRUE(wait_for(*loop_, [&] { return controller_->generation() == 1; }));
    }
    ~ControllerPatternTest() override {
        controller_.reset();
        dataplane_.reset();
        std::filesystem::remove_all(folder_);
    }

    void start_controller() {
        controller_ = std::make_unique<Controller>(
            *loop_,
            ControllerOptions{.dataplane_socket = folder_ + "/dp.sock",
                              .answer_timeout = milliseconds(5000),
                              .clock_s = [] { return std::uint64_t{1000}; }},
            log_writer_, [](const std::string&) {});
        controller_->start();
    }

    // The lines of a rule file, or a command if there is one.
    Response run(const Strings& lines) {
        Request request{.whole = lines.size() > 1, .operations = {}};
        for (const std::string& line : lines) {
            const auto words = language::split_line(line);
            EXPECT_TRUE(words) << line;
            const auto invocation = language::parse_command(*words, language::refusing_resolver());
            EXPECT_TRUE(invocation) << line << ": " << invocation.error().text();
            auto operations =
                operations_for(invocation->command, invocation->flags,
                               static_cast<std::uint32_t>(request.operations.size() + 1));
            EXPECT_TRUE(operations) << line;
            for (Operation& operation : *operations)
                request.operations.push_back(std::move(operation));
        }
        std::optional<Response> answer;
        controller_->submit(std::move(request), [&](const Response& r) { answer = r; });
        EXPECT_TRUE(wait_for(*loop_, [&] { return answer.has_value(); }));
        return answer.value_or(Response{});
    }

    std::string file(const std::string& content) const {
        std::ofstream(folder_ + "/patterns") << content;
        return folder_ + "/patterns";
    }

    void fill() {
        const Response response =
            run({"pattern web create mode stream nocase", "pattern web add \"a b\" 7 re:/x+y/",
                 "pattern hosts create type names", "pattern hosts add Example.com =b.example 9",
                 "add 100 deny tcp from any to any payload web",
                 "add 200 deny tcp from any to any tls-sni hosts,9 payload \"inline\""});
        EXPECT_EQ(response.status, ExitStatus::ok) << response.message;
    }

    // Name, settings and patterns of each object in the snapshot.
    Strings in_force() const {
        Strings objects;
        const contract::SnapshotView& view = dataplane_->snapshot();
        for (const contract::PatternObject& object : view.pattern_objects()) {
            std::string text = std::string(object.name) + ":";
            for (const contract::PatternRecord& pattern : view.patterns(object))
                text += " " + std::string(view.pattern_text(pattern)) + "=" +
                        std::to_string(pattern.value);
            text += view.database(object).empty() ? "" : " (database)";
            objects.push_back(text);
        }
        return objects;
    }

    std::unique_ptr<EventLoop> loop_;
    log::LogWriter log_writer_;
    std::string folder_;
    std::unique_ptr<FakeDataplane> dataplane_;
    std::unique_ptr<Controller> controller_;
};

const Strings kAll = {": \"inline\"=1 (database)", "hosts: example.com=0 =b.example=9",
                      "web: \"a b\"=7 re:/x+y/=0 (database)"};

TEST_F(ControllerPatternTest, AScriptWithObjectsIsOneSnapshot) {
    fill();
    EXPECT_EQ(dataplane_->generation(), 2u);
    EXPECT_EQ(in_force(), kAll);
    const contract::SnapshotView& view = dataplane_->snapshot();
    const contract::PatternObject& web = view.pattern_objects()[2];
    EXPECT_EQ(web.mode, contract::PatternMode::stream);
    EXPECT_EQ(web.depth, contract::kStreamDepth);
    EXPECT_EQ(web.ignore_case, 1);
    std::vector<contract::Instruction> tests;
    for (const contract::Instruction& test : view.instructions())
        if (test.opcode == contract::Opcode::payload)
            tests.push_back(test);
    ASSERT_EQ(tests.size(), 3u);
    EXPECT_EQ(tests[0].argument, 2u);
    EXPECT_EQ(tests[0].flags, 0);
    EXPECT_EQ(tests[1].argument, 1u);
    EXPECT_EQ(tests[1].detail, static_cast<int>(contract::PayloadPart::tls_sni));
    EXPECT_EQ(tests[1].flags, contract::kPatternValue);
    EXPECT_EQ(tests[1].data, 9u);
    EXPECT_EQ(tests[2].argument, 0u);
    EXPECT_EQ(tests[2].data, 1u);
}

TEST_F(ControllerPatternTest, WhatFailsChangesNothing) {
    fill();
    for (const Strings& lines : std::vector<Strings>{
             {"pattern web add new", "add 300 deny tcp from any to any payload no"},
             {"pattern web add new", "pattern web add new"},
             {"pattern web flush", "pattern hosts add \"a b\""},
             {"pattern web flush", "pattern web add re:/(?=a)b/"},
             {"delete 200", "pattern web destroy"}}) {
        const Response response = run(lines);
        EXPECT_NE(response.status, ExitStatus::ok) << lines[1];
        EXPECT_NE(response.message, "");
        EXPECT_EQ(dataplane_->generation(), 2u);
        EXPECT_EQ(in_force(), kAll);
    }
    // Where the pattern stands that cannot be compiled.
    EXPECT_EQ(run({"pattern web flush", "pattern web add re:/(?=a)b/ c"}).line, 2u);
    EXPECT_THAT(run({"pattern web load " + file("good\n\n 7\tre:/x(?=a)b/\n")}).message,
                HasSubstr("/patterns:3:"));
    const Response used = run({"pattern web destroy"});
    EXPECT_EQ(used.results.at(0).status, ExitStatus::os);
    EXPECT_EQ(used.results[0].complaints,
              Strings{"failed to destroy pattern object web: 1 rule names it"});
    EXPECT_EQ(run({"delete 100", "pattern web destroy"}).status, ExitStatus::ok);
    EXPECT_EQ(in_force().size(), 2u);
}

TEST_F(ControllerPatternTest, ACrashedControlPlaneComesBackWithTheSameObjects) {
    fill();
    const auto before = controller_->ruleset().patterns().all();
    const std::size_t offers = dataplane_->offers();
    controller_.reset();
    start_controller();
    ASSERT_TRUE(wait_for(*loop_, [&] { return controller_->generation() == 2; }));
    EXPECT_EQ(dataplane_->offers(), offers);
    const auto after = controller_->ruleset().patterns().all();
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i) {
        EXPECT_EQ(after[i]->name, before[i]->name);
        EXPECT_EQ(after[i]->settings, before[i]->settings);
        EXPECT_EQ(after[i]->content, before[i]->content);
        ASSERT_EQ(bool(after[i]->database), bool(before[i]->database));
        if (after[i]->database) {
            EXPECT_EQ(after[i]->database->bytes, before[i]->database->bytes);
        }
    }
    // And it goes on from there, with what it has.
    EXPECT_EQ(run({"add 300 deny tcp from any to any payload \"inline\""}).status, ExitStatus::ok);
    EXPECT_EQ(in_force(), kAll);
    EXPECT_EQ(controller_->ruleset().patterns().all()[2]->database, after[2]->database);
}

TEST_F(ControllerPatternTest, HitsAreAskedOfTheDataPlane) {
    fill();
    const Response shown = run({"pattern web show"});
    ASSERT_EQ(shown.results.size(), 1u) << shown.message;
    ASSERT_EQ(shown.results[0].pattern_objects.size(), 1u);
    const ListedPatternObject& web = shown.results[0].pattern_objects[0];
    EXPECT_EQ(web.patterns, (std::vector<ListedPattern>{{"\"a b\"", 7, 1}, {"re:/x+y/", 0, 2}}));
    ASSERT_TRUE(web.running);
    EXPECT_EQ(web.running->streams, 4u);
    EXPECT_EQ(web.references, 1u);

    const Response info = run({"pattern web info"});
    ASSERT_EQ(info.results.at(0).pattern_objects.size(), 1u);
    EXPECT_TRUE(info.results[0].pattern_objects[0].running);
    EXPECT_TRUE(info.results[0].pattern_objects[0].patterns.empty());
    EXPECT_EQ(info.results[0].pattern_objects[0].settings,
              "type bytes mode stream depth 8192 dir both nocase");
    EXPECT_EQ(run({"pattern all info"}).results.at(0).pattern_objects.size(), 2u);
    const Response missing = run({"pattern no show"});
    EXPECT_EQ(missing.results.at(0).complaints,
              Strings{"failed to request pattern object no: pattern object not found"});
}

TEST_F(ControllerPatternTest, AnAnswerThatPromisesMoreEndsTheConnection) {
    fill();
    dataplane_->behaviour.short_patterns = true;
    EXPECT_THAT(run({"pattern web show"}).message, HasSubstr("while it was asked about patterns"));
}

TEST_F(ControllerPatternTest, WithoutADataPlaneObjectsAreListed) {
    fill();
    dataplane_.reset();
    ASSERT_TRUE(wait_for(*loop_, [&] { return !run({"list"}).data_plane; }));
    EXPECT_EQ(run({"pattern web list"}).results.at(0).pattern_objects.size(), 1u);
    EXPECT_EQ(run({"pattern web info"}).results.at(0).pattern_objects.size(), 1u);
    EXPECT_EQ(run({"pattern web show"}).status, ExitStatus::unavailable);
    EXPECT_EQ(run({"pattern web flush"}).status, ExitStatus::unavailable);
}

}  // namespace
}  // namespace sluice::service
