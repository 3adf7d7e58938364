#include "analysis/log_summary.h"

#include <gtest/gtest.h>

namespace sluice::analysis {
namespace {

constexpr char kHead[] = "Nov  9 21:12:18 mac kernel: ipfw: ";

std::string line(const std::string& rest) {
    return kHead + rest;
}

// `INSIDE|OUTSIDE|IN|OUT` of each flow.
std::vector<std::string> flows(const LogSummary& summary, const std::string& action) {
    std::vector<std::string> result;
    const auto found = summary.actions().find(action);
    if (found == summary.actions().end())
        return result;
    for (const auto& [flow, counts] : found->second.flows)
        result.push_back(flow.inside + "|" + flow.outside + "|" + std::to_string(counts.in) + "|" +
                         std::to_string(counts.out));
    return result;
}

TEST(LogSummary, PairsBothDirectionsAsTheArticleDoes) {
    LogSummary summary({});
    summary.add(line("2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0"));
    summary.add(line("2050 Accept TCP 10.0.0.1:54609 1.2.3.4:119 out via en0"));
    summary.add(line("2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0"));
    summary.add(line("12190 Deny TCP 5.6.7.8:4000 10.0.0.1:1023 in via en0"));
    EXPECT_EQ(flows(summary, "Accept"),
              (std::vector<std::string>{"10.0.0.1:54609|1.2.3.4:119|2|1"}));
    EXPECT_EQ(flows(summary, "Deny"), (std::vector<std::string>{"10.0.0.1:1023|5.6.7.8:4000|1|0"}));
    EXPECT_EQ(summary.packets(Fate::accepted), 3u);
    EXPECT_EQ(summary.packets(Fate::denied), 1u);
}

TEST(LogSummary, NetworksThatAreInsideCountMoreThanTheLine) {
    // On a bridge everything is logged as `in`.
    LogSummary summary(*parse_inside("10.0.0.0/8,2001:db8::/32"));
    summary.add(line("100 Accept TCP 10.0.0.1:5 1.2.3.4:80 in via port0"));
    summary.add(line("100 Accept TCP 1.2.3.4:80 10.0.0.1:5 in via port1"));
    summary.add(line("100 Accept UDP [2001:db8::1]:5 [2001:4860::8]:53 in via port0"));
    summary.add(line("100 Accept UDP 10.0.0.1:5 10.0.0.2:5 in via port0"));  // both are
    EXPECT_EQ(flows(summary, "Accept"),
              (std::vector<std::string>{"10.0.0.1:5|1.2.3.4:80|1|1", "10.0.0.2:5|10.0.0.1:5|1|0",
                                        "[2001:db8::1]:5|[2001:4860::8]:53|0|1"}));
}

TEST(LogSummary, RefusesNetworksInWords) {
    for (const char* text :
         {"", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8,", "::/129", "net", "10.0.0.0/8x"}) {
        const auto networks = parse_inside(text);
        ASSERT_FALSE(networks) << text;
        EXPECT_EQ(networks.error().status, ExitStatus::data);
    }
}

TEST(LogSummary, ActionsWithNumbersAreOne) {
    LogSummary summary({});
    summary.add(line("10 SkipTo 500 TCP 1.2.3.4:1 10.0.0.1:2 in via en0"));
    summary.add(line("20 SkipTo 600 TCP 1.2.3.4:1 10.0.0.1:2 in via en0"));
    EXPECT_EQ(summary.actions().at("SkipTo").packets, 2u);
    EXPECT_EQ(summary.packets(Fate::other), 2u);
}

TEST(LogSummary, RanksSourcesAndPorts) {
    LogSummary summary({});
    for (unsigned i = 0; i < 5; ++i)
        summary.add(
            line("9 Deny TCP 5.6.7.8:" + std::to_string(4000 + i) + " 10.0.0.1:445 in via en0"));
    summary.add(line("9 Deny UDP 5.6.7.9:1 10.0.0.1:53 in via en0"));
    summary.add(line("9 Deny ICMP:8.0 5.6.7.9 10.0.0.1 in via en0"));
    const auto& deny = summary.actions().at("Deny");
    const auto sources = LogSummary::top(deny.sources, 1);
    ASSERT_EQ(sources.size(), 1u);
    EXPECT_EQ(sources[0].name, "5.6.7.8");
    EXPECT_EQ(sources[0].packets, 5u);
    const auto ports = LogSummary::top(deny.ports, 10);
    ASSERT_EQ(ports.size(), 2u);
    EXPECT_EQ(ports[0].name, "445/TCP");
}

TEST(LogSummary, CountsWhatIsNotReadAndNamesTheFirst) {
    LogSummary summary({});
    summary.add("Nov  9 21:12:18 mac sshd[3]: hello");
    summary.add(line("9 Deny TCP 5.6.7.8:1 10.0.0.1:2 in via en0"));
    summary.add("Nov  9 21:12:19 mac last message repeated 4 times");
    summary.add(line("limit 100 reached on entry 9"));
    summary.add(line("9 Deny TCP 5.6.7.8:1 10.0\x1b.0.1"));
    summary.add(line("9 De"));
    EXPECT_EQ(summary.packets(Fate::denied), 5u);
    EXPECT_EQ(summary.not_ipfw(), 1u);
    EXPECT_EQ(summary.notices(), 1u);
    EXPECT_EQ(summary.unreadable(), 2u);
    EXPECT_EQ(summary.first_unreadable_line(), 5u);
    EXPECT_EQ(summary.first_unreadable(),
              std::string(kHead) + "9 Deny TCP 5.6.7.8:1 10.0\\x1b.0.1");
}

TEST(LogSummary, MemoryIsBounded) {
    LogSummary summary({}, 10);
    for (unsigned i = 0; i < 1000; ++i)
        summary.add(line("9 Deny TCP 5.6.7.8:" + std::to_string(i) + " 10.0.0.1:445 in via en0"));
    const auto& deny = summary.actions().at("Deny");
    EXPECT_TRUE(summary.is_full());
    EXPECT_LE(deny.flows.size(), 10u);
    EXPECT_EQ(deny.packets, 1000u);
    EXPECT_EQ(deny.flows.size() + deny.others.all(), 1000u);
    EXPECT_EQ(deny.sources.at("5.6.7.8"), 1000u);
}

}  // namespace
}  // namespace sluice::analysis
