#include "controlplane/cli/top_command.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;
using Json = nlohmann::json;
using std::chrono::milliseconds;

Json status(unsigned times) {
    return {{"schema", "sluice/status/1"},
            {"time_s", 1000 + times},
            {"dataplane", true},
            {"generation", 42},
            {"states", {{"count", 7}, {"most", 100}, {"made", 10 * times}}},
            {"workers", {{{"turns", 1000000 * times}, {"bursts", 50 * times}}}},
            {"ports",
             {{{"name", "em0"},
               {"rx_packets", 2000 * times},
               {"rx_bytes", 100000 * times},
               {"tx_packets", times},
               {"tx_bytes", 64 * times},
               {"rx_drops", 0}}}},
            {"rules",
             {{{"number", 100},
               {"set", 0},
               {"id", "aa"},
               {"text", "allow ip from any to any"},
               {"packets", 10 * times},
               {"bytes", 1000 * times}},
              {{"number", 200},
               {"set", 3},
               {"id", "bb"},
               {"text", "deny ip from any to \x1b any"},
               {"packets", 500 * times},
               {"bytes", 32000 * times}}}}};
}

TEST(TopCommand, Words) {
    ASSERT_TRUE(is_top_command(Words{"top"}));
    EXPECT_FALSE(is_top_command(Words{"list"}));
    EXPECT_EQ(*parse_top_command(Words{"top"}), TopCommand());
    EXPECT_EQ(*parse_top_command(Words{"top", "--once", "--json", "--interval", "0.25"}),
              (TopCommand{.once = true, .json = true, .interval = milliseconds(250)}));
    for (const char* wrong : {"", "0", "0.05", "-1", "x", "1s", "3601", "nan"})
        EXPECT_EQ(parse_top_command(Words{"top", "--interval", wrong}).error().status,
                  ExitStatus::data)
            << wrong;
    const auto unknown = parse_top_command(Words{"top", "--onse"});
    EXPECT_EQ(unknown.error().status, ExitStatus::usage);
    EXPECT_NE(unknown.error().message.find("usage: ipfw top"), std::string::npos);
}

TEST(TopCommand, RatesAreDifferencesByTime) {
    const auto rates = rates_between(status(1).dump(), status(3).dump(), 2);
    ASSERT_TRUE(rates) << rates.error().message;
    EXPECT_EQ(rates->at("schema"), "sluice/top/1");
    EXPECT_EQ(rates->at("states").at("made_per_second"), 10.0);
    EXPECT_EQ(rates->at("ports")[0].at("rx_packets_per_second"), 2000.0);
    EXPECT_EQ(rates->at("workers")[0].at("turns_per_second"), 1e6);
    // The busiest first.
    EXPECT_EQ(rates->at("rules")[0].at("number"), 200);
    EXPECT_EQ(rates->at("rules")[0].at("packets_per_second"), 500.0);
    EXPECT_EQ(rates->at("rules")[1].at("bytes_per_second"), 1000.0);
}

TEST(TopCommand, WhatIsNewOrWasZeroedHasNoRate) {
    Json before = status(5);
    before["rules"].erase(0);
    const auto rates = rates_between(before.dump(), status(1).dump(), 1);
    ASSERT_TRUE(rates);
    for (const auto& rule : rates->at("rules"))
        EXPECT_EQ(rule.at("packets_per_second"), 0.0);
    EXPECT_EQ(rates->at("ports")[0].at("rx_packets_per_second"), 0.0);
}

TEST(TopCommand, WhatIsNoStatusIsAnErrorAndOddOnesAreHarmless) {
    EXPECT_FALSE(rates_between("", status(1).dump(), 1));
    EXPECT_FALSE(rates_between(status(1).dump(), R"({"schema":"sluice/status/2"})", 1));
    EXPECT_FALSE(rates_between(status(1).dump(), status(1).dump(), 0));
    const std::string odd =
        R"({"schema":"sluice/status/1","states":7,"ports":[1,{"name":2}],"rules":[null],"workers":{}})";
    const auto rates = rates_between(odd, odd, 1);
    ASSERT_TRUE(rates);
    EXPECT_FALSE(top_table(*rates, {}).empty());
}

TEST(TopCommand, TheTable) {
    const auto rates = rates_between(status(1).dump(), status(3).dump(), 2);
    const std::vector<std::string> lines = top_table(*rates, {});
    const std::vector<std::string> expected = {
        "generation 42, 7 of 100 states, 10.0 made a second",
        "PORT              RX PKT/S RX BIT/S TX PKT/S TX BIT/S   DROP/S",
        "em0                 2.00k     800k      1.0      512        0",
        "WORKER             TURNS/S BURSTS/S",
        "0                   1.00M     50.0",
        "RULE   SET     PKT/S    BIT/S  TEXT",
        "00200    3      500     256k  deny ip from any to \\x1b any",
        "00100    0     10.0    8.00k  allow ip from any to any"};
    EXPECT_EQ(lines, expected);
    const std::vector<std::string> small = top_table(*rates, {.rows = 7, .columns = 20});
    ASSERT_EQ(small.size(), 7u);
    EXPECT_EQ(small[6], "00200    3      500 ");
}

TEST(TopCommand, Figures) {
    for (const auto& [value, text] : {std::pair{0.0, "0"},
                                      {0.04, "0"},
                                      {1.0, "1.0"},
                                      {99.94, "99.9"},
                                      {99.96, "100"},
                                      {999.4, "999"},
                                      {999.6, "1.00k"},
                                      {12345.0, "12.3k"},
                                      {999499.0, "999k"},
                                      {999600.0, "1.00M"},
                                      {1.5e9, "1.50G"},
                                      {1e30, "1000000000000E"}})
        EXPECT_EQ(short_figure(value), text) << value;
}

}  // namespace
}  // namespace sluice::cli
