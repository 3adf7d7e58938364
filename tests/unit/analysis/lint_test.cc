#include "analysis/lint.h"

#include <gtest/gtest.h>

#include "analysis/checked_file.h"

namespace sluice::analysis {
namespace {

struct Settings {
    DefaultRule default_rule = DefaultRule::unknown;
    Crossing crossing = Crossing::ignored;
};

// `NUMBER KIND NUMBER,NUMBER` of each finding. Rules are numbered 100, 200 … unless they say so.
std::vector<std::string> findings(const std::string& rules, const Settings& settings = {}) {
    std::string text;
    for (std::size_t begin = 0; begin < rules.size();) {
        const std::size_t end = std::min(rules.find('\n', begin), rules.size());
        const std::string line = rules.substr(begin, end - begin);
        text += (line.starts_with("pattern ") ? "" : "add ") + line + "\n";
        begin = end + 1;
    }
    const CheckedFile file = check_file(text, language::system_resolver());
    EXPECT_TRUE(file.ruleset) << text << (file.errors.empty() ? "" : file.errors.front().text);
    if (!file.ruleset)
        return {};
    const auto report = lint(*file.ruleset, settings.default_rule, settings.crossing);
    EXPECT_TRUE(report);
    const auto stored = file.ruleset->rules();
    const auto number = [&](std::size_t rule) {
        return rule == stored.size() ? 65535u : unsigned{stored[rule]->rule.number};
    };
    std::vector<std::string> result;
    for (const Finding& finding : report->findings) {
        std::string line = std::to_string(number(finding.rule)) + " " + name_of(finding.kind);
        for (std::size_t i = 0; i < finding.others.size(); ++i)
            line += (i == 0 ? " " : ",") + std::to_string(number(finding.others[i]));
        result.push_back(line);
    }
    for (const Undecided& undecided : report->undecided)
        result.push_back(std::to_string(number(undecided.rule)) + " undecided");
    return result;
}

using Lines = std::vector<std::string>;

TEST(Lint, RulesThatNeverMatch) {
    for (const char* rule :
         {"allow icmp from any to any src-port 80", "allow ip from any to any in xmit em0",
          "allow tcp from any to any tcpflags syn,!syn", "allow ip from any to any in out",
          "allow ip4 from ::1 to any", "allow tcp from any to any 80 frag",
          "allow ip from any to any iplen 10-20 iplen 30", "allow udp from any to any established",
          "allow ip from any to any recv em0 recv em1",
          "allow ip from any to any via em0 not via em*",
          "allow ip from 10.0.0.0/8 to any not src-ip 10.0.0.0/7",
          "allow ip from me to any not src-ip me"})
        EXPECT_EQ(findings(rule), (Lines{"100 never matching"})) << rule;
    for (const char* rule :
         {"allow tcp from any not 80 to any frag", "allow ip from any to any recv em0 xmit em0",
          "allow ip from any to any via em* via e*", "allow ip from any to any out not recv em0",
          "allow ip from any to any { in or out } xmit em0", "check-state",
          "allow icmp from any to any not dst-port 80"})
        EXPECT_EQ(findings(rule), Lines()) << rule;
}

TEST(Lint, ShadowedByOneRule) {
    struct Case {
        const char* cover;
        const char* covered;
        bool shadowed;
    };
    for (const Case& each : {
             Case{"deny tcp from any to any", "allow tcp from any to any 80", true},
             Case{"deny ip from 10.0.0.0/8 to any", "allow tcp from 10.1.2.3 to 1.2.3.4", true},
             Case{"deny tcp from any to any", "allow ip from any to any established", true},
             Case{"allow ip from any to any in", "deny ip from any to any recv em0 in", true},
             Case{"allow ip from any to any via em*", "deny ip from any to any via em0", true},
             Case{"allow ip from any to any via em0", "deny ip from any to any in recv em0", true},
             Case{"allow ip from any to any iplen 0-1000", "deny tcp from any to any iplen 40",
                  true},
             Case{"allow ip from any to any iplen 0-1000", "deny tcp from any to any iplen 40-1001",
                  false},
             Case{"allow tcp from any to any tcpoptions mss",
                  "deny tcp from any to any 80 tcpoptions mss", true},
             Case{"deny ip from 2001:db8::/32 to any", "allow tcp from 2001:db8:1::1 to any", true},
             Case{"deny ip from me to any", "allow tcp from me6 to any", true},
             Case{"allow ip from any to any out keep-state", "allow tcp from any to any 80 out",
                  true},
             Case{"deny tcp from any to any 0-65535", "allow tcp from any to any established",
                  true},
             Case{"deny ip4 from any to any iplen 20-65535", "allow ip4 from any to any in", true},
             Case{"deny tcp from any to any 1-65535", "allow tcp from any to any established",
                  false},
             // what does not decide about all packets
             Case{"prob 0.5 deny tcp from any to any", "allow tcp from any to any 80", false},
             Case{"count tcp from any to any", "allow tcp from any to any 80", false},
             Case{"deny tcp from table(1) to any", "allow tcp from any to any 80", false},
             Case{"deny tcp from any to any uid 5", "allow tcp from any to any 80", false},
             Case{"deny ip from me to any", "allow ip from 10.0.0.1 to any", false},
             Case{"allow ip from any to any via em0", "deny ip from any to any recv em0", false},
             Case{"allow ip from any to any via em0", "deny ip from any to any via em*", false},
             Case{"allow ip from any to any tcpoptions mss",
                  "deny tcp from any to any 80 tcpoptions sack", false},
             Case{"deny ip4 from any to any", "allow tcp from any to any", false},
             // a rule that looks for states is asked by packets that it does not match
             Case{"deny tcp from any to any", "allow tcp from any to any 80 keep-state", false},
         }) {
        const Lines lines = findings(std::string(each.cover) + "\n" + each.covered);
        EXPECT_EQ(std::find(lines.begin(), lines.end(), "200 shadowed 100") != lines.end(),
                  each.shadowed)
            << each.cover << "; " << each.covered;
    }
}

TEST(Lint, ARuleIsShadowedWhereItsStatesHaveBeenLookedFor) {
    EXPECT_EQ(findings("check-state\ndeny tcp from any to any\n"
                       "allow tcp from any to any 80 keep-state"),
              (Lines{"300 shadowed 200"}));
}

TEST(Lint, ShadowedByRulesTogether) {
    EXPECT_EQ(findings("deny ip from 10.0.0.0/9 to any\n"
                       "deny udp from any to any\n"
                       "allow tcp from 1.2.3.4 to any\n"
                       "deny ip from 10.128.0.0/9 to any\n"
                       "allow ip from 10.0.0.0/8 to any 80"),
              (Lines{"500 shadowed 100,400"}));
    EXPECT_EQ(findings("allow ip from any to any in\nallow ip from any to any out\n"
                       "deny tcp from any to any 80"),
              (Lines{"300 shadowed 100,200"}));
    EXPECT_EQ(findings("deny ip4 from any to any\ndeny ip6 from any to any\n"
                       "allow tcp from any to any"),
              (Lines{"300 shadowed 100,200"}));
}

TEST(Lint, JumpsBeginNewStretches) {
    EXPECT_EQ(findings("skipto 300 udp from any to any\n"
                       "deny tcp from any to any\n"
                       "allow tcp from any to any 80\n"
                       "allow tcp from any to any 443"),
              Lines());
    EXPECT_EQ(findings("100 skipto 300 udp from any to any\n"
                       "200 deny tcp from any to any\n"
                       "250 allow tcp from any to any 80\n"
                       "300 allow udp from any to any 443"),
              (Lines{"250 shadowed 200"}));
}

TEST(Lint, RedundantRules) {
    EXPECT_EQ(findings("allow tcp from any to any 80\nallow ip from any to any"),
              (Lines{"100 redundant 200"}));
    EXPECT_EQ(findings("deny ip from 10.0.0.0/9 to any\nallow icmp from 1.1.1.1 to any\n"
                       "deny ip from 10.0.0.0/8 to any"),
              (Lines{"100 redundant 300"}));
    // something in between, or more than a verdict
    for (const char* rules :
         {"allow tcp from any to any 80\ndeny tcp from any to any in\nallow ip from any to any",
          "allow tcp from any to any 80\ncount tcp from any to any\nallow ip from any to any",
          "allow tcp from any to any 80\nskipto 5000 ip from any to any\nallow ip from any to any",
          "allow log tcp from any to any 80\nallow ip from any to any",
          "allow tcp from any to any 80\nallow log ip from any to any",
          "allow tag 7 tcp from any to any 80\nallow ip from any to any",
          "allow tcp from any to any 80 keep-state\nallow ip from any to any",
          "allow tcp from any to any 80\ncheck-state\nallow ip from any to any",
          "unreach port tcp from any to any 80\nunreach host ip from any to any",
          "deny tcp from any to any 80"})
        EXPECT_EQ(findings(rules), Lines()) << rules;
    EXPECT_EQ(findings("deny tcp from any to any 80", {.default_rule = DefaultRule::known}),
              (Lines{"100 redundant 65535"}));
}

TEST(Lint, OfTwoThatAreTheSameTheSecondIsTold) {
    EXPECT_EQ(findings("allow tcp from any to any 80\nallow tcp from any to any 80"),
              (Lines{"200 shadowed 100"}));
}

TEST(Lint, ContradictingRules) {
    EXPECT_EQ(findings("deny tcp from any to any 1-100\nallow tcp from any to any 50-200"),
              (Lines{"200 contradicting 100"}));
    EXPECT_EQ(findings("allow tcp from any to any 80\ndeny tcp from any to any 80"),
              (Lines{"200 shadowed 100", "200 contradicting 100"}));
    // an exception in front of its rule, and rules that are apart
    EXPECT_EQ(findings("allow tcp from any to any 80\ndeny tcp from any to any\n"
                       "allow udp from any to any 53"),
              Lines());
    // a bad network in front of an open port crosses it, as is usual
    const std::string crossing = "deny ip from 10.0.0.0/8 to any\nallow tcp from any to any 80";
    EXPECT_EQ(findings(crossing), Lines());
    EXPECT_EQ(findings(crossing, {.crossing = Crossing::told}), (Lines{"200 contradicting 100"}));
    const std::string odd =
        "deny tcp from any to any established\nallow tcp from any to any 80 setup";
    EXPECT_EQ(findings(odd), Lines());
    EXPECT_EQ(findings(odd, {.crossing = Crossing::told}), (Lines{"200 contradicting 100"}));
    // what they share is decided before
    EXPECT_EQ(findings("deny tcp from any to any 50-100\ndeny tcp from any to any 1-100\n"
                       "allow tcp from any to any 50-200"),
              (Lines{"100 redundant 200"}));
}

TEST(Lint, MissingTwins) {
    const std::string open = "deny tcp from any to 192.0.2.0/24 22\nallow ip from any to any";
    EXPECT_EQ(findings(open), (Lines{"100 missing IPv6 twin 200"}));
    EXPECT_EQ(findings("deny ip4 from any to any dst-port 22 proto tcp\nallow ip6 from any to any"),
              (Lines{"100 missing IPv6 twin 200"}));
    for (const char* rules : {
             "deny tcp from any to 192.0.2.0/24 22\ndeny tcp from any to 2001:db8::/32 22\n"
             "allow ip from any to any",
             "deny tcp from any to 192.0.2.0/24 22\nallow ip4 from any to any",
             "deny tcp from any to any 22\nallow ip from any to any",
             "deny tcp from 10.0.0.0/8 to 192.0.2.0/24 22\nallow ip from any to any",
             "deny icmp from any to 192.0.2.0/24\nallow ip from any to any",
             "deny ip6 from any to any\ndeny tcp from any to 192.0.2.0/24 22\n"
             "allow ip from any to any",
         })
        EXPECT_EQ(findings(rules), Lines()) << rules;
}

TEST(Lint, WhatTakesTooLongIsNotDecided) {
    std::string ports, addresses;
    for (unsigned i = 0; i < 15; ++i)
        ports += (i == 0 ? "" : ",") + std::to_string(100 * i + 1);
    for (unsigned i = 0; i < 40; ++i)
        addresses += (i == 0 ? "" : ",") + ("10.0.0." + std::to_string(3 * i));
    EXPECT_EQ(findings("deny tcp from " + addresses + " to any " + ports),
              (Lines{"100 undecided"}));
}

TEST(Lint, PayloadThatIsEncrypted) {
    for (const char* rule :
         {"deny tcp from any to any 443 payload \"attack\"",
          "deny tcp from any to any 22,993 payload \"attack\"",
          "deny tcp from any 995 to any http-host \"example.com\"",
          "deny tcp from any to any dst-port 853 not payload \"attack\"",
          "deny tcp from any to any { dst-port 443 or src-port 443 } payload \"attack\""})
        EXPECT_EQ(findings(rule), (Lines{"100 encrypted payload"})) << rule;
    for (const char* rule :
         {"deny tcp from any to any 443 tls-sni \"example.com\"",
          "deny tcp from any to any 80,443 payload \"attack\"",
          "deny tcp from any to any not 443 payload \"attack\"",
          "deny tcp from any to any 440-450 payload \"attack\"",
          "deny tcp from any to any { dst-port 443 or src-port 80 } payload \"attack\"",
          "deny tcp from any to any 443", "deny tcp from any to any payload \"attack\""})
        EXPECT_EQ(findings(rule), (Lines{})) << rule;
}

TEST(Lint, StreamsThatNoPacketWithAStateComesTo) {
    const std::string object =
        "pattern flow create mode stream\npattern flow add \"attack\"\n"
        "pattern web create\npattern web add \"attack\"\n";
    EXPECT_EQ(findings(object + "deny tcp from any to any payload flow"),
              (Lines{"100 stream without states"}));
    EXPECT_EQ(findings(object + "check-state\ndeny tcp from any to any payload flow\n"
                                "allow tcp from any to any setup keep-state"),
              (Lines{"200 stream without states 100"}));
    EXPECT_EQ(findings(object + "allow tcp from any to any 80 keep-state\n"
                                "deny tcp from any to any payload flow"),
              (Lines{"200 stream without states 100"}));
    for (const char* rules :
         {// In front of what decides, once at least.
          "deny tcp from any to any payload flow\ncheck-state\n"
          "allow tcp from any to any setup keep-state",
          "deny tcp from any to any 80 payload flow\ncheck-state\n"
          "deny tcp from any to any 81 payload flow\nallow tcp from any to any setup keep-state",
          // A state does not end the walk, or is of another name, or is not always looked for.
          "check-state\ndeny tcp from any to any payload flow\n"
          "count tcp from any to any setup keep-state",
          "check-state :a\ndeny tcp from any to any payload flow\n"
          "allow tcp from any to any setup keep-state :b",
          "prob 0.5 allow tcp from any to any 80 keep-state\ndeny tcp from any to any payload flow",
          // A jump leads behind it.
          "skipto 300 tcp from any to any 80\ncheck-state\n"
          "300 deny tcp from any to any payload flow\n"
          "400 allow tcp from any to any setup keep-state",
          // Packets by themselves are what it looks at anyway.
          "deny tcp from any to any payload web",
          "check-state\ndeny tcp from any to any payload web\n"
          "allow tcp from any to any setup keep-state"})
        EXPECT_EQ(findings(object + rules), (Lines{})) << rules;
}

}  // namespace
}  // namespace sluice::analysis
