#include "controlplane/metrics/rule_series.h"

#include <cmath>
#include <set>

#include "tests/unit/metrics/appliance.h"

namespace sluice::metrics {
namespace {

using config::RuleMetrics;
using Strings = std::vector<std::string>;

// Of the only series of a rule with this number.
Sample sample_of(const Exposition& scrape, const std::string& name, const std::string& rule) {
    std::vector<Sample> found;
    for (const Sample& sample : scrape.all(name))
        if (sample.labels.at("rule") == rule)
            found.push_back(sample);
    EXPECT_EQ(found.size(), 1u) << name << " of rule " << rule;
    return found.empty() ? Sample() : found.front();
}

Strings numbers(const Exposition& scrape) {
    Strings result;
    for (const Sample& sample : scrape.all("sluice_rule_packets_total"))
        result.push_back(sample.labels.at("rule"));
    return result;
}

TEST(RuleSeriesTest, SumOverTheWorkersSinceTheRuleWasAdded) {
    Appliance appliance(2);
    const auto slot = appliance.add("100 set 3 skipto 200 tcp from any to any");
    appliance.count(0, slot, 30, 3000, 1700000000);
    appliance.count(1, slot, 12, 1200, 1700000007);
    appliance.annotations[slot].first_packets = 10;
    appliance.annotations[slot].first_bytes = 1000;
    // `ipfw zero` is of no interest.
    appliance.annotations[slot].zero_packets = 42;
    appliance.annotations[slot].zero_bytes = 4200;
    const Exposition scrape = appliance.scrape();
    const Sample packets = sample_of(scrape, "sluice_rule_packets_total", "100");
    EXPECT_EQ(packets.value, 32);
    EXPECT_EQ(packets.labels.at("set"), "3");
    EXPECT_EQ(packets.labels.at("action"), "skipto");
    EXPECT_EQ(packets.labels.at("id").size(), 12u);
    EXPECT_EQ(packets.labels.size(), 4u);
    EXPECT_EQ(sample_of(scrape, "sluice_rule_bytes_total", "100").value, 3200);
    EXPECT_EQ(sample_of(scrape, "sluice_rule_last_match_timestamp_seconds", "100").value,
              1700000007);
    EXPECT_EQ(scrape.value("sluice_ruleset_rules", {{"set", "3"}}), 1);
    EXPECT_EQ(scrape.value("sluice_ruleset_rules", {{"set", "31"}}), 1);
    EXPECT_EQ(sample_of(scrape, "sluice_rule_packets_total", "65535").labels.at("action"), "deny");
}

TEST(RuleSeriesTest, ARuleThatNobodyMetHasNoTimeEvenIfItsSlotHadAnEarlierOwner) {
    Appliance appliance(1);
    const auto slot = appliance.add("100 allow ip from any to any");
    appliance.count(0, slot, 30, 3000, 1700000000);
    appliance.annotations[slot].first_packets = 30;
    appliance.annotations[slot].first_bytes = 3000;
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(sample_of(scrape, "sluice_rule_packets_total", "100").value, 0);
    EXPECT_EQ(scrape.all("sluice_rule_last_match_timestamp_seconds").size(), 0u);
}

TEST(RuleSeriesTest, LargeCountersAreWrittenOut) {
    Appliance appliance(1);
    const auto slot = appliance.add("100 allow ip from any to any");
    appliance.count(0, slot, 1, (std::uint64_t{1} << 53) - 1);
    EXPECT_EQ(sample_of(appliance.scrape(), "sluice_rule_bytes_total", "100").value,
              9007199254740991);
}

TEST(RuleSeriesTest, TheIdIsThatOfTheText) {
    Appliance first(1);
    first.add("100 allow ip from any to any");
    first.add("200 deny tcp from any to any 80");
    Appliance second(1);
    second.add("100 deny tcp from any to any 80");
    second.add("300 allow ip from any to any");
    const auto id = [](Appliance& appliance, const std::string& rule) {
        return sample_of(appliance.scrape(), "sluice_rule_packets_total", rule).labels.at("id");
    };
    EXPECT_EQ(id(first, "200"), id(second, "100"));
    EXPECT_EQ(id(first, "100"), id(second, "300"));
    EXPECT_NE(id(first, "100"), id(first, "200"));
    // A promise: dashboards of tomorrow find the series of today.
    EXPECT_EQ(id(first, "100"), "e024c5c65dfa");
}

TEST(RuleSeriesTest, TwinsHaveSeriesOfTheirOwn) {
    Appliance appliance(1);
    const auto one = appliance.add("100 count ip from any to any");
    appliance.add("100 count tcp from any to any");
    const auto two = appliance.add("100 count ip from any to any");
    appliance.count(0, one, 5, 50);
    appliance.count(0, two, 7, 70);
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.complaints, Strings());
    std::set<std::string> ids;
    std::multiset<double> values;
    for (const Sample& sample : scrape.all("sluice_rule_packets_total")) {
        ids.insert(sample.labels.at("id"));
        values.insert(sample.value);
    }
    EXPECT_EQ(ids.size(), 4u);
    EXPECT_EQ(values, (std::multiset<double>{0, 0, 5, 7}));
}

TEST(RuleSeriesTest, CommentsAndLabelsStandInASeriesOfTheirOwn) {
    Appliance appliance(1);
    appliance.add("100 count ip from any to any // from \"home\"");
    appliance.add("200 count ip from any to any");
    const Exposition scrape = appliance.scrape();
    const auto info = scrape.all("sluice_rule_info");
    ASSERT_EQ(info.size(), 1u);
    EXPECT_EQ(info[0].labels.at("comment"), "from \"home\"");
    EXPECT_EQ(info[0].labels.at("rule"), "100");
    EXPECT_EQ(info[0].labels.at("id"),
              sample_of(scrape, "sluice_rule_packets_total", "100").labels.at("id"));
}

TEST(RuleSeriesTest, StatesOfRulesThatMakeThem) {
    Appliance appliance(2);
    const auto slot = appliance.add("100 allow tcp from any to any keep-state");
    appliance.add("200 allow ip from any to any");
    appliance.rules[0][slot].states = 3;
    appliance.rules[1][slot].states = 4;
    const Exposition scrape = appliance.scrape();
    ASSERT_EQ(scrape.all("sluice_rule_states").size(), 1u);
    EXPECT_EQ(sample_of(scrape, "sluice_rule_states", "100").value, 7);
}

TEST(RuleSeriesTest, WhichRulesHaveSeriesIsASetting) {
    Appliance appliance(1);
    appliance.add("100 allow ip from any to any");
    appliance.add("200 count ip from any to any");
    appliance.add("300 deny log ip from any to any");
    appliance.add("400 deny ip from any to any // named");
    EXPECT_EQ(numbers(appliance.scrape(RuleMetrics::all)),
              (Strings{"100", "200", "300", "400", "65535"}));
    EXPECT_EQ(numbers(appliance.scrape(RuleMetrics::automatic)),
              (Strings{"100", "200", "300", "400", "65535"}));
    EXPECT_EQ(numbers(appliance.scrape(RuleMetrics::labelled)),
              (Strings{"200", "300", "400", "65535"}));
    EXPECT_EQ(numbers(appliance.scrape(RuleMetrics::none)), Strings());
    const std::string left_out = "sluice_rules_without_series";
    EXPECT_EQ(appliance.scrape(RuleMetrics::all).value(left_out), 0);
    EXPECT_EQ(appliance.scrape(RuleMetrics::labelled).value(left_out), 1);
    EXPECT_EQ(appliance.scrape(RuleMetrics::none).value(left_out), 5);
}

TEST(RuleSeriesTest, OfManyRulesOnlyTheLabelledOnes) {
    Appliance appliance(1);
    appliance.add("1 count ip from any to any");
    for (std::size_t i = 2; i < kRulesWithSeries; ++i)
        appliance.add(std::to_string(i) + " allow ip from any to any");
    EXPECT_EQ(numbers(appliance.scrape()).size(), kRulesWithSeries);
    appliance.add("3000 allow ip from any to any");
    EXPECT_EQ(numbers(appliance.scrape()), (Strings{"1", "65535"}));
    EXPECT_EQ(numbers(appliance.scrape(RuleMetrics::all)).size(), kRulesWithSeries + 1);
}

}  // namespace
}  // namespace sluice::metrics
