#include "controlplane/log/log_fields.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "controlplane/log/log_writer.h"

namespace sluice::log {
namespace {

using contract::Fate;
using contract::LogKind;
using contract::LogRecord;
using contract::PacketFilter;
using contract::RuleAction;
using contract::WantedWay;
namespace log_flag = contract::log_flag;

Ipv6 four_bytes(const char* text) {
    Ipv6 address{};
    const auto v4 = parse_ipv4(text);
    std::memcpy(address.bytes.data(), &*v4, sizeof *v4);
    return address;
}

LogRecord denied() {
    LogRecord record;
    record.time_ms = 1068412338007;  // Sun Nov  9 21:12:18.007 2003 UTC
    record.rule_number = 2060;
    record.action = RuleAction::deny;
    record.ip_version = 4;
    record.protocol = 6;
    record.flags = log_flag::ports;
    record.source = four_bytes("1.2.3.4");
    record.destination = four_bytes("10.0.0.1");
    record.source_port = 119;
    record.destination_port = 54609;
    record.receive_interface = 1;
    return record;
}

PacketFilter host(const char* address, std::uint8_t length) {
    return {.ip_version = 4, .prefix_length = length, .address = four_bytes(address)};
}

TEST(LogFields, AFilterAsksForAllThatItSays) {
    const LogRecord record = denied();
    for (const PacketFilter& met :
         {PacketFilter{}, host("1.2.3.4", 32), host("10.0.0.0", 8), host("10.0.0.3", 30),
          host("0.0.0.0", 0), PacketFilter{.protocol = 6, .has_protocol = 1},
          PacketFilter{.port = 119}, PacketFilter{.port = 54609}, PacketFilter{.rule_number = 2060},
          PacketFilter{.way = WantedWay::in}, PacketFilter{.fate = Fate::deny}})
        EXPECT_TRUE(meets(met, record));
    for (const PacketFilter& other :
         {host("1.2.3.5", 32), host("10.0.0.2", 32), host("10.0.0.3", 31), host("11.0.0.0", 8),
          PacketFilter{.protocol = 17, .has_protocol = 1}, PacketFilter{.port = 80},
          PacketFilter{.rule_number = 2061}, PacketFilter{.way = WantedWay::out},
          PacketFilter{.fate = Fate::accept}, PacketFilter{.ip_version = 6},
          PacketFilter{.port = 119, .rule_number = 1}})
        EXPECT_FALSE(meets(other, record));
}

TEST(LogFields, PortsThatAreNotThereAreNoPorts) {
    LogRecord record = denied();
    record.flags = 0;
    EXPECT_FALSE(meets(PacketFilter{.port = 119}, record));
}

TEST(LogFields, WhatIsAboutNoPacketIsForWhoWantsEverything) {
    LogRecord record = denied();
    record.kind = LogKind::state_table_full;
    EXPECT_TRUE(meets({}, record));
    EXPECT_FALSE(meets({.fate = Fate::deny}, record));
}

TEST(LogFields, WhatLetsAPacketGoOnHasNotDecided) {
    LogRecord record = denied();
    for (const auto& [action, fate] :
         {std::pair{RuleAction::allow, Fate::accept}, std::pair{RuleAction::fwd, Fate::accept},
          std::pair{RuleAction::unreach6, Fate::deny}, std::pair{RuleAction::reset, Fate::deny},
          std::pair{RuleAction::abort, Fate::deny}, std::pair{RuleAction::count, Fate::any},
          std::pair{RuleAction::tee, Fate::any}}) {
        record.action = action;
        EXPECT_EQ(fate_of(record), fate);
    }
    record.kind = LogKind::refused;
    EXPECT_EQ(fate_of(record), Fate::deny);
}

TEST(LogFields, ALineOfJson) {
    const std::vector<std::string> names = {"em0", "em\"1\x1b"};
    const std::string text = json_line(denied(), names);
    EXPECT_EQ(text.find('\n'), text.npos);
    const auto object = nlohmann::json::parse(text);
    EXPECT_EQ(object, nlohmann::json::parse(R"({
        "schema": "sluice/log/1", "time": "2003-11-09T21:12:18.007Z",
        "line": "ipfw: 2060 Deny TCP 1.2.3.4:119 10.0.0.1:54609 in via em\"1\\x1b",
        "rule": 2060, "action": "Deny", "fate": "deny", "direction": "in",
        "receive_interface": "em\"1\\x1b", "ip_version": 4, "protocol": "TCP",
        "protocol_number": 6, "source": "1.2.3.4", "destination": "10.0.0.1",
        "source_port": 119, "destination_port": 54609})"));
}

// Whatever stands in a record, there is one line, and it is JSON.
TEST(LogFields, AnyBytesMakeOneLineOfJson) {
    std::uint32_t state = 1;
    const std::vector<std::string> names = {"\xff\n\"\\"};
    for (int round = 0; round < 2000; ++round) {
        LogRecord record;
        unsigned char bytes[sizeof record];
        for (unsigned char& byte : bytes)
            byte = static_cast<unsigned char>((state = state * 1664525 + 1013904223) >> 24);
        std::memcpy(static_cast<void*>(&record), bytes, sizeof record);
        record.kind = static_cast<LogKind>(bytes[0] % 6);
        record.action =
            static_cast<RuleAction>(bytes[1] % static_cast<unsigned>(RuleAction::count_));
        const std::string text = json_line(record, names);
        EXPECT_EQ(text.find('\n'), text.npos);
        EXPECT_TRUE(nlohmann::json::accept(text)) << text;
    }
}

class KeepingSink final : public LogSink {
  public:
    explicit KeepingSink(std::vector<std::string>& lines) : lines_(lines) {}
    void write(std::string_view line, std::uint64_t, Priority) override {
        lines_.emplace_back(line);
    }
    void flush() override {}
    void reopen() override {}
    std::uint64_t failures() const override { return 0; }

  private:
    std::vector<std::string>& lines_;
};

// A rule's comment may hold what a terminal obeys.
TEST(LogWriter, ANoteIsOneLineOfPrintableCharacters) {
    for (const Format format : {Format::classic, Format::json}) {
        std::vector<std::string> lines;
        std::vector<std::unique_ptr<LogSink>> sinks;
        sinks.push_back(std::make_unique<KeepingSink>(lines));
        LogWriter writer(std::move(sinks), nullptr, format);
        writer.note("ipfw: rule 7 has expired: deny ip from any to any // \x1b[2J\nx", 0);
        ASSERT_EQ(lines.size(), 1u);
        const std::string expected =
            "ipfw: rule 7 has expired: deny ip from any to any // \\x1b[2J\\x0ax";
        EXPECT_EQ(format == Format::classic
                      ? lines[0]
                      : nlohmann::json::parse(lines[0])["line"].get<std::string>(),
                  expected);
    }
}

}  // namespace
}  // namespace sluice::log
