#include "controlplane/service/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace sluice::service {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

template <typename... What>
Request request_of(What... what) {
    Request request;
    (request.operations.push_back({.what = what}), ...);
    return request;
}

class KeptSink final : public log::LogSink {
  public:
    explicit KeptSink(std::vector<std::string>& lines) : lines_(lines) {}
    void write(std::string_view line, std::uint64_t, log::Priority) override {
        lines_.emplace_back(line);
    }
    void flush() override {}
    void reopen() override { lines_.emplace_back("reopened"); }
    std::uint64_t failures() const override { return 0; }

  private:
    std::vector<std::string>& lines_;
};

struct AuditLogTest : testing::Test {
    std::vector<std::string> reported, in_file;
    AuditLog log{[this](const std::string& line) { reported.push_back(line); },
                 std::make_unique<KeptSink>(in_file)};
    int answered = 0;
    ControlServer::Reply reply = [this](const Response&) { ++answered; };
};

Response at(std::uint64_t generation) {
    Response response;
    response.generation = generation;
    return response;
}

StateOperation kill() {
    StateOperation operation;
    operation.kind = StateOperation::Kind::kill;
    return operation;
}

const Peer kRoot{.user = 0, .process = 77, .role = Role::admin};

TEST_F(AuditLogTest, AChangeHasOneLineInBothPlaces) {
    const auto recorded =
        log.recorded(request_of(AddOperation{"100 allow ip from any to any"}), kRoot, 6, reply);
    EXPECT_TRUE(reported.empty());
    recorded(at(7));
    EXPECT_EQ(answered, 1);
    ASSERT_EQ(reported.size(), 1u);
    EXPECT_EQ(reported[0],
              "audit: uid=0 user=root pid=77 role=admin generation=6->7 status=0 "
              "did=\"add 100 allow ip from any to any\"");
    EXPECT_EQ(in_file, std::vector<std::string>{"sluice: " + reported[0]});
    // A change that was submitted before the first one was answered.
    log.recorded(request_of(language::FlushCommand{}), kRoot, 6, reply)(at(8));
    EXPECT_THAT(reported[1], HasSubstr("generation=7->8 status=0 did=\"flush\""));
}

TEST_F(AuditLogTest, WhatOnlyReadsHasNone) {
    log.recorded(request_of(ListOperation{}), kRoot, 1, reply)(at(1));
    EXPECT_EQ(answered, 1);
    EXPECT_TRUE(reported.empty());
}

TEST_F(AuditLogTest, AFailureSaysWhy) {
    log.recorded(request_of(language::DeleteCommand{{{5, 9}}, {}, {}}), kRoot, 3,
                 reply)(refusal({ExitStatus::unavailable, "no \"data\" plane"}));
    ASSERT_EQ(reported.size(), 1u);
    EXPECT_THAT(reported[0],
                HasSubstr("status=69 did=\"delete 5-9\" because=\"no \\x22data\\x22 plane\""));
    // One operation of several has failed.
    Response partly;
    partly.results.emplace_back().status = ExitStatus::unavailable;
    log.recorded(request_of(language::DeleteCommand{}), kRoot, 3, reply)(partly);
    EXPECT_THAT(reported[1], HasSubstr("status=69"));
}

TEST_F(AuditLogTest, ARoleThatIsTooLittle) {
    log.refused(request_of(language::ZeroCommand{}), {.user = 1, .process = 2, .role = Role::read},
                {ExitStatus::no_permission, "permission denied"});
    ASSERT_EQ(reported.size(), 1u);
    EXPECT_THAT(reported[0], StartsWith("audit: uid=1 user="));
    EXPECT_THAT(reported[0], HasSubstr(" role=read generation=0->0 status=77 did=\"zero\" "
                                       "because=\"permission denied\""));
}

TEST_F(AuditLogTest, ALineStaysALine) {
    log.recorded(request_of(AddOperation{"1 count ip from any to any // \x1b[2J\" uid=0"
                                         "\n2 count ip from any to any"}),
                 kRoot, 1, reply)(at(1));
    ASSERT_EQ(reported.size(), 1u);
    EXPECT_EQ(reported[0].find_first_of("\n\x1b"), std::string::npos);
    EXPECT_THAT(reported[0], HasSubstr("// \\x1b[2J\\x22 uid=0 and up to 1 more\""));
}

TEST_F(AuditLogTest, ReopensItsFile) {
    log.reopen();
    EXPECT_EQ(in_file, std::vector<std::string>{"reopened"});
    AuditLog without([](const std::string&) {}, nullptr);
    without.reopen();
}

TEST(DescribedTest, InTheWordsOfIpfw) {
    using language::TableCommand;
    EXPECT_EQ(described(request_of(language::ZeroCommand{{7}, {}, true})), "resetlog 7");
    EXPECT_EQ(described(request_of(language::SetEnableCommand{.enable = 2, .disable = 5})),
              "set enable 1 disable 0 2");
    EXPECT_EQ(described(request_of(language::SetMoveCommand{.by_rule = true, .what = 10, .to = 3})),
              "set move rule 10 to 3");
    EXPECT_EQ(described(request_of(language::SetSwapCommand{.first = 1, .second = 2})),
              "set swap 1 2");
    EXPECT_EQ(described(request_of(WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"})),
              "sysctl net.inet.ip.fw.verbose=1");
    EXPECT_EQ(described(request_of(kill())), "state kill");
    EXPECT_EQ(described(request_of(RollbackOperation{7})), "rollback 7");
    using Kind = HistoryOperation::Kind;
    EXPECT_EQ(described(request_of(HistoryOperation{.kind = Kind::save})), "save");
    EXPECT_EQ(described(request_of(HistoryOperation{.kind = Kind::list})), "");
    Request apply = request_of(AddOperation{"1 count ip from any to any"});
    apply.apply.emplace();
    apply.source = "/etc/rules";
    EXPECT_EQ(described(apply), "apply /etc/rules: add 1 count ip from any to any");
    apply.operations.clear();
    EXPECT_EQ(described(apply), "apply /etc/rules");
    TableOperation add;
    add.command.verb = TableCommand::Verb::add;
    add.command.table = "T";
    add.command.records = {{"192.0.2.1", "5"}, {"192.0.2.2", ""}};
    EXPECT_EQ(described(request_of(add)), "table T add 192.0.2.1 5 192.0.2.2");
    PatternOperation pattern;
    pattern.command.verb = language::PatternCommand::Verb::add;
    pattern.command.object = "web";
    pattern.command.entries = {{"\"a b\"", 7}, {"cmd.exe", {}}};
    EXPECT_EQ(described(request_of(pattern)), "pattern web add \"a b\" 7 cmd.exe");
    EXPECT_EQ(described(request_of(PatternOperation{})), "");
    EXPECT_EQ(described(request_of(ListOperation{}, language::FlushCommand{.in_set = 4})),
              "set 4 flush");
    EXPECT_EQ(described(request_of(ListOperation{})), "");
    using Order = SafetyOperation::Order;
    EXPECT_EQ(described(request_of(SafetyOperation{Order::lock})), "lock");
    EXPECT_EQ(described(request_of(SafetyOperation{Order::give_back})), "rollback");
    EXPECT_EQ(described(request_of(SafetyOperation{Order::panic_deny})), "panic deny");
    Request for_a_time = request_of(language::FlushCommand{});
    for_a_time.apply = ApplyOrder{.if_generation = {}, .confirm_s = 60};
    EXPECT_EQ(described(for_a_time), "apply --confirm 60s; flush");
}

// Else the fuzzer of the protocol would never get as far as a request.
TEST(DescribedTest, TheCorpusOfTheFuzzerHasRequests) {
    unsigned count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(SLUICE_CORPUS)) {
        std::ifstream file(entry.path(), std::ios::binary);
        std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        ASSERT_EQ(text.front(), 'V');
        text.replace(0, 1, "{\"version\":" + std::to_string(kProtocolVersion) + ",");
        const auto request = decode_request(text);
        ASSERT_TRUE(request) << entry.path() << ": " << request.error().message;
        if (needed_for(*request) != Role::read) {
            EXPECT_NE(described(*request), "");
        }
        ++count;
    }
    EXPECT_GE(count, 9u);
}

TEST(DescribedTest, IsShortened) {
    Request request;
    for (int i = 0; i < 10'000; ++i)
        request.operations.push_back({.what = AddOperation{std::string(100, 'a')}});
    const std::string text = described(request);
    EXPECT_LT(text.size(), kLongestText + 40);
    EXPECT_THAT(text, testing::EndsWith("...; and 9996 more"));
    EXPECT_LT(described(request_of(AddOperation{std::string(1 << 20, 'a')})).size(),
              kLongestText + 40);
}

}  // namespace
}  // namespace sluice::service
