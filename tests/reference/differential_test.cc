// Random rulesets × random packets: the production engine must answer as the slow one.
//
// A normal run takes about twenty seconds. SLUICE_DIFFERENTIAL_SECONDS makes it longer,
// SLUICE_DIFFERENTIAL_SEED starts elsewhere; a failure names the seed that shows it alone.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>

#include "controlplane/compiler/support.h"
#include "controlplane/language/construct.h"
#include "tests/reference/random_rules.h"
#include "tests/reference/scenario.h"

namespace sluice::reference {
namespace {

constexpr unsigned kPacketsPerScenario = 150;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// At least one scenario, until the time is over.
void compare(Scenario (*make)(std::uint64_t seed, unsigned packet_count), std::uint64_t seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    const std::uint64_t first_seed = setting("SLUICE_DIFFERENTIAL_SEED", 1);
    std::uint64_t seed = first_seed;
    for (; seed == first_seed || std::chrono::steady_clock::now() < end; ++seed) {
        const Scenario scenario = make(seed, kPacketsPerScenario);
        if (!difference(scenario))
            continue;
        const Scenario small = shrink(scenario);
        FAIL() << "seed " << seed << ": " << *difference(small) << "\n" << describe(small);
    }
    std::cout << (seed - first_seed) << " rulesets, " << (seed - first_seed) * kPacketsPerScenario
              << " packets agree\n";
}

TEST(Differential, EngineAnswersAsTheReference) {
    compare(random_scenario, setting("SLUICE_DIFFERENTIAL_SECONDS", 20));
}

// Where trees are deep and leaves are shared by rules of all kinds.
TEST(Differential, EngineAnswersAsTheReferenceWithThousandsOfRules) {
    compare(large_scenario, setting("SLUICE_DIFFERENTIAL_SECONDS", 20) / 4);
}

// Packets of scenarios carry nothing. What is looked for in payload is held against PCRE2
// (unit/patterns), its order against the bytes that were sent (unit/payload, segments_fuzz).
bool is_of_payload(const language::ConstructInfo& construct) {
    const std::string_view example = construct.example;
    return example.find(" payload ") != example.npos || example.find(" http-") != example.npos ||
           example.find(" tls-sni ") != example.npos || example.find(" dns-qname ") != example.npos;
}

// What the table says is carried out must be among what the generator says.
TEST(Differential, GeneratorUsesEveryConstructThatIsCarriedOut) {
    std::set<language::Construct> seen;
    for (std::uint64_t seed = 1; seed < 400; ++seed) {
        Random random(seed);
        for (const language::Rule& rule : parse_rules(random_ruleset(random, 40)))
            for (const language::Construct construct : language::constructs_of(rule))
                seen.insert(construct);
    }
    for (const language::ConstructInfo& construct : language::all_constructs())
        EXPECT_EQ(seen.contains(construct.construct) || is_of_payload(construct),
                  compiler::is_carried_out(construct.construct))
            << construct.name << ", as in: " << construct.example;
}

// The oracle is only worth something if packets get past the first rule in all ways there are.
TEST(Differential, PacketsReachAllEvents) {
    std::set<std::string> events;
    for (std::uint64_t seed = 1; seed < 600; ++seed)
        for (const std::string& event : events_of(random_scenario(seed, kPacketsPerScenario)))
            events.insert(event);
    const std::set<std::string> wanted = {
        "accept",    "deny",       "unreach",       "unreach6", "reset",     "reset6",
        "abort",     "abort6",     "divert",        "tee",      "state hit", "state limited",
        "keepalive", "table full", "limit reached", "fwd",      "reass",     "reassembled"};
    EXPECT_EQ(events, wanted);
}

}  // namespace
}  // namespace sluice::reference
