#include "controlplane/cli/change_command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;
using Order = service::SafetyOperation::Order;

ApplyCommand apply_of(const Words& words) {
    const auto command = parse_change_command(words);
    EXPECT_TRUE(command) << command.error().text();
    return command ? std::get<ApplyCommand>(command->what) : ApplyCommand();
}

TEST(ChangeCommand, IsToldByItsFirstWord) {
    EXPECT_TRUE(is_change_command(Words{"apply", "f"}));
    EXPECT_TRUE(is_change_command(Words{"-q", "panic", "off"}));
    EXPECT_FALSE(is_change_command(Words{"add", "apply"}));
    EXPECT_FALSE(is_change_command(Words{"-q"}));
}

TEST(ChangeCommand, ApplyTakesOptionsInAnyPlace) {
    EXPECT_EQ(apply_of({"apply", "rules"}).order, service::ApplyOrder());
    const ApplyCommand all =
        apply_of({"apply", "--if-gen", "42", "rules", "--confirm", "5m", "-q", "--states", "keep"});
    EXPECT_EQ(all.path, "rules");
    EXPECT_TRUE(all.flags.quiet && all.flags.force);
    EXPECT_EQ(all.order,
              (service::ApplyOrder{
                  .if_generation = 42, .confirm_s = 300, .states = service::KeptStates::all}));
    EXPECT_EQ(apply_of({"apply", "--confirm", "90", "r"}).order.confirm_s, 90u);
    EXPECT_EQ(apply_of({"apply", "--confirm", "24h", "r"}).order.confirm_s, 86400u);
    EXPECT_EQ(apply_of({"apply", "--states", "flush", "r"}).order.states,
              service::KeptStates::none);
    EXPECT_EQ(apply_of({"apply", "--states", "recheck", "r"}).order.states,
              service::KeptStates::judged_anew);
}

TEST(ChangeCommand, OrdersAreRead) {
    const auto order_of = [](const Words& words) {
        return std::get<service::SafetyOperation>(parse_change_command(words)->what).order;
    };
    EXPECT_EQ(order_of({"confirm"}), Order::confirm);
    EXPECT_EQ(order_of({"rollback"}), Order::give_back);
    EXPECT_EQ(order_of({"lock"}), Order::lock);
    EXPECT_EQ(order_of({"panic", "deny"}), Order::panic_deny);
    EXPECT_EQ(order_of({"panic", "pass"}), Order::panic_pass);
    EXPECT_EQ(order_of({"panic", "off"}), Order::panic_off);
}

TEST(ChangeCommand, RollbackTakesANumberAndWhatApplyTakes) {
    const auto rollback_of = [](const Words& words) {
        const auto command = parse_change_command(words);
        EXPECT_TRUE(command) << command.error().text();
        return std::get<RollbackCommand>(command->what);
    };
    EXPECT_EQ(rollback_of({"rollback", "17"}).number, 17u);
    EXPECT_EQ(rollback_of({"rollback", "17"}).order, service::ApplyOrder());
    EXPECT_TRUE(parse_change_command(Words{"-q", "rollback", "17"})->quiet);
    EXPECT_TRUE(parse_change_command(Words{"rollback", "17", "-q"})->quiet);
    EXPECT_TRUE(std::holds_alternative<service::SafetyOperation>(
        parse_change_command(Words{"rollback", "-q"})->what));
    const RollbackCommand full =
        rollback_of({"rollback", "--if-gen", "42", "17", "--confirm", "5m", "--states", "keep"});
    EXPECT_EQ(full.number, 17u);
    EXPECT_EQ(full.order,
              (service::ApplyOrder{
                  .if_generation = 42, .confirm_s = 300, .states = service::KeptStates::all}));
}

TEST(ChangeCommand, WhatIsWrongIsRefusedWithItsStatus) {
    const struct {
        Words words;
        ExitStatus status;
    } bad[] = {
        {{"apply"}, ExitStatus::usage},
        {{"apply", "a", "b"}, ExitStatus::usage},
        {{"apply", "--force", "a"}, ExitStatus::usage},
        {{"apply", "-x", "a"}, ExitStatus::usage},
        {{"apply", "a", "--if-gen"}, ExitStatus::usage},
        {{"apply", "a", "--if-gen", "-1"}, ExitStatus::data},
        {{"apply", "a", "--confirm", "0s"}, ExitStatus::data},
        {{"apply", "a", "--confirm", "25h"}, ExitStatus::data},
        {{"apply", "a", "--confirm", "99999999999999999999"}, ExitStatus::data},
        {{"apply", "a", "--confirm", "soon"}, ExitStatus::data},
        {{"apply", "a", "--states", "some"}, ExitStatus::usage},
        {{"-n", "apply", "a", "--confirm", "1m"}, ExitStatus::usage},
        {{"panic"}, ExitStatus::usage},
        {{"rollback", "x"}, ExitStatus::data},
        {{"rollback", "0"}, ExitStatus::data},
        {{"rollback", "1", "2"}, ExitStatus::usage},
        {{"rollback", "--force", "2"}, ExitStatus::usage},
        {{"rollback", "--confirm", "1m"}, ExitStatus::usage},
        {{"-n", "rollback"}, ExitStatus::usage},
        {{"-n", "rollback", "1"}, ExitStatus::usage},
        {{"panic", "maybe"}, ExitStatus::usage},
        {{"lock", "door"}, ExitStatus::usage},
        {{"-n", "lock"}, ExitStatus::usage},
    };
    for (const auto& each : bad) {
        const auto command = parse_change_command(each.words);
        ASSERT_FALSE(command) << each.words.back();
        EXPECT_EQ(command.error().status, each.status) << command.error().text();
    }
}

TEST(ChangeCommand, SaysWhatWasAppliedAndForHowLong) {
    service::Response response;
    response.generation = 43;
    response.applied = service::ApplyReport{.generation_before = 42,
                                            .difference = {.added = 3, .removed = 1, .changed = 2}};
    EXPECT_EQ(applied_text(response, 7), "generation 42 -> 43 (+3 -1 ~2 rules, 7 ms)\n");
    response.condition.confirm_ms = 59'400;
    EXPECT_EQ(applied_text(response, 7),
              "generation 42 -> 43 (+3 -1 ~2 rules, 7 ms)\n"
              "It goes back in 60 s unless you type `ipfw confirm`.\n");
    EXPECT_TRUE(warnings_of({}).empty());
    EXPECT_EQ(warnings_of({.panic = contract::Panic::pass, .confirm_ms = 1}).size(), 2u);
}

}  // namespace
}  // namespace sluice::cli
