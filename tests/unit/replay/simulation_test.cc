#include "replay/simulation.h"

#include <gtest/gtest.h>

#include "controlplane/language/rule_parser.h"

namespace sluice::replay {
namespace {

ruleset::Ruleset rules_of(std::initializer_list<const char*> texts) {
    ruleset::Ruleset rules(false);
    rules.sysctls().verbose = 1;
    for (const char* text : texts) {
        auto rule = language::parse_rule(text, language::refusing_resolver());
        EXPECT_TRUE(rule) << text;
        EXPECT_TRUE(rules.add(*rule)) << text;
    }
    return rules;
}

packet::Environment one_interface() {
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}};
    return environment;
}

// UDP 10.0.0.1:1000 → 10.0.0.LAST:53, eight bytes long.
std::vector<std::byte> datagram(std::uint8_t last) {
    const std::uint8_t bytes[] = {2,  0, 0,  0,  0, 2,    2, 0,   0,  0,  0, 1, 8,  0,
                                  69, 0, 0,  28, 0, 1,    0, 0,   64, 17, 0, 0, 10, 0,
                                  0,  1, 10, 0,  0, last, 3, 232, 0,  53, 0, 8, 0,  0};
    std::vector<std::byte> frame;
    for (const std::uint8_t byte : bytes)
        frame.push_back(std::byte{byte});
    return frame;
}

constexpr packet::Passage kIn{.direction = packet::Direction::in, .receive_interface = 0};

TEST(Simulation, TellsTheWayOfAPacket) {
    const auto rules = rules_of({"100 tee 5000 udp from any to any",
                                 "200 fwd 10.9.9.9,80 udp from any to 10.0.0.2",
                                 "300 fwd 2001:db8::1,80 udp from any to 10.0.0.3",
                                 "400 unreach port udp from any to 10.0.0.4"});
    const auto simulation = Simulation::create(rules, one_interface(), 1, 0);
    ASSERT_TRUE(simulation) << simulation.error().message;
    std::vector<std::string> log;
    auto way = [&](std::uint8_t last) {
        return to_text((*simulation)->pass(datagram(last), kIn, 0, 0, log),
                       (*simulation)->runtime());
    };
    EXPECT_EQ(way(2), "tee:5000@100>fwd:10.9.9.9:80");
    EXPECT_EQ(way(3), "tee:5000@100>fwd:[2001:db8::1]:80");
    EXPECT_EQ(way(4), "tee:5000@100>unreach:3");
    EXPECT_EQ(way(5), "tee:5000@100>deny");
}

// What was found holds for the flow, as in the data plane.
TEST(Simulation, FlowsAreFollowed) {
    ruleset::Ruleset rules(false);
    ASSERT_TRUE(rules.patterns().create("web", {.mode = contract::PatternMode::stream}));
    rules.patterns().add("web", "\"attack\"", 7, false);
    for (const char* text :
         {"100 deny udp from any to any payload web", "200 allow udp from any to any keep-state"}) {
        auto rule = language::parse_rule(text, language::refusing_resolver());
        ASSERT_TRUE(rule && rules.add(*rule)) << text;
    }
    ASSERT_TRUE(rules.complete_patterns());
    const auto simulation = Simulation::create(rules, one_interface(), 1, 0);
    ASSERT_TRUE(simulation) << simulation.error().message;
    const auto says = [&](std::uint8_t last, std::string_view text) {
        std::vector<std::byte> frame = datagram(last);
        for (const char letter : text)
            frame.push_back(static_cast<std::byte>(letter));
        frame[17] = static_cast<std::byte>(28 + text.size());
        frame[39] = static_cast<std::byte>(8 + text.size());
        std::vector<std::string> log;
        return to_text((*simulation)->pass(frame, kIn, 0, 0, log), (*simulation)->runtime());
    };
    EXPECT_EQ(says(2, "hello"), "accept");
    EXPECT_EQ(says(2, "an attack"), "deny");
    EXPECT_EQ(says(2, "hello"), "deny");
    EXPECT_EQ(says(3, "hello"), "accept");
}

TEST(Simulation, ManyWorkersCountAndLogAsOne) {
    const auto rules = rules_of(
        {"100 count log logamount 3 udp from any to any 53", "200 allow udp from any to any"});
    const auto simulation = Simulation::create(rules, one_interface(), 4, 0);
    ASSERT_TRUE(simulation) << simulation.error().message;
    std::vector<std::string> log;
    for (std::uint8_t last = 1; last <= 20; ++last)
        EXPECT_EQ((*simulation)->pass(datagram(last), kIn, last, 0, log).verdict.rule_number, 200);
    ASSERT_EQ(log.size(), 4u);
    EXPECT_EQ(log[0], "ipfw: 100 Count UDP 10.0.0.1:1000 10.0.0.1:53 in via em0");
    EXPECT_EQ(log[3], "ipfw: limit 3 reached on entry 100");
    const auto lines = (*simulation)->listing();
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0].packets, 20u);
    EXPECT_EQ(lines[0].bytes, 20u * 28);
    EXPECT_EQ(lines[2].number, 65535);
    EXPECT_EQ(lines[2].packets, 0u);
}

TEST(Simulation, LosesNoLogLine) {
    ruleset::Ruleset rules = rules_of({});
    const auto rule = language::parse_rule("100 count log logamount 0 udp from any to any",
                                           language::refusing_resolver());
    ASSERT_TRUE(rule);
    for (int i = 0; i < 5000; ++i)
        ASSERT_TRUE(rules.add(*rule));
    const auto simulation = Simulation::create(rules, one_interface(), 1, 0);
    ASSERT_TRUE(simulation) << simulation.error().message;
    std::vector<std::string> log;
    (*simulation)->pass(datagram(1), kIn, 0, 0, log);
    EXPECT_EQ(log.size(), 5000u);
    EXPECT_EQ((*simulation)->lost_log_lines(), 0u);
}

// Time is that of the packets: ten seconds behind the last datagram its state is over.
class States : public testing::TestWithParam<unsigned> {};

TEST_P(States, AreListedUntilTheirTimeIsUp) {
    const auto simulation = Simulation::create(
        rules_of({"100 check-state :default", "200 allow udp from any to any keep-state :default"}),
        one_interface(), GetParam(), 0);
    ASSERT_TRUE(simulation) << simulation.error().message;
    std::vector<std::string> log;
    (*simulation)->pass(datagram(1), kIn, 0, 1000, log);
    auto states = (*simulation)->states();
    ASSERT_TRUE(states);
    ASSERT_EQ(states->size(), 1u);
    EXPECT_EQ(states->front().number, 200);
    EXPECT_EQ(states->front().name, "default");
    EXPECT_EQ(states->front().expires_s, 10u);
    EXPECT_EQ(states->front().packets, 0u);

    EXPECT_EQ((*simulation)->pass(datagram(1), kIn, 1, 10999, log).verdict.rule_number, 200);
    EXPECT_EQ((*simulation)->states()->front().packets, 1u);

    (*simulation)->pass(datagram(2), kIn, 2, 20000, log);
    states = (*simulation)->states();
    ASSERT_EQ(states->size(), 1u);  // the second one; the first ended at 20
    EXPECT_EQ(states->front().packets, 0u);
}

INSTANTIATE_TEST_SUITE_P(OneWorkerAndFour, States, testing::Values(1u, 4u));

TEST(Simulation, RefusesWhatIsNotCarriedOut) {
    const auto simulation = Simulation::create(rules_of({"100 allow tcp from any to any jail 7"}),
                                               one_interface(), 1, 0);
    ASSERT_FALSE(simulation);
    EXPECT_EQ(simulation.error().status, ExitStatus::unavailable);
    EXPECT_EQ(simulation.error().message.rfind("cannot be carried out: ", 0), 0u);
}

}  // namespace
}  // namespace sluice::replay
