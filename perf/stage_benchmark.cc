// Cycles that the stages of the engine take for a packet, as a worker runs them: bursts of 32 are
// glanced at, then judged (classified, states looked for, counted, a verdict). By the time stamp
// counter, read between the stages, with frames in the cache as after receipt. What classifying
// costs is the difference to the line without rules; where packets hit states, that is their cost.
//
//   stage_benchmark: CSV, a line for each ruleset and round

#include <x86intrin.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/engine.h"
#include "dataplane/state/state_table.h"
#include "perf/classifier/measure.h"
#include "perf/classifier/rule_set.h"
#include "perf/classifier/trace.h"

namespace {

using namespace sluice;

constexpr std::size_t kBurstOfWorker = 32;
constexpr std::size_t kPackets = 4096;
constexpr std::uint32_t kStates = 2 * kPackets;
constexpr std::uint32_t kUptime = 1000;  // second
constexpr int kRounds = 9;
constexpr double kSecondsPerRound = 0.1;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "stage_benchmark: %s\n", why.c_str());
    std::exit(1);
}

template <typename T>
T must(Result<T> result) {
    if (!result)
        fail(result.error().message);
    return std::move(*result);
}

ruleset::Ruleset read_rules(const std::string& text) {
    const language::RuleFile file = language::parse_file(text, language::refusing_resolver());
    if (!file.errors.empty())
        fail(file.errors.front().text());
    ruleset::Ruleset rules(true);
    rules.sysctls().dyn_max = kStates;
    for (const language::FileLine& line : file.lines)
        must(rules.add(std::get<language::AddCommand>(line.invocation.command).rule));
    return rules;
}

std::unique_ptr<const program::Runtime> make_runtime(const ruleset::Ruleset& rules,
                                                     std::uint32_t slots) {
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    return must(program::Runtime::create(must(compiler::compile(rules, 1)), environment, slots));
}

// Packets that rules of a thousand match: the same for all rulesets.
std::vector<std::span<const std::byte>> frames_of(const perf::Packets& packets) {
    std::vector<std::span<const std::byte>> frames;
    for (const packet::Packet& packet : packets.packets())
        frames.emplace_back(packet.headers.frame, packet.headers.frame_length);
    return frames;
}

struct Cycles {
    double parse = 0;
    double judge = 0;
};

// An engine with a ruleset, and what it writes to.
class Stages {
  public:
    explicit Stages(const std::string& text)
        : rules_(read_rules(text)),
          slots_(static_cast<std::uint32_t>(rules_.size()) + 2),
          runtime_(make_runtime(rules_, slots_)),
          counters_(slots_),
          annotations_(slots_),
          states_(
              must(state::StateTable::create({.cells = kStates,
                                              .secret = {0x8c6f5d1be3a90b47, 0x2545f4914f6cdd1d,
                                                         0xda942042e4dd58b5, 0x9fb21c651e98df25},
                                              .counters = worker_counters_.get(),
                                              .rules = counters_}))),
          engine_({.counters = counters_.data(),
                   .annotations = annotations_.data(),
                   .slot_capacity = slots_,
                   .log = {},
                   .states = states_.get()},
                  1) {}

    // All frames once.
    Cycles pass(const std::vector<std::span<const std::byte>>& frames) {
        Cycles cycles;
        for (std::size_t first = 0; first < frames.size(); first += kBurstOfWorker) {
            const std::uint64_t begin = __rdtsc();
            burst_->begin({.parser_settings = runtime_->parser_settings(),
                           .first_sequence = first,
                           .now_ms = 0,
                           .uptime_s = kUptime});
            for (std::size_t i = 0; i < kBurstOfWorker; ++i) {
                const auto frame = frames[first + i];
                burst_->add(frame.data(), static_cast<std::uint32_t>(frame.size()), kPassage);
            }
            judgement_->marked = 0;
            const std::uint64_t parsed = __rdtsc();
            engine_.filter(*runtime_, *burst_, *judgement_);
            const std::uint64_t judged = __rdtsc();
            cycles.parse += static_cast<double>(parsed - begin);
            cycles.judge += static_cast<double>(judged - parsed);
        }
        return cycles;
    }

    std::uint64_t states() const { return worker_counters_->states; }

  private:
    static constexpr packet::Passage kPassage{
        .direction = packet::Direction::in, .entry = packet::Entry::bridge, .receive_interface = 0};

    ruleset::Ruleset rules_;
    std::uint32_t slots_;
    std::unique_ptr<const program::Runtime> runtime_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    std::unique_ptr<contract::WorkerCounters> worker_counters_ =
        std::make_unique<contract::WorkerCounters>();
    std::unique_ptr<state::StateTable> states_;
    program::Engine engine_;
    std::unique_ptr<packet::Burst> burst_ = std::make_unique<packet::Burst>();
    std::unique_ptr<program::Judgement> judgement_ = std::make_unique<program::Judgement>();
};

// The first pass brings everything into the caches, and makes the states.
void measure(const std::string& name, const std::string& text,
             const std::vector<std::span<const std::byte>>& frames) {
    Stages stages(text);
    stages.pass(frames);
    if (const bool wants_states = text.find("keep-state") != text.npos;
        wants_states != (stages.states() != 0))
        fail(name + ": there are " + std::to_string(stages.states()) + " states");
    for (int round = 0; round < kRounds; ++round) {
        Cycles sum;
        double packets = 0;
        const double begin = perf::thread_seconds();
        while (perf::thread_seconds() - begin < kSecondsPerRound) {
            const Cycles cycles = stages.pass(frames);
            sum.parse += cycles.parse;
            sum.judge += cycles.judge;
            packets += static_cast<double>(frames.size());
        }
        std::printf("\"%s\",%.1f,%.1f\n", name.c_str(), sum.parse / packets, sum.judge / packets);
    }
    std::fflush(stdout);
}

}  // namespace

int main() {
    const perf::RuleSet traffic_rules = perf::make_rule_set(1000);
    const perf::Packets packets = must(perf::Packets::make(
        perf::make_trace(traffic_rules, perf::TraceKind::rule_uniform, kPackets), 4));
    const auto frames = frames_of(packets);
    std::puts("rules,parse,judge");
    measure("none", "", frames);
    for (const std::size_t count : {10, 100, 1000, 10000})
        measure(std::to_string(count), perf::to_text(perf::make_rule_set(count)), frames);
    measure("none, each packet hits a state", "add 1 allow ip from any to any keep-state\n",
            frames);
    return 0;
}
