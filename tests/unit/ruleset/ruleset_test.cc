#include "controlplane/ruleset/ruleset.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "controlplane/language/printer.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::ruleset {
namespace {

language::Rule rule(std::string_view text) {
    auto parsed = language::parse_rule(text, language::refusing_resolver());
    EXPECT_TRUE(parsed) << text;
    return *parsed;
}

std::uint16_t add(Ruleset& set, std::string_view text) {
    const auto added = set.add(rule(text));
    EXPECT_TRUE(added) << text;
    return (*added)->rule.number;
}

std::vector<unsigned> numbers(const Ruleset& set) {
    std::vector<unsigned> result;
    for (const auto& r : set.rules())
        result.push_back(r->rule.number);
    return result;
}

TEST(Numbering, AutomaticNumbersStepByAHundred) {
    Ruleset set(false);
    EXPECT_EQ(add(set, "allow ip from any to any"), 100);
    EXPECT_EQ(add(set, "allow ip from any to any"), 200);
    EXPECT_EQ(add(set, "250 allow ip from any to any"), 250);
    EXPECT_EQ(add(set, "allow ip from any to any"), 350);
    EXPECT_EQ(add(set, "0 allow ip from any to any"), 450);
}

TEST(Numbering, TheStepIsASysctl) {
    Ruleset set(false);
    ASSERT_TRUE(write_sysctl(set.sysctls(), "net.inet.ip.fw.autoinc_step", "10"));
    EXPECT_EQ(add(set, "allow ip from any to any"), 10);
    EXPECT_EQ(add(set, "allow ip from any to any"), 20);
}

TEST(Numbering, NoRoomBehindTheLastReusesItsNumber) {
    Ruleset set(false);
    EXPECT_EQ(add(set, "65434 allow ip from any to any"), 65434);
    EXPECT_EQ(add(set, "deny ip from any to any"), 65534);
    EXPECT_EQ(add(set, "count ip from any to any"), 65534);
    EXPECT_EQ(set.rules().back()->text, "count ip from any to any");
    Ruleset other(false);
    add(other, "65500 allow ip from any to any");
    EXPECT_EQ(add(other, "deny ip from any to any"), 65500);
}

TEST(Numbering, EqualNumbersKeepTheOrderOfInsertion) {
    Ruleset set(false);
    add(set, "500 allow ip from any to any");
    add(set, "300 count tcp from any to any");
    add(set, "300 count udp from any to any");
    add(set, "400 deny ip from any to any");
    add(set, "300 count icmp from any to any");
    std::vector<std::string> texts;
    for (const auto& r : set.find({300, 300}))
        texts.push_back(r->text);
    EXPECT_EQ(texts,
              (std::vector<std::string>{"count tcp from any to any", "count udp from any to any",
                                        "count icmp from any to any"}));
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{300, 300, 300, 400, 500}));
}

TEST(Numbering, TheDefaultRuleIsNobodysToAdd) {
    Ruleset set(false);
    const auto added = set.add(rule("65535 deny ip from any to any"));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().status, ExitStatus::unavailable);
    EXPECT_EQ(set.size(), 0u);
}

TEST(DefaultRule, FollowsTheSetting) {
    EXPECT_EQ(Ruleset(false).default_rule()->text, "deny ip from any to any");
    EXPECT_EQ(Ruleset(true).default_rule()->text, "allow ip from any to any");
    EXPECT_EQ(Ruleset(true).default_rule()->rule.set, kReservedSet);
    EXPECT_EQ(Ruleset(true).find({0, 65535}).size(), 1u);
}

TEST(Deletion, NumbersRangesAndSets) {
    Ruleset set(false);
    for (const char* text :
         {"100 allow ip from any to any", "100 deny ip from any to any",
          "200 set 5 count ip from any to any", "300 count ip from any to any",
          "40000 set 5 count ip from any to any", "65534 count ip from any to any"})
        add(set, text);
    EXPECT_EQ(set.remove({100, 100}), 2u);
    EXPECT_EQ(set.remove({100, 100}), 0u);
    EXPECT_EQ(set.remove({200, 300}, std::uint8_t{7}), 0u);
    EXPECT_EQ(set.remove_set(5), 2u);
    EXPECT_EQ(set.remove({301, 65535}), 1u);  // clamped: 65535 stays
    EXPECT_EQ(set.remove({65535, 65535}), 0u);
    EXPECT_EQ(numbers(set), std::vector<unsigned>{300});
    EXPECT_EQ(set.size(), 1u);
}

TEST(Deletion, FlushSparesSet31) {
    Ruleset set(true);
    add(set, "allow ip from any to any");
    add(set, "500 set 31 allow tcp from any to any 22");
    EXPECT_EQ(set.flush(), 1u);
    EXPECT_EQ(numbers(set), std::vector<unsigned>{500});
    EXPECT_EQ(set.remove_set(31), 1u);
    EXPECT_EQ(set.default_rule()->rule.number, 65535);
}

// rule_test.sh of dummynet, as far as it needs no tables and no moving of sets.
TEST(Deletion, DummynetRuleTest) {
    Ruleset set(false);
    add(set, "allow ip from any to any");
    set.flush();
    add(set, "allow ip from any to any");
    add(set, "allow ip from any to { 1.2.3.4 or 2.3.4.5 }");
    add(set, "allow { dst-ip 1.2.3.4 or dst-ip 2.3.4.5 }");
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{100, 200, 300}));
    EXPECT_EQ(set.remove({200, 200}), 1u);
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{100, 300}));
}

TEST(LogLimit, IsFixedWhenTheRuleIsAdded) {
    Ruleset set(false);
    ASSERT_TRUE(write_sysctl(set.sysctls(), "net.inet.ip.fw.verbose_limit", "7"));
    add(set, "100 allow log ip from any to any");
    add(set, "200 allow log logamount 500 ip from any to any");
    add(set, "300 allow log logamount 0 ip from any to any");
    add(set, "400 allow ip from any to any");
    ASSERT_TRUE(write_sysctl(set.sysctls(), "net.inet.ip.fw.verbose_limit", "9"));
    std::vector<unsigned> limits;
    for (const auto& r : set.rules())
        limits.push_back(r->log_limit);
    EXPECT_EQ(limits, (std::vector<unsigned>{7, 500, 0, 0}));
}

TEST(Copy, IsIndependent) {
    Ruleset set(false);
    add(set, "100 allow ip from any to any");
    set.published();
    Ruleset copy = set;
    add(copy, "100 deny ip from any to any");
    add(copy, "200 deny ip from any to any");
    copy.remove({100, 100});
    EXPECT_EQ(numbers(set), std::vector<unsigned>{100});
    EXPECT_EQ(numbers(copy), std::vector<unsigned>{200});
    // The slots of the thrown-away copy are free in the original.
    EXPECT_EQ((*set.add(rule("allow ip from any to any")))->slot, 3u);
}

TEST(Slots, RulesKeepTheirsAndFullIsAnError) {
    Ruleset set(false, 4);  // 0 is reserved, 1 is the default rule
    add(set, "100 allow ip from any to any");
    add(set, "200 allow ip from any to any");
    const auto full = set.add(rule("300 allow ip from any to any"));
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().status, ExitStatus::unavailable);
    set.published();
    set.remove({100, 100});
    EXPECT_FALSE(set.add(rule("300 allow ip from any to any")));
    set.published();
    EXPECT_TRUE(set.add(rule("300 allow ip from any to any")));
    EXPECT_EQ(set.find({200, 200}).front()->slot, 3u);
}

TEST(Slots, ARuleThatComesBackInTheSameChangeGoesOnCounting) {
    Ruleset set(false, 5);  // room for three rules
    add(set, "100 count ip from any to any");
    add(set, "100 count ip from any to any");
    add(set, "200 allow log logamount 5 ip from any to any");
    set.published();
    set.flush();
    // The same file once more: no room for six rules is needed.
    EXPECT_EQ((*set.add(rule("100 count ip from any to any")))->slot, 2u);
    EXPECT_EQ((*set.add(rule("100 count ip from any to any")))->slot, 3u);
    EXPECT_EQ((*set.add(rule("200 allow log logamount 5 ip from any to any")))->slot, 4u);
    EXPECT_TRUE(set.fresh_slots().empty());
}

TEST(Slots, ARuleThatComesBackNeedsNoReading) {
    constexpr char kText[] = "count ip from any to any";
    Ruleset set(false);
    EXPECT_FALSE(*set.add_again(0, 0, kText));
    for (const char* text : {"count ip from any to any", "200 set 3 count ip from any to any",
                             "allow log ip from any to any"})
        add(set, text);
    set.published();
    const auto before = set.rules();
    EXPECT_FALSE(*set.add_again(100, 0, kText));  // it is there, but nobody has removed it
    set.flush();
    EXPECT_FALSE(*set.add_again(101, 0, kText));
    EXPECT_FALSE(*set.add_again(100, 3, kText));
    EXPECT_FALSE(*set.add_again(100, 0, "count ip from any to me"));
    EXPECT_EQ(*set.add_again(0, 0, kText), before[0]);
    EXPECT_FALSE(*set.add_again(100, 0, kText));  // once
    EXPECT_EQ(*set.add_again(0, 3, kText), before[1]);
    // Its limit would be that of the moment.
    EXPECT_FALSE(*set.add_again(300, 0, "allow log ip from any to any"));
    ASSERT_TRUE(write_sysctl(set.sysctls(), "net.inet.ip.fw.verbose_limit", "7"));
    add(set, "300 allow log ip from any to any");
    EXPECT_EQ(set.rules().back()->text, "allow log logamount 7 ip from any to any");
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{100, 200, 300}));
    EXPECT_TRUE(set.fresh_slots() == std::vector<std::uint32_t>{set.rules().back()->slot});
}

TEST(Slots, OfManyThatAreTheSameTheFirstComesBackFirst) {
    Ruleset set(false);
    for (int i = 0; i < 1000; ++i) {
        add(set, "100 count ip from any to any");
        add(set, "200 count ip from any to any");
    }
    set.published();
    const auto before = set.rules();
    set.flush();
    for (int i = 0; i < 2000; ++i) {
        const auto again = set.add_again(i < 1000 ? 100 : 200, 0, "count ip from any to any");
        EXPECT_EQ(*again, before[static_cast<std::size_t>(i)]);
    }
    set.flush();
    add(set, "100 count ip from any to any");
    EXPECT_EQ(set.rules().front()->slot, before.front()->slot);
    set.published();
    EXPECT_FALSE(*set.add_again(100, 0, "count ip from any to any"));
}

TEST(Slots, ADifferentRuleBeginsAtZero) {
    Ruleset set(false);
    add(set, "100 allow log logamount 5 ip from any to any");
    set.published();
    set.remove({100, 100});
    for (const char* other : {"101 allow log logamount 5 ip from any to any",
                              "100 set 1 allow log logamount 5 ip from any to any",
                              "100 allow log logamount 6 ip from any to any",
                              "100 deny log logamount 5 ip from any to any"})
        EXPECT_NE((*set.add(rule(other)))->slot, 2u) << other;
    set.published();
    // What was removed before the last change is gone for good.
    EXPECT_FALSE(set.fresh_slots().size());
    const auto again = set.add(rule("102 allow log logamount 5 ip from any to any"));
    EXPECT_EQ(set.fresh_slots(), std::vector<std::uint32_t>{(*again)->slot});
}

TEST(Slots, RenumberingNeedsRoom) {
    Ruleset set(false);
    for (int i = 0; i < 10; ++i)
        add(set, "allow ip from any to any");
    set.published();
    set.remove({100, 100});
    EXPECT_FALSE(set.renumber(10));
    ASSERT_TRUE(set.renumber(11));
    std::set<std::uint32_t> slots = {set.default_rule()->slot};
    for (const auto& r : set.rules())
        slots.insert(r->slot);
    EXPECT_EQ(slots.size(), 10u);
    EXPECT_EQ(*slots.begin(), 1u);
    EXPECT_EQ(*slots.rbegin(), 10u);
    EXPECT_EQ(set.rules().front()->id, 1u);
    EXPECT_EQ(set.next_id(), 10u);
}

Ruleset::Running running(const Ruleset& set) {
    Ruleset::Running result{.rules = {},
                            .orphans = {},
                            .default_accept = set.default_accept(),
                            .default_slot = set.default_rule()->slot,
                            .next_id = set.next_id(),
                            .slot_capacity = 64,
                            .disabled_sets = set.disabled_sets(),
                            .sysctls = set.sysctls()};
    for (const auto& r : set.rules())
        result.rules.push_back({r->rule, r->slot, r->log_limit, r->id});
    for (const auto& r : set.orphans())
        result.orphans.push_back({r->rule, r->slot, r->log_limit, r->id});
    return result;
}

TEST(Restore, GivesTheSameRulesetBack) {
    Ruleset set(true);
    add(set, "100 allow log logamount 4 ip from any to any");
    add(set, "100 set 31 deny ip from any to any");
    add(set, "300 set 3 count ip from any to any");
    set.switch_sets(0, 1u << 3);
    set.remove({100, 100}, std::uint8_t{0});
    auto again = Ruleset::restore(running(set));
    ASSERT_TRUE(again);
    EXPECT_EQ(numbers(*again), numbers(set));
    for (std::size_t i = 0; i < set.size(); ++i) {
        EXPECT_EQ(again->rules()[i]->rule, set.rules()[i]->rule);
        EXPECT_EQ(again->rules()[i]->slot, set.rules()[i]->slot);
        EXPECT_EQ(again->rules()[i]->id, set.rules()[i]->id);
    }
    EXPECT_EQ(again->disabled_sets(), 1u << 3);
    const auto next = *again->add(rule("deny ip from any to any"));
    EXPECT_EQ(next->slot, 2u);  // the gap
    EXPECT_EQ(next->id, 4u);    // which ids have none of
}

TEST(Restore, OrphansKeepTheirSlots) {
    Ruleset set(false);
    add(set, "100 allow tcp from any to any keep-state");
    set.sysctls().dyn_keep_states = 1;
    set.published();
    set.remove({100, 100});
    set.published();
    auto again = Ruleset::restore(running(set));
    ASSERT_TRUE(again);
    ASSERT_EQ(again->orphans().size(), 1u);
    EXPECT_EQ(again->orphans()[0]->slot, 2u);
    EXPECT_EQ((*again->add(rule("100 allow tcp from any to any keep-state")))->slot, 3u);
}

TEST(Restore, RefusesNonsense) {
    const language::Rule a = rule("100 allow ip from any to any");
    const language::Rule b = rule("50 allow ip from any to any");
    const auto restores = [](std::vector<Ruleset::Restored> rules) {
        Ruleset::Running what;
        what.rules = std::move(rules);
        what.next_id = 3;
        what.slot_capacity = 64;
        return static_cast<bool>(Ruleset::restore(std::move(what)));
    };
    EXPECT_TRUE(restores({{b, 2, 0, 1}, {a, 3, 0, 2}}));
    EXPECT_FALSE(restores({{a, 2, 0, 1}, {b, 3, 0, 2}}));  // order
    EXPECT_FALSE(restores({{a, 1, 0, 1}}));                // slot twice
    EXPECT_FALSE(restores({{a, 0, 0, 1}}));                // reserved slot
    EXPECT_FALSE(restores({{a, 64, 0, 1}}));               // beyond the end
    EXPECT_FALSE(restores({{a, 2, 0, 0}}));                // no id
    EXPECT_FALSE(restores({{a, 2, 0, 3}}));                // an id that was never given away
    EXPECT_FALSE(restores({{a, 2, 0, 1}, {a, 3, 0, 1}}));  // id twice
}

TEST(Ids, AreNeverGivenAwayTwice) {
    Ruleset set(false);
    const auto first = *set.add(rule("100 allow tcp from any to any keep-state"));
    const auto second = *set.add(rule("200 allow udp from any to any keep-state"));
    EXPECT_NE(first->id, 0u);
    EXPECT_NE(first->id, second->id);
    set.published();
    set.remove({200, 200});
    set.published();
    const auto third = *set.add(rule("200 allow udp from any to any keep-state"));
    set.published();
    EXPECT_EQ(third->slot, second->slot);  // slots are
    EXPECT_GT(third->id, second->id);
    // The same rule in the same change is the same rule.
    set.flush();
    EXPECT_EQ((*set.add(rule("200 allow udp from any to any keep-state")))->id, third->id);
    set.reserve_ids(1000);
    EXPECT_EQ((*set.add(rule("count ip from any to any")))->id, 1000u);
}

TEST(Sets, DisabledOnesKeepTheirRules) {
    Ruleset set(false);
    add(set, "100 set 1 allow ip from any to any");
    add(set, "200 set 2 allow ip from any to any");
    EXPECT_TRUE(set.switch_sets(0, 1u << 1 | 1u << 31));
    EXPECT_EQ(set.disabled_sets(), 1u << 1);  // set 31 cannot be disabled
    EXPECT_FALSE(set.switch_sets(0, 1u << 1));
    EXPECT_TRUE(set.is_disabled(*set.rules()[0]));
    EXPECT_FALSE(set.is_disabled(*set.rules()[1]));
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{100, 200}));
    EXPECT_TRUE(set.switch_sets(1u << 1, 1u << 2));
    EXPECT_EQ(set.disabled_sets(), 1u << 2);
    EXPECT_EQ(set.remove({200, 200}), 1u);
}

std::vector<unsigned> sets(const Ruleset& set) {
    std::vector<unsigned> result;
    for (const auto& r : set.rules())
        result.push_back(r->rule.set);
    return result;
}

TEST(Sets, AreMovedAndSwappedAndRulesStayWhatTheyAre) {
    Ruleset set(false);
    add(set, "100 set 1 allow ip from any to any");
    add(set, "200 set 2 allow ip from any to any");
    add(set, "200 set 3 allow ip from any to any");
    add(set, "30000 set 1 allow ip from any to any");
    const Ruleset before = set;
    EXPECT_EQ(set.swap_sets(1, 2), 3u);
    EXPECT_EQ(sets(set), (std::vector<unsigned>{2, 1, 3, 2}));
    EXPECT_EQ(set.move_rules(200, 31), 2u);
    EXPECT_EQ(sets(set), (std::vector<unsigned>{2, 31, 31, 2}));
    EXPECT_EQ(set.move_rules(300, 31), 0u);
    EXPECT_EQ(set.move_rules(65535, 5), 0u);
    EXPECT_EQ(set.move_set(2, 0), 2u);
    EXPECT_EQ(set.move_set(7, 0), 0u);
    EXPECT_EQ(sets(set), (std::vector<unsigned>{0, 31, 31, 0}));
    // The copy is another one, and no rule has become another rule.
    EXPECT_EQ(sets(before), (std::vector<unsigned>{1, 2, 3, 1}));
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(set.rules()[i]->slot, before.rules()[i]->slot);
        EXPECT_EQ(set.rules()[i]->id, before.rules()[i]->id);
        EXPECT_EQ(set.rules()[i]->text, before.rules()[i]->text);
    }
    EXPECT_EQ(set.flush(), 2u);
    EXPECT_EQ(sets(set), (std::vector<unsigned>{31, 31}));
}

// The recipe of the manual for a reload that can be taken back.
TEST(Sets, AReloadBySwapping) {
    Ruleset set(false);
    add(set, "100 deny ip from any to any");
    set.switch_sets(0, 1u << 18);
    add(set, "100 set 18 allow ip from any to any");
    EXPECT_EQ(set.swap_sets(18, 0), 2u);
    EXPECT_EQ(set.remove_set(18), 1u);
    ASSERT_EQ(set.size(), 1u);
    EXPECT_EQ(set.rules()[0]->text, "allow ip from any to any");
    EXPECT_FALSE(set.is_disabled(*set.rules()[0]));
}

TEST(Expiry, RulesGoWhenTheirTimeHasCome) {
    Ruleset set(false);
    set.sysctls().dyn_keep_states = 1;
    add(set, "100 allow ip from any to any keep-state expires 1970-01-01T00:01Z");
    add(set, "200 allow ip from any to any expires 1970-01-01T00:02Z");
    add(set, "300 allow ip from any to any");
    EXPECT_TRUE(set.remove_expired(59).empty());
    const auto gone = set.remove_expired(60);
    ASSERT_EQ(gone.size(), 1u);
    EXPECT_EQ(gone[0]->rule.number, 100);
    EXPECT_TRUE(set.orphans().empty());
    EXPECT_EQ(set.remove_expired(1000).size(), 1u);
    EXPECT_EQ(numbers(set), (std::vector<unsigned>{300}));
}

TEST(Orphans, OutliveTheirRuleWhileItHasStates) {
    Ruleset set(false, 5);
    add(set, "100 allow tcp from any to any keep-state");
    add(set, "200 allow udp from any to any limit src-addr 2");
    add(set, "300 count ip from any to any");
    set.sysctls().dyn_keep_states = 1;
    set.published();
    set.flush();
    set.published();
    ASSERT_EQ(set.orphans().size(), 2u);  // those that make states
    EXPECT_TRUE(set.rules().empty());
    EXPECT_EQ(set.remove({100, 100}), 0u);
    // Only the slot of rule 300 is free.
    EXPECT_TRUE(set.add(rule("count ip from any to any")));
    EXPECT_FALSE(set.add(rule("count ip from any to any")));
    set.release_orphans([](const StoredRule& r) { return r.rule.number == 100; });
    ASSERT_EQ(set.orphans().size(), 1u);
    EXPECT_EQ(set.orphans()[0]->rule.number, 200);
    EXPECT_FALSE(set.add(rule("count ip from any to any")));  // the slot rests
    set.published();
    EXPECT_TRUE(set.add(rule("count ip from any to any")));
}

TEST(Orphans, ARuleThatComesBackInTheSameChangeIsNone) {
    Ruleset set(false);
    add(set, "100 allow tcp from any to any keep-state");
    set.sysctls().dyn_keep_states = 1;
    set.published();
    set.flush();
    EXPECT_EQ(set.orphans().size(), 1u);
    EXPECT_EQ((*set.add(rule("100 allow tcp from any to any keep-state")))->slot, 2u);
    EXPECT_TRUE(set.orphans().empty());
    set.published();
    EXPECT_TRUE(set.orphans().empty());
}

TEST(Orphans, AreNotMadeUnlessTheSysctlSaysSo) {
    Ruleset set(false);
    add(set, "100 allow tcp from any to any keep-state");
    set.published();
    set.flush();
    EXPECT_TRUE(set.orphans().empty());
}

// 100,000 rules in random order, and one more on a copy, in a time that nobody notices.
TEST(Size, AHundredThousandRules) {
    Ruleset set(false);
    std::mt19937 random(1);
    language::Rule one = rule("allow tcp from 10.0.0.0/8 to any 80");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100'000; ++i) {
        one.number = static_cast<std::uint16_t>(1 + random() % 65534);
        ASSERT_TRUE(set.add(one));
    }
    set.published();
    const auto loaded = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) {
        Ruleset copy = set;
        ASSERT_TRUE(copy.add(one));
    }
    const auto added = std::chrono::steady_clock::now();
    EXPECT_EQ(set.rules().size(), 100'000u);
    EXPECT_LT(loaded - start, std::chrono::seconds(10));
    EXPECT_LT((added - loaded) / 100, std::chrono::milliseconds(10));
    RecordProperty("load_ms", static_cast<int>((loaded - start) / std::chrono::milliseconds(1)));
    RecordProperty("add_us",
                   static_cast<int>((added - loaded) / 100 / std::chrono::microseconds(1)));
}

}  // namespace
}  // namespace sluice::ruleset
