#include "controlplane/log/log_line.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace sluice::log {
namespace {

using contract::LogKind;
using contract::LogRecord;
using contract::RuleAction;
namespace log_flag = contract::log_flag;

const std::vector<std::string> kNames = {"en0", "lo0"};

Ipv6 address(const char* text) {
    if (const auto v6 = parse_ipv6(text))
        return *v6;
    Ipv6 result;
    const Ipv4 v4 = parse_ipv4(text).value();
    std::memcpy(result.bytes.data(), &v4, sizeof v4);
    return result;
}

LogRecord record(std::uint16_t rule, RuleAction action, std::uint8_t protocol,
                 const char* source = "1.1.1.1", const char* destination = "2.2.2.2") {
    LogRecord r;
    r.rule_number = rule;
    r.action = action;
    r.protocol = protocol;
    r.ip_version = parse_ipv6(source) ? 6 : 4;
    r.source = address(source);
    r.destination = address(destination);
    r.receive_interface = 0;
    return r;
}

LogRecord with_ports(LogRecord r, std::uint16_t source, std::uint16_t destination) {
    r.flags |= log_flag::ports;
    r.source_port = source;
    r.destination_port = destination;
    return r;
}

LogRecord with_icmp(LogRecord r, std::uint8_t type, std::uint8_t code) {
    r.flags |= log_flag::icmp;
    r.icmp_type = type;
    r.icmp_code = code;
    return r;
}

LogRecord fragment(LogRecord r, std::uint32_t id, std::uint16_t length, std::uint16_t offset,
                   bool more) {
    r.flags |= log_flag::fragment;
    if (more)
        r.flags |= log_flag::more_fragments;
    r.ip_id = id;
    r.fragment_length = length;
    r.fragment_offset = offset;
    return r;
}

LogRecord with_number(LogRecord r, std::uint16_t number) {
    r.action_number = number;
    return r;
}

// The second column of the file; comments are skipped.
std::vector<std::string> derived_lines() {
    std::ifstream file(TEST_DATA "/log_lines_derived.tsv");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with("#"))
            lines.push_back(line.substr(line.find('\t') + 1));
    return lines;
}

TEST(LogLine, EqualsTheDerivedLines) {
    const auto tcp = [](RuleAction action) { return with_ports(record(100, action, 6), 5, 80); };
    LogRecord reject = tcp(RuleAction::unreach);
    reject.flags |= log_flag::reject;
    reject.action_number = 1;
    LogRecord forward = tcp(RuleAction::fwd);
    forward.next_hop = address("10.0.0.9");
    forward.next_hop_family = 4;
    forward.next_hop_port = 8080;
    LogRecord bogus = fragment(record(0, RuleAction::deny, 6), 1, 20, 8, false);
    bogus.kind = LogKind::refused;

    const std::vector<LogRecord> records = {
        with_ports(record(100, RuleAction::deny, 17), 5, 53),
        with_icmp(record(100, RuleAction::count, 1), 8, 0),
        record(100, RuleAction::deny, 47),
        fragment(with_ports(record(100, RuleAction::deny, 17), 5, 53), 4660, 1480, 0, true),
        fragment(record(100, RuleAction::deny, 17), 4660, 100, 1480, false),
        with_number(tcp(RuleAction::unreach), 3),
        reject,
        tcp(RuleAction::reset),
        with_number(tcp(RuleAction::skipto), 500),
        forward,
        with_number(tcp(RuleAction::divert), 8668),
        with_ports(record(100, RuleAction::deny, 6, "2001:db8::1", "2001:db8::2"), 5, 80),
        with_icmp(record(100, RuleAction::deny, 58, "2001:db8::1", "2001:db8::2"), 128, 0),
        bogus,
    };
    const std::vector<std::string> expected = derived_lines();
    ASSERT_EQ(expected.size(), records.size() + 1);  // the last row is about the limit
    for (std::size_t i = 0; i < records.size(); ++i)
        EXPECT_EQ(format_line(records[i], kNames), expected[i]);

    LogRecord limited = tcp(RuleAction::deny);
    limited.log_limit = 2;
    EXPECT_NE(expected.back().find(format_limit_notice(limited)), std::string::npos);
}

TEST(LogLine, EqualsTheLinesInPrint) {
    std::ifstream file(TEST_DATA "/log_lines_real.txt");
    std::vector<std::string> real;
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with("#"))
            real.push_back(line);
    LogRecord out =
        with_ports(record(10, RuleAction::allow, 6, "192.168.12.12", "192.168.12.12"), 49152, 660);
    out.transmit_interface = 1;
    // The second line was written by ipfw1, which has no code behind Unreach.
    const std::vector<std::string> ours = {
        format_line(
            with_ports(record(2060, RuleAction::allow, 6, "1.2.3.4", "10.0.0.1"), 119, 54609),
            kNames),
        format_line(with_number(with_ports(record(65000, RuleAction::unreach, 6, "10.221.41.33",
                                                  "192.168.12.12"),
                                           2190, 80),
                                1),
                    kNames),
        format_line(with_ports(record(100, RuleAction::allow, 6, "10.221.41.33", "192.168.12.12"),
                               721, 515),
                    kNames),
        format_line(out, kNames)};
    ASSERT_EQ(real.size(), ours.size());
    EXPECT_EQ(ours[0], real[0]);
    EXPECT_EQ(ours[1],
              "ipfw: 65000 Unreach 1" + real[1].substr(std::strlen("ipfw: 65000 Unreach")));
    EXPECT_EQ(ours[2], real[2]);
    EXPECT_EQ(ours[3], real[3]);
}

TEST(LogLine, OtherActions) {
    const auto word = [](RuleAction action, std::uint16_t number) {
        const std::string line = format_line(with_number(record(7, action, 47), number), kNames);
        return line.substr(8, line.find(" P:47") - 8);
    };
    EXPECT_EQ(word(RuleAction::unreach6, 4), "Unreach 4");
    EXPECT_EQ(word(RuleAction::reset6, 0), "Reset");
    EXPECT_EQ(word(RuleAction::tee, 99), "Tee 99");
    LogRecord forward = record(7, RuleAction::fwd, 47);
    forward.next_hop = address("2001:db8::9");
    forward.next_hop_family = 6;
    EXPECT_EQ(format_line(forward, kNames),
              "ipfw: 7 Forward to [2001:db8::9] P:47 1.1.1.1 2.2.2.2 in via en0");
}

TEST(LogLine, OtherPackets) {
    LogRecord frame;
    frame.rule_number = 5;
    frame.receive_interface = 0;
    EXPECT_EQ(format_line(frame, kNames), "ipfw: 5 Deny MAC in via en0");
    EXPECT_EQ(format_line(fragment(record(5, RuleAction::deny, 1), 9, 8, 800, false), kNames),
              "ipfw: 5 Deny ICMP 1.1.1.1 2.2.2.2 in via en0 (frag 9:8@800)");
    EXPECT_EQ(format_line(fragment(record(5, RuleAction::deny, 6, "fe00::", "fe00::1"), 0xb1df, 16,
                                   128, true),
                          kNames),
              "ipfw: 5 Deny TCP [fe00::] [fe00::1] in via en0 (frag 0000b1df:16@128+)");
    EXPECT_EQ(format_line(with_ports(record(5, RuleAction::deny, 136), 1, 2), kNames),
              "ipfw: 5 Deny UDPLite 1.1.1.1:1 2.2.2.2:2 in via en0");
    LogRecord nowhere = record(5, RuleAction::deny, 47);
    nowhere.receive_interface = contract::kNoInterface;
    EXPECT_EQ(format_line(nowhere, kNames), "ipfw: 5 Deny P:47 1.1.1.1 2.2.2.2 [no if info]");
    LogRecord pullup;
    pullup.kind = LogKind::pullup_failed;
    EXPECT_EQ(format_line(pullup, kNames), "ipfw: pullup failed");
}

TEST(LogLine, NonsenseInARecordStaysOneLine) {
    LogRecord r = record(5, RuleAction::count_, 47);
    r.receive_interface = 77;
    EXPECT_EQ(format_line(r, kNames), "ipfw: 5 UNKNOWN P:47 1.1.1.1 2.2.2.2 in via ?");
    r.receive_interface = 0;
    const std::vector<std::string> hostile = {"em0\n\x1b[2Jipfw: 1"};
    EXPECT_EQ(format_line(r, hostile),
              "ipfw: 5 UNKNOWN P:47 1.1.1.1 2.2.2.2 in via em0\\x0a\\x1b[2Jipfw: 1");
}

TEST(LogLine, LimitOfBogusPacketsIsEntryMinusOne) {
    LogRecord r;
    r.kind = LogKind::refused;
    r.log_limit = 10;
    EXPECT_EQ(format_limit_notice(r), "ipfw: limit 10 reached on entry -1");
}

TEST(LogLine, StatesThatCouldNotBeMade) {
    LogRecord limit =
        with_ports(record(221, RuleAction::allow, 17, "10.0.5.142", "1.2.3.4"), 68, 53);
    limit.kind = LogKind::state_limit;
    limit.states = 4;
    EXPECT_EQ(format_line(limit, kNames),
              "ipfw: 221 drop session type 40 10.0.5.142 68 -> 1.2.3.4 53, 4 too many entries");
    LogRecord limit6 = with_ports(record(7, RuleAction::allow, 6, "fe00::", "fe00::1"), 1, 2);
    limit6.kind = LogKind::state_limit;
    limit6.states = 1;
    EXPECT_EQ(format_line(limit6, kNames),
              "ipfw: 7 drop session type 40 fe00:: 1 -> fe00::1 2, 1 too many entries");
    LogRecord full;
    full.kind = LogKind::state_table_full;
    EXPECT_EQ(format_line(full, kNames),
              "ipfw: Cannot allocate dynamic state, consider increasing net.inet.ip.fw.dyn_max");
}

}  // namespace
}  // namespace sluice::log
