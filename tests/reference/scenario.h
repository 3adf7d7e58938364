// One ruleset, one world, some packets: run through the production engine and through the slow one,
// and the first difference told. A failing scenario can be made small.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/environment.h"
#include "tests/reference/random_packets.h"

namespace sluice::reference {

// What the production engine is given: frames to glance at, as a worker does, or packets that have
// been parsed, as a replay does.
enum class Form { frames, packets };

struct Scenario {
    std::vector<std::string> tables;  // commands, `table 1 add …`
    std::vector<std::string> rules;   // `NUMBER RULE`, ascending
    std::vector<std::string> later;   // commands as in `tables`, half-way through the packets
    unsigned world = 0;               // see world()
    bool default_accept = false;
    std::uint32_t disabled_sets = 0;  // bit N: set N
    contract::Sysctls sysctls;
    std::uint64_t draw_seed = 0;
    unsigned burst = 1;  // packets that the production engine gets at once
    Form form = Form::frames;
    std::vector<RandomPacket> packets;
};

// Rules, world, sysctls and packets from one number.
Scenario random_scenario(std::uint64_t seed, unsigned packet_count);
// The same with thousands of rules.
Scenario large_scenario(std::uint64_t seed, unsigned packet_count);

// None: both engines agree on verdicts, rules, counters, log lines, states and keepalives.
std::optional<std::string> difference(const Scenario& scenario);

// What the slow engine has to do: kinds of verdict (`accept`, `unreach`, `tee` …), and `state hit`,
// `state limited`, `keepalive`, `table full`, `limit reached`.
std::set<std::string> events_of(const Scenario& scenario);

// Leaves rules and packets out as long as the scenario still fails.
Scenario shrink(Scenario scenario);

// For the report: rules, world, sysctls, packets in hex.
std::string describe(const Scenario& scenario);

}  // namespace sluice::reference
