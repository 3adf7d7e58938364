// Rules that ask tables, one packet at a time.
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "replay/rules_file.h"
#include "replay/simulation.h"
#include "tests/unit/program/bench.h"

namespace sluice::program {
namespace {

class TableBench {
  public:
    explicit TableBench(const std::string& lines) {
        replay::EnvironmentFile environment;
        environment.environment.interfaces = {{"em0", {{*parse_ipv4("10.0.0.1"), 24}}},
                                              {"em1", {{*parse_ipv4("10.1.0.1"), 24}}}};
        auto rules = replay::parse_rules(lines, "rules", environment);
        EXPECT_TRUE(rules) << rules.error().message;
        tables = rules->tables;
        auto made =
            replay::Simulation::create(rules->ruleset, environment.environment, 1, 1, tables);
        EXPECT_TRUE(made) << made.error().message;
        simulation_ = std::move(*made);
    }

    std::string pass(const char* source, const char* destination = "10.9.9.9") {
        reference::FramePlan plan;
        plan.source4 = *parse_ipv4(source);
        plan.destination4 = *parse_ipv4(destination);
        const auto outcome =
            simulation_->pass(reference::build_frame(plan), in_by(0), ++sequence_, 1000, log);
        return replay::to_text(outcome, simulation_->runtime()) + " " +
               std::to_string(outcome.verdict.rule_number);
    }

    // Look-ups that found an entry of the table.
    std::uint64_t hits(std::uint32_t id) {
        contract::TableChange info;
        info.verb = contract::TableVerb::info;
        info.table = id;
        return tables->apply({{&info, 1}, {}, {}}, table::Failures::stop, 0).results[0].hits;
    }

    std::shared_ptr<table::Store> tables;
    std::vector<std::string> log;

  private:
    std::unique_ptr<replay::Simulation> simulation_;
    std::uint64_t sequence_ = 0;
};

// vectors/match.tsv
TEST(Tables, TheValueOfTheLongestPrefixCounts) {
    TableBench bench(
        "table T create\ntable T add 10.0.0.0/8 1 10.1.0.0/16 2\n"
        "add 100 allow ip from table(T,1) to any\n"
        "add 200 reject ip from table(T,2) to any\n");
    EXPECT_EQ(bench.pass("10.2.0.1"), "accept 100");
    EXPECT_EQ(bench.pass("10.1.0.1"), "unreach:1 200");
    EXPECT_EQ(bench.pass("11.1.0.1"), "deny 65535");
}

TEST(Tables, AnyFieldOfAValueCanBeCompared) {
    TableBench bench(
        "table T create valtype skipto,tag\n"
        "table T add 10.1.0.0/16 400,7 10.2.0.0/16 300,8\n"
        "add 100 allow ip from table(T,skipto=300) to any\n"
        "add 200 reject ip from table(T,tag=7) to any\n"
        "add 300 unreach port ip from table(T,8) to any\n");
    EXPECT_EQ(bench.pass("10.2.0.1"), "accept 100");
    EXPECT_EQ(bench.pass("10.1.0.1"), "unreach:1 200");
    EXPECT_EQ(bench.pass("10.3.0.1"), "deny 65535");
}

TEST(Tables, ALookUpIsMadeOnceForAPacketAndAKey) {
    TableBench bench(
        "table 1 add 10.0.0.0/8 1\n"
        "add 100 count ip from table(1) to any\n"
        "add 110 count ip from table(1,7) to any\n"
        "add 120 count ip from any to any lookup src-ip 1\n"
        "add 130 count ip from not table(1) to any\n");
    bench.pass("10.0.0.1", "11.0.0.1");
    EXPECT_EQ(bench.hits(0), 1u);
    bench.pass("10.0.0.1", "11.0.0.1");
    EXPECT_EQ(bench.hits(0), 2u);
}

TEST(Tables, TableargIsOfTheLastEntryFoundInThisRule) {
    TableBench bench(
        "table 1 add 10.0.0.0/8 300\ntable 2 add 10.9.9.9 400 10.8.8.8 0\n"
        "add 100 count ip from table(1) to any\n"
        "add 150 skipto tablearg ip from any to not table(9)\n"
        "add 200 skipto tablearg log ip from table(1) to table(2)\n"
        "add 250 deny ip from any to any\n"
        "add 300 deny ip from any to any\n"
        "add 400 allow ip from any to any\n");
    EXPECT_EQ(bench.pass("10.0.0.1"), "accept 400");
    ASSERT_EQ(bench.log.size(), 1u);
    EXPECT_NE(bench.log[0].find("200 SkipTo 400 "), std::string::npos) << bench.log[0];
    // 0 is no rule: the next one.
    EXPECT_EQ(bench.pass("10.0.0.1", "10.8.8.8"), "deny 250");
}

TEST(Tables, NextHopsAndPortsComeFromValuesWithTypes) {
    TableBench bench(
        "table t create valtype divert,ipv4\n"
        "table t add 10.0.0.0/16 8668,192.0.2.7 10.1.0.0/16 9,192.0.2.8\n"
        "add 100 divert tablearg ip from table(t) to 10.9.9.8\n"
        "add 200 fwd tablearg,80 ip from table(t) to any\n");
    EXPECT_EQ(bench.pass("10.1.0.1", "10.9.9.8"), "divert:9 100");
    EXPECT_EQ(bench.pass("10.0.0.1"), "fwd:192.0.2.7:80 200");
}

TEST(Tables, TagsAndMarksComeFromValues) {
    TableBench bench(
        "table t create valtype tag,mark\n"
        "table t add 10.0.0.0/16 7,0x15 10.1.0.0/16 8,0x15 10.2.0.0/16 0,0\n"
        "add 100 count tag tablearg ip from table(t) to any\n"
        "add 110 setmark 0x25 ip from any to any\n"
        "add 200 skipto 400 ip from table(t) to any tagged tablearg mark tablearg:0xf\n"
        "add 300 deny ip from any to any\n"
        "add 400 count untag tablearg ip from 10.1.0.0/16 to any lookup src-ip t\n"
        "add 500 deny ip from any to any tagged 8\n"
        "add 600 deny ip from table(t) to any mark tablearg\n"
        "add 700 allow ip from any to any\n");
    EXPECT_EQ(bench.pass("10.0.0.1"), "accept 700");
    EXPECT_EQ(bench.pass("10.1.0.1"), "accept 700");
    // 0 is no tag; no table knows the last.
    EXPECT_EQ(bench.pass("10.2.0.1"), "deny 300");
    EXPECT_EQ(bench.pass("10.3.0.1"), "deny 300");
}

// The value is that of the entry found so far.
TEST(Tables, AnArgumentThatStandsBeforeItsTableIsZero) {
    TableBench bench(
        "table 1 add 10.0.0.0/8 7\n"
        "add 100 count tag 7 ip from any to any\n"
        "add 200 deny ip from any to any { tagged tablearg } lookup src-ip 1\n"
        "add 300 deny ip from any to any lookup dst-ip 1 tagged tablearg\n"
        "add 400 allow ip from any to any\n");
    EXPECT_EQ(bench.pass("10.0.0.1", "11.0.0.1"), "accept 400");
    EXPECT_EQ(bench.pass("11.0.0.1", "10.0.0.1"), "deny 300");
}

TEST(Tables, WhatRulesHaveChangedIsLookedUpAnew) {
    TableBench bench(
        "table m create type number\ntable m add 5\n"
        "table d create type number\ntable d add 46\n"
        "add 100 deny ip from any to any { lookup mark m or lookup dscp d }\n"
        "add 200 setmark 0x15 ip from any to any\n"
        "add 300 skipto 400 ip from any to any lookup mark:0xf m\n"
        "add 310 deny ip from any to any\n"
        "add 400 deny ip from any to any lookup mark m\n"
        "add 500 setdscp 46 ip from any to any\n"
        "add 600 allow ip from any to any lookup dscp d\n");
    EXPECT_EQ(bench.pass("10.0.0.1"), "accept 600");
}

// The tree of the real engine ends there.
TEST(Tables, TheLastAddressIsFoundByAnEntryOfItsOwnOnly) {
    TableBench covered("table 1 add 128.0.0.0/1\nadd 100 allow ip from table(1) to any\n");
    EXPECT_EQ(covered.pass("255.255.255.254"), "accept 100");
    EXPECT_EQ(covered.pass("255.255.255.255"), "deny 65535");
    TableBench own("table 1 add 255.255.255.255\nadd 100 allow ip from table(1) to any\n");
    EXPECT_EQ(own.pass("255.255.255.255"), "accept 100");
}

}  // namespace
}  // namespace sluice::program
