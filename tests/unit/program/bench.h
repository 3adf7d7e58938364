// Rules from text around one engine, for tests that look at one packet at a time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset.h"
#include "replay/simulation.h"
#include "tests/reference/frame.h"

namespace sluice::program {

struct BenchSettings {
    bool default_accept = false;
    contract::Sysctls sysctls{.verbose = 1};
    packet::Environment environment = {};
};

class Bench {
  public:
    explicit Bench(const std::vector<std::string>& rules, BenchSettings settings = {}) {
        if (settings.environment.interfaces.empty())
            settings.environment.interfaces = {{"em0", {{*parse_ipv4("10.0.0.1"), 24}}},
                                               {"em1", {{*parse_ipv4("10.1.0.1"), 24}}},
                                               {"lo0", {}},
                                               {"lo", {}}};
        ruleset::Ruleset ruleset(settings.default_accept);
        ruleset.sysctls() = settings.sysctls;
        for (const std::string& text : rules) {
            auto rule = language::parse_rule(text, language::refusing_resolver());
            EXPECT_TRUE(rule) << text;
            auto added = ruleset.add(*rule);
            EXPECT_TRUE(added) << added.error().message;
        }
        auto simulation = replay::Simulation::create(ruleset, settings.environment, 1, 1);
        EXPECT_TRUE(simulation) << simulation.error().message;
        simulation_ = std::move(*simulation);
    }

    // `accept 100`, as a line of `ipfw replay` would say.
    std::string pass(const reference::Frame& frame, const packet::Passage& passage) {
        const std::uint64_t now_ms = 1000 * ++sequence_;
        const replay::Outcome outcome = simulation_->pass(frame, passage, sequence_, now_ms, log);
        return replay::to_text(outcome, simulation_->runtime()) + " " +
               std::to_string(outcome.verdict.rule_number);
    }
    std::string pass(const reference::FramePlan& plan, const packet::Passage& passage) {
        return pass(reference::build_frame(plan), passage);
    }

    // `packets bytes` of the rule at this place in the list.
    std::string counters(std::size_t index) const {
        const auto listing = simulation_->listing();
        return std::to_string(listing.at(index).packets) + " " +
               std::to_string(listing.at(index).bytes);
    }

    std::vector<std::string> log;

  private:
    std::unique_ptr<replay::Simulation> simulation_;
    std::uint64_t sequence_ = 0;
};

constexpr packet::Passage in_by(packet::InterfaceIndex interface,
                                packet::Entry entry = packet::Entry::ip) {
    return {.direction = packet::Direction::in, .entry = entry, .receive_interface = interface};
}

constexpr packet::Passage out_by(packet::InterfaceIndex interface,
                                 packet::InterfaceIndex received = packet::kNoInterface) {
    return {.direction = packet::Direction::out,
            .entry = packet::Entry::ip,
            .receive_interface = received,
            .transmit_interface = interface};
}

}  // namespace sluice::program
