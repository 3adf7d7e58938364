#include "controlplane/service/script.h"

#include <gtest/gtest.h>

#include "dataplane/contract/annotations.h"

namespace sluice::service {
namespace {

using ruleset::Ruleset;

RuleTotals no_counters(std::uint32_t) {
    return {};
}
RuleTotals some_counters(std::uint32_t slot) {
    return {slot * 10, slot * 1000, 5};
}

template <typename... What>
Request request(bool whole, What... what) {
    Request r{.whole = whole, .operations = {}};
    (r.operations.push_back({.line = static_cast<std::uint32_t>(r.operations.size() + 1),
                             .forgive = false,
                             .what = what}),
     ...);
    return r;
}

AddOperation add(std::string rule) {
    return {std::move(rule)};
}
language::DeleteCommand remove(std::vector<language::RuleRange> rules) {
    return {.rules = std::move(rules), .sets = {}, .in_set = {}};
}
language::ZeroCommand zero(std::vector<std::uint16_t> rules, bool log_only = false) {
    return {.rules = std::move(rules), .in_set = {}, .log_only = log_only};
}

Ruleset with(std::vector<std::string> rules) {
    Ruleset set(false);
    Request r;
    for (auto& rule : rules)
        r.operations.push_back({.line = 0, .forgive = false, .what = add(rule)});
    auto outcome = run_script(r, set, no_counters);
    EXPECT_TRUE(outcome);
    outcome->ruleset.published();
    return outcome->ruleset;
}

TEST(Script, RulesThatStandTogetherAreAddedInOrderAndFailByLine) {
    const std::string rules =
        "deny ip from any to any 1\n\n\n50 count ip from any to any\nallow ip "
        "from any to me";
    auto outcome = run_script(request(true, add(rules)), Ruleset(false), no_counters);
    ASSERT_TRUE(outcome);
    ASSERT_EQ(outcome->results.size(), 1u);
    const std::vector<ruleset::ListedRule> expected = {
        {.number = 100, .set = 0, .text = "deny ip from any to any 1"},
        {.number = 50, .set = 0, .text = "count ip from any to any"},
        {.number = 200, .set = 0, .text = "allow ip from any to me"}};
    EXPECT_EQ(outcome->results[0].rules, expected);

    outcome = run_script(request(true, add("count ip from any to any"), add(rules + "\nnonsense")),
                         Ruleset(false), no_counters);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().line, 7u);  // the second operation begins in line 2
    EXPECT_FALSE(run_script(request(true, add("")), Ruleset(false), no_counters));
}

TEST(Script, AddAnswersWithNumberAndCanonicalText) {
    const auto outcome = run_script(request(false, add("pass all from any to 1.2.3.4/32")),
                                    Ruleset(false), some_counters);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->changed);
    ASSERT_EQ(outcome->results.size(), 1u);
    const std::vector<ruleset::ListedRule> expected = {
        {.number = 100, .set = 0, .text = "allow ip from any to 1.2.3.4"}};
    EXPECT_EQ(outcome->results[0].rules, expected);
}

TEST(Script, AFailingLineIsNamed) {
    const Ruleset before = with({"100 allow ip from any to any"});
    const auto outcome =
        run_script(request(true, add("deny tcp from any to any"), remove({{100, 100}}),
                           add("65535 allow ip from any to any"), add("count ip from any to any")),
                   before, no_counters);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().line, 3u);
    EXPECT_EQ(outcome.error().error.status, ExitStatus::unavailable);
    EXPECT_EQ(before.size(), 1u);
}

TEST(Script, NamesAreNotResolvedHere) {
    const auto outcome = run_script(request(false, add("allow ip from localhost to any")),
                                    Ruleset(false), no_counters);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().error.status, ExitStatus::no_host);
}

TEST(Script, WhatIsNotCarriedOutIsRefused) {
    const auto outcome =
        run_script(request(false, add("pipe 1 ip from any to any")), Ruleset(false), no_counters);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().error.status, ExitStatus::unavailable);
    EXPECT_TRUE(outcome.error().error.message.starts_with("not supported yet: "))
        << outcome.error().error.message;
}

TEST(Script, DeleteDoesWhatItCanAndComplainsAboutTheRest) {
    const Ruleset before = with({"100 allow ip from any to any", "200 deny ip from any to any",
                                 "300 count ip from any to any"});
    const auto outcome = run_script(
        request(false, remove({{100, 100}, {150, 150}, {300, 400}, {500, 600}, {65535, 65535}})),
        before, no_counters);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->ruleset.size(), 1u);
    EXPECT_EQ(outcome->results[0].status, ExitStatus::unavailable);
    EXPECT_EQ(outcome->results[0].complaints,
              (std::vector<std::string>{"rule 150 not found", "no rules in range 500-600",
                                        "rule 65535 is the default rule: it cannot be deleted"}));
    // In a file the same is a failure of the whole.
    const auto whole =
        run_script(request(true, remove({{100, 100}, {150, 150}})), before, no_counters);
    ASSERT_FALSE(whole);
    EXPECT_EQ(whole.error().error.message, "rule 150 not found");
    // Unless -f or -q was given.
    Request forgiving = request(true, remove({{150, 150}}));
    forgiving.operations[0].forgive = true;
    const auto forgiven = run_script(forgiving, before, no_counters);
    ASSERT_TRUE(forgiven);
    EXPECT_FALSE(forgiven->changed);
    EXPECT_EQ(forgiven->results[0].status, ExitStatus::ok);
    EXPECT_EQ(forgiven->results[0].complaints.size(), 1u);
}

TEST(Script, DeletingAnEmptySetIsComplainedAbout) {
    const Ruleset before = with({"100 set 4 allow ip from any to any"});
    const auto outcome = run_script(
        request(false, language::DeleteCommand{.rules = {}, .sets = {4, 5}, .in_set = {}}), before,
        no_counters);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->ruleset.size(), 0u);
    EXPECT_EQ(outcome->results[0].complaints, std::vector<std::string>{"no rules in set 5"});
}

TEST(Script, FlushSaysSoAndFlushOfASetIsOnlyThat) {
    const Ruleset before =
        with({"100 allow ip from any to any", "200 set 5 deny ip from any to any",
              "300 set 31 count ip from any to any"});
    const auto all = run_script(request(false, language::FlushCommand{}), before, no_counters);
    ASSERT_TRUE(all);
    EXPECT_EQ(all->ruleset.size(), 1u);
    EXPECT_EQ(all->results[0].lines, std::vector<std::string>{"Flushed all rules."});
    const auto five =
        run_script(request(false, language::FlushCommand{.in_set = 5}), before, no_counters);
    ASSERT_TRUE(five);
    EXPECT_EQ(five->ruleset.size(), 2u);
}

TEST(Script, ZeroSparesSet31AndTheDefaultRule) {
    const Ruleset before =
        with({"100 allow ip from any to any", "200 set 31 deny ip from any to any"});
    const auto all = run_script(request(false, zero({})), before, no_counters);
    ASSERT_TRUE(all);
    EXPECT_FALSE(all->changed);
    ASSERT_EQ(all->clear.size(), 2u);
    EXPECT_EQ(all->clear[0].slot, before.rules()[0]->slot);
    EXPECT_FALSE(all->clear[0].log_only);
    EXPECT_EQ(all->clear[1].slot, contract::kBogusSlot);
    EXPECT_TRUE(all->clear[1].log_only);
    EXPECT_EQ(all->results[0].lines, std::vector<std::string>{"Accounting cleared."});

    const auto named = run_script(request(false, zero({65535, 200, 7}, true)), before, no_counters);
    ASSERT_TRUE(named);
    ASSERT_EQ(named->clear.size(), 2u);
    EXPECT_TRUE(named->clear[0].log_only);
    EXPECT_EQ(named->results[0].lines,
              (std::vector<std::string>{"Entry 65535 logging count reset.",
                                        "Entry 200 logging count reset."}));
    EXPECT_EQ(named->results[0].complaints, std::vector<std::string>{"Entry 7 not found"});
    EXPECT_EQ(named->results[0].status, ExitStatus::unavailable);
}

TEST(Script, AListInTheMiddleShowsWhatWillBe) {
    const Ruleset before = with({"100 allow ip from any to any", "200 deny ip from any to any"});
    const auto outcome =
        run_script(request(true, zero({100}), add("150 count ip from any to any"), ListOperation{}),
                   before, some_counters);
    ASSERT_TRUE(outcome);
    const auto& rules = outcome->results[2].rules;
    ASSERT_EQ(rules.size(), 4u);
    EXPECT_EQ(rules[0].packets, 0u);  // zeroed by the first line
    EXPECT_EQ(rules[1].packets, 0u);  // new
    EXPECT_EQ(rules[2].packets, before.rules()[1]->slot * 10u);
    EXPECT_EQ(rules[3].number, 65535);
}

TEST(Script, Sysctls) {
    const auto outcome = run_script(
        request(false, WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"},
                ReadSysctlOperation{{"net.inet.ip.fw.static_count"}}, ReadSysctlOperation{}),
        with({"100 allow ip from any to any"}), no_counters);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->changed);
    EXPECT_EQ(outcome->results[0].sysctls,
              (std::vector<SysctlReport>{{"net.inet.ip.fw.verbose", 1, 0}}));
    EXPECT_EQ(outcome->results[1].sysctls[0].value, 2u);
    EXPECT_GT(outcome->results[2].sysctls.size(), 8u);
    const auto same =
        run_script(request(false, WriteSysctlOperation{"net.inet.ip.fw.verbose", "0"}),
                   Ruleset(false), no_counters);
    ASSERT_TRUE(same);
    EXPECT_FALSE(same->changed);
    EXPECT_FALSE(
        run_script(request(false, ReadSysctlOperation{{"no.such"}}), Ruleset(false), no_counters));
}

TEST(Script, SetsAreSwitchedAndShown) {
    const auto outcome = run_script(
        request(true, language::SetEnableCommand{.enable = 0, .disable = 1u << 4},
                add("300 set 4 count ip from any to any"), ShowSetsOperation{}, ListOperation{}),
        with({"100 set 4 allow ip from any to any"}), no_counters);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->changed);
    EXPECT_FALSE(outcome->results[1].rules[0].disabled);  // what was added is echoed
    EXPECT_EQ(outcome->results[2].disabled_sets, 1u << 4);
    const auto& rules = outcome->results[3].rules;
    ASSERT_EQ(rules.size(), 3u);
    EXPECT_TRUE(rules[0].disabled && rules[1].disabled);
    EXPECT_FALSE(rules[2].disabled);
    const auto same =
        run_script(request(false, language::SetEnableCommand{.enable = 1, .disable = 1u << 4}),
                   outcome->ruleset, no_counters);
    ASSERT_TRUE(same);
    EXPECT_FALSE(same->changed);
}

TEST(Script, SetsAreMovedAndSwapped) {
    const Ruleset rules =
        with({"100 set 4 allow ip from any to any", "200 deny ip from any to any"});
    const auto swapped = run_script(
        request(false, language::SetSwapCommand{.first = 4, .second = 0}), rules, no_counters);
    ASSERT_TRUE(swapped);
    EXPECT_TRUE(swapped->changed);
    EXPECT_EQ(swapped->ruleset.rules()[0]->rule.set, 0);
    EXPECT_EQ(swapped->ruleset.rules()[1]->rule.set, 4);

    using Move = language::SetMoveCommand;
    const auto moved = run_script(request(true, Move{.by_rule = true, .what = 100, .to = 7},
                                          Move{.by_rule = false, .what = 0, .to = 8}),
                                  rules, no_counters);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->ruleset.rules()[0]->rule.set, 7);
    EXPECT_EQ(moved->ruleset.rules()[1]->rule.set, 8);

    const auto empty =
        run_script(request(false, Move{.by_rule = false, .what = 30, .to = 7}), rules, no_counters);
    ASSERT_TRUE(empty);
    EXPECT_FALSE(empty->changed);
    EXPECT_EQ(empty->results[0].status, ExitStatus::ok);
    const auto nothing =
        run_script(request(false, Move{.by_rule = true, .what = 300, .to = 7}), rules, no_counters);
    ASSERT_TRUE(nothing);
    EXPECT_EQ(nothing->results[0].status, ExitStatus::unavailable);
    EXPECT_EQ(nothing->results[0].complaints, (std::vector<std::string>{"rule 300 not found"}));
    const auto last = run_script(request(false, Move{.by_rule = true, .what = 65535, .to = 7}),
                                 rules, no_counters);
    EXPECT_EQ(last->results[0].status, ExitStatus::unavailable);
}

TEST(Script, OrphansGoWhenTheSysctlIsCleared) {
    Ruleset rules = with({"100 allow tcp from any to any keep-state"});
    rules.sysctls().dyn_keep_states = 1;
    const auto deleted = run_script(request(false, remove({{100, 100}})), rules, no_counters);
    ASSERT_TRUE(deleted);
    EXPECT_EQ(deleted->ruleset.orphans().size(), 1u);
    const auto cleared =
        run_script(request(false, WriteSysctlOperation{"net.inet.ip.fw.dyn_keep_states", "0"}),
                   deleted->ruleset, no_counters);
    ASSERT_TRUE(cleared);
    EXPECT_TRUE(cleared->ruleset.orphans().empty());
}

StateOperation kill(std::optional<language::RuleRange> rules) {
    StateOperation result{.kind = StateOperation::Kind::kill, .filter = {}};
    result.filter.rules = rules;
    return result;
}

TEST(Script, StatesAreKilledByRule) {
    const Ruleset rules =
        with({"100 allow tcp from any to any keep-state", "150 count ip from any to any",
              "200 allow udp from any to any limit src-addr 2"});
    const auto outcome = run_script(request(false, kill(language::RuleRange{100, 300}),
                                            kill(language::RuleRange{7, 7}), kill(std::nullopt)),
                                    rules, no_counters);
    ASSERT_TRUE(outcome);
    EXPECT_FALSE(outcome->changed);
    ASSERT_EQ(outcome->kills.size(), 3u);
    ASSERT_EQ(outcome->kills[0].filters.size(), 2u);  // those that make states
    EXPECT_EQ(outcome->kills[0].filters[0].rule_number, 100);
    EXPECT_EQ(outcome->kills[0].filters[1].rule_number, 200);
    EXPECT_EQ(outcome->kills[1].filters.at(0).rule_number, 7);
    EXPECT_EQ(outcome->kills[2].filters.at(0).rule_number, 0);

    OperationResult none, some;
    none.state_count = 0;
    some.state_count = 3;
    outcome->kills[1].conclude(none);
    outcome->kills[1].conclude(some);
    EXPECT_EQ(none.status, ExitStatus::unavailable);
    EXPECT_EQ(none.complaints, std::vector<std::string>{"no dynamic rules of rule 7"});
    EXPECT_EQ(some.status, ExitStatus::ok);
    OperationResult all;
    all.state_count = 0;
    outcome->kills[2].conclude(all);  // to kill all of none is all right
    EXPECT_EQ(all.status, ExitStatus::ok);
}

TEST(Script, FiltersReachTheDataPlane) {
    StateOperation question{.kind = StateOperation::Kind::count, .filter = {}};
    question.filter.address = *parse_ipv4("10.1.0.0");
    question.filter.prefix_length = 16;
    question.filter.protocol = 0;
    question.filter.port = 53;
    question.filter.rules = language::RuleRange{9, 9};
    question.filter.name = "web";
    question.filter.minimum_age_s = 60;
    const auto wanted = states_wanted(request(false, question));
    ASSERT_TRUE(wanted);
    EXPECT_EQ(wanted->wanted, contract::StatesWanted::count);
    EXPECT_EQ(wanted->filter.ip_version, 4);
    EXPECT_EQ(wanted->filter.prefix_length, 16);
    EXPECT_EQ(wanted->filter.address.bytes[1], 1);
    EXPECT_EQ(wanted->filter.has_protocol, 1);
    EXPECT_EQ(wanted->filter.protocol, 0);
    EXPECT_EQ(wanted->filter.port, 53);
    EXPECT_EQ(wanted->filter.rule_number, 9);
    EXPECT_EQ(wanted->filter.name, contract::state_name_id("web"));
    EXPECT_EQ(wanted->filter.minimum_age_s, 60u);

    EXPECT_FALSE(states_wanted(request(false, ListOperation{}, kill(std::nullopt))));
    ListOperation one, other;
    one.states = other.states = ListedStates::current;
    one.rules = {{100, 100}};
    EXPECT_EQ(states_wanted(request(false, one))->filter.rule_number, 100);
    EXPECT_EQ(states_wanted(request(false, one, other))->filter.rule_number, 0);  // all of them
}

TEST(Script, ListsTheStatesOfTheRulesThatAreAskedFor) {
    const Ruleset rules = with({"100 allow tcp from any to any keep-state",
                                "200 allow udp from any to any limit src-addr 2"});
    std::vector<contract::StateRecord> records(3);
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i].ip_version = 4;
        records[i].expires_s = 9;
        records[i].rule_number = i == 0 ? 100 : 200;
    }
    records[2].kind = contract::StateKind::parent;
    ListOperation list{.rules = {{200, 300}}, .in_set = {}, .states = ListedStates::current};
    list.without_rules = true;
    const DataplaneStates states{.facts = {}, .records = records, .count = 2};
    const auto outcome = run_script(request(false, list), rules, no_counters, states);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->results[0].rules.empty());
    EXPECT_EQ(outcome->results[0].states.size(), 2u);
    const auto counted = run_script(
        request(false, StateOperation{.kind = StateOperation::Kind::count, .filter = {}}), rules,
        no_counters, states);
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->results[0].state_count, 2u);

    records.resize(kMaximumListedStates + 1);
    const auto refused = run_script(request(false, list), rules, no_counters,
                                    {.facts = {}, .records = records, .count = 2});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().error.message.find("more than 400000 states are too many"),
              std::string::npos);
}

}  // namespace
}  // namespace sluice::service
