// What a scrape costs: collecting and writing the metrics of an appliance with N rules and two
// workers, in time of one CPU. No HTTP, no processes; the counters are memory of this program.
//
//     scrape_benchmark [ROUNDS]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/language/rule_parser.h"
#include "controlplane/metrics/collector.h"

namespace {

using namespace sluice;

constexpr std::size_t kWorkers = 2;
constexpr std::uint32_t kSlots = 131072;

// Time that this thread had a CPU: what else runs on the machine does not count.
double cpu_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

ruleset::Ruleset rules(std::size_t count) {
    ruleset::Ruleset ruleset(false, kSlots);
    for (std::size_t i = 0; i < count; ++i) {
        const std::string text = std::to_string(1 + i * 60000 / count) + " allow tcp from 10." +
                                 std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) +
                                 ".0/24 to any " + std::to_string(1 + i % 65000);
        auto rule = language::parse_rule(text, language::refusing_resolver());
        if (!rule || !ruleset.add(std::move(*rule)))
            std::abort();
    }
    return ruleset;
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
    std::vector<contract::WorkerCounters> workers(kWorkers);
    std::vector<std::vector<contract::RuleCounters>> counters;
    std::vector<contract::SlotAnnotation> annotations(kSlots);
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
        counters.emplace_back(kSlots);
        for (std::uint32_t slot = 0; slot < kSlots; ++slot)
            counters.back()[slot] = {.packets = 1'000'000'007ULL * (slot + 1),
                                     .bytes = 700'000'000'003ULL * (slot + 1),
                                     .last_match_s = 1'800'000'000,
                                     .states = 0};
    }
    std::printf("| rules | size | CPU time of a scrape |\n|---|---|---|\n");
    for (const std::size_t count : {100u, 1000u, 10000u, 60000u}) {
        auto view = std::make_unique<metrics::View>(rules(count));
        view->dataplane = metrics::DataplaneFacts{.ports = {"em0", "em1"},
                                                  .state_capacity = 131072,
                                                  .state_memory = 1 << 24,
                                                  .dpdk_version = "DPDK"};
        for (std::size_t worker = 0; worker < kWorkers; ++worker) {
            view->counters.workers.push_back(&workers[worker]);
            view->counters.rules.emplace_back(counters[worker]);
        }
        view->counters.annotations = annotations;
        metrics::Board board;
        metrics::Tally tally;
        board.publish(std::move(view));
        metrics::Collector collector(board, tally,
                                     {.rules = config::RuleMetrics::all, .version = "1"});
        std::vector<double> times;
        std::size_t size = 0;
        for (int round = 0; round < rounds; ++round) {
            const double begin = cpu_seconds();
            size = metrics::exposition(collector.collect()).size();
            times.push_back(cpu_seconds() - begin);
        }
        std::sort(times.begin(), times.end());
        std::printf("| %zu | %.2f MB | %.1f ms (%.1f ms–%.1f ms) |\n", count,
                    static_cast<double>(size) / 1e6, times[times.size() / 2] * 1e3,
                    times.front() * 1e3, times.back() * 1e3);
    }
}
