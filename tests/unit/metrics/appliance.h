// The memory of a data plane that nobody runs, and rules that count in it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/language/rule_parser.h"
#include "controlplane/metrics/collector.h"
#include "controlplane/metrics/view.h"
#include "tests/unit/metrics/exposition_reader.h"

namespace sluice::metrics {

struct Appliance {
    static constexpr std::uint32_t kSlots = 16384;

    explicit Appliance(std::size_t worker_count) : workers(worker_count) {
        for (std::size_t worker = 0; worker < worker_count; ++worker) {
            rules.emplace_back(kSlots);
            counters.workers.push_back(&workers[worker]);
            counters.rules.emplace_back(rules.back());
        }
        annotations.resize(kSlots);
        counters.devices = devices;
        counters.annotations = annotations;
        counters.mapping = std::make_shared<int>(0);
        facts.ports = {"em0", "em1"};
        facts.state_capacity = 1000;
        facts.state_memory = 109000;
        facts.dpdk_version = "DPDK 22.11.11";
    }

    // Adds the rule; its slot.
    std::uint32_t add(const std::string& text) {
        const auto added = ruleset.add(parsed(text));
        return added ? (*added)->slot : 0;
    }
    void count(std::size_t worker, std::uint32_t slot, std::uint64_t packets, std::uint64_t bytes,
               std::uint64_t time_s = 1000) {
        rules[worker][slot].packets += packets;
        rules[worker][slot].bytes += bytes;
        rules[worker][slot].last_match_s = time_s;
    }

    std::unique_ptr<View> view() const {
        auto view = std::make_unique<View>(ruleset);
        view->generation = 7;
        view->dataplane = facts;
        view->counters = counters;
        view->cost = cost;
        view->tables = tables;
        return view;
    }
    // What a scrape of it says; without fault.
    Exposition scrape(config::RuleMetrics which = config::RuleMetrics::automatic) {
        Board board;
        board.publish(view());
        Collector collector(board, tally,
                            {.rules = which, .version = "1.2.3", .now_s = [] { return 5000.5; }});
        return read_exposition(exposition(collector.collect()));
    }

    static language::Rule parsed(const std::string& text) {
        auto rule = language::parse_rule(text, language::refusing_resolver());
        EXPECT_TRUE(rule) << text;
        return rule ? *rule : language::Rule();
    }

    ruleset::Ruleset ruleset{false, kSlots};
    std::vector<contract::WorkerCounters> workers;
    std::array<contract::DeviceStatus, contract::kMaximumPorts> devices{};
    std::vector<std::vector<contract::RuleCounters>> rules;
    std::vector<contract::SlotAnnotation> annotations;
    Counters counters;
    DataplaneFacts facts;
    contract::RulesetCost cost;
    std::vector<TableSize> tables;
    Tally tally;
};

}  // namespace sluice::metrics
