// What the filter engine costs a packet: headers parsed, rules walked, counters written, in bursts
// as a worker does it. `rules` is the number of rules in front of the one that allows the packet;
// none of them matches it. `established` is traffic of so many TCP connections, each with its
// state, in any order: the headers are in the cache, as after receipt, and the states where they
// may be.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/engine.h"
#include "dataplane/state/state_table.h"

namespace {

using namespace sluice;

constexpr std::size_t kBurst = 32;
constexpr std::size_t kFlows = 1024;
constexpr std::size_t kFrameLength = 60;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "engine_benchmark: %s\n", why.c_str());
    std::exit(1);
}

template <typename T>
T must(Result<T> result) {
    if (!result)
        fail(result.error().message);
    return std::move(*result);
}

std::string rule_text(unsigned count) {
    std::string text;
    for (unsigned i = 0; i < count; ++i)
        text += "add deny tcp from 10." + std::to_string(i / 250) + "." + std::to_string(i % 250) +
                ".0/24 to any " + std::to_string(1000 + i) + " in\n";
    return text + "add allow udp from any to any 53 in\n";
}

ruleset::Ruleset make_rules(const std::string& text) {
    ruleset::Ruleset rules(false);
    const language::RuleFile file = language::parse_file(text, language::refusing_resolver());
    if (!file.errors.empty())
        fail(file.errors.front().text());
    for (const language::FileLine& line : file.lines)
        must(rules.add(std::get<language::AddCommand>(line.invocation.command).rule));
    return rules;
}

std::unique_ptr<const program::Runtime> make_runtime(const ruleset::Ruleset& rules,
                                                     std::uint32_t slots,
                                                     const contract::Sysctls& sysctls = {}) {
    const std::vector<ruleset::RulePointer> stored = rules.rules();
    std::vector<compiler::RuleInput> inputs;
    for (const ruleset::RulePointer& rule : stored)
        inputs.push_back({.rule = &rule->rule, .slot = rule->slot, .log_limit = 0});
    const std::vector<std::byte> image =
        must(compiler::compile({.rules = inputs,
                                .default_accept = false,
                                .default_slot = rules.default_rule()->slot,
                                .sysctls = sysctls,
                                .generation = 1}));
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    return must(program::Runtime::create(image, environment, slots));
}

using Frame = std::array<std::byte, kFrameLength>;

void put16(Frame& frame, std::size_t offset, unsigned value) {
    frame[offset] = static_cast<std::byte>(value >> 8);
    frame[offset + 1] = static_cast<std::byte>(value);
}

// UDP to port 53 from 1024 flows.
std::vector<Frame> make_frames() {
    std::vector<Frame> frames(kFlows);
    for (std::size_t flow = 0; flow < kFlows; ++flow) {
        Frame& frame = frames[flow];
        frame.fill(std::byte{0});
        put16(frame, 12, 0x0800);
        put16(frame, 14, 0x4500);
        put16(frame, 16, kFrameLength - 14);
        put16(frame, 22, 0x4011);  // TTL 64, UDP
        put16(frame, 26, 0xc633);  // 198.51.x.y to 192.0.2.1
        put16(frame, 28, static_cast<unsigned>(flow));
        put16(frame, 30, 0xc000);
        put16(frame, 32, 0x0201);
        put16(frame, 34, static_cast<unsigned>(1024 + flow));
        put16(frame, 36, 53);
        put16(frame, 38, kFrameLength - 34);
    }
    return frames;
}

constexpr packet::Passage kPassage{
    .direction = packet::Direction::in, .entry = packet::Entry::bridge, .receive_interface = 0};

void begin(packet::Burst& burst, const program::Runtime& runtime, std::uint32_t uptime_s) {
    burst.begin({.parser_settings = runtime.parser_settings(),
                 .first_sequence = 0,
                 .now_ms = 0,
                 .uptime_s = uptime_s});
}

void filter(benchmark::State& state) {
    const auto rule_count = static_cast<unsigned>(state.range(0));
    const std::uint32_t slots = rule_count + 16;
    const ruleset::Ruleset rules = make_rules(rule_text(rule_count));
    const auto runtime = make_runtime(rules, slots);
    std::vector<contract::RuleCounters> counters(slots);
    std::vector<contract::SlotAnnotation> annotations(slots);
    program::Engine engine({.counters = counters.data(),
                            .annotations = annotations.data(),
                            .slot_capacity = slots,
                            .log = {}},
                           1);
    const std::vector<Frame> frames = make_frames();
    const auto burst = std::make_unique<packet::Burst>();
    const auto judgement = std::make_unique<program::Judgement>();
    std::size_t next = 0;
    for (auto _ : state) {
        begin(*burst, *runtime, 0);
        for (std::size_t i = 0; i < kBurst; ++i) {
            const Frame& frame = frames[next++ % kFlows];
            burst->add(frame.data(), frame.size(), kPassage);
        }
        judgement->marked = 0;
        engine.filter(*runtime, *burst, *judgement);
        benchmark::DoNotOptimize(judgement->accepted);
    }
    if (judgement->accepted != burst->all())
        fail("the packets were not allowed");
    state.counters["packets"] = benchmark::Counter(static_cast<double>(state.iterations() * kBurst),
                                                   benchmark::Counter::kIsRate);
}
BENCHMARK(filter)->ArgName("rules")->Arg(0)->Arg(10)->Arg(100)->Arg(1000);

// Established TCP connections in a table that holds them just so: a client each, all to one server.
class Connections {
  public:
    explicit Connections(std::uint32_t flows)
        : flows_(flows),
          rules_(make_rules("add check-state\n"
                            "add allow tcp from any to any 443 in setup keep-state\n")),
          runtime_(make_runtime(rules_, kSlots, sysctls_for(flows))),
          counters_(kSlots),
          annotations_(kSlots),
          states_(make_states()),
          engine_({.counters = counters_.data(),
                   .annotations = annotations_.data(),
                   .slot_capacity = kSlots,
                   .log = {},
                   .states = states_.get()},
                  1) {
        for (std::size_t i = 0; i < kBurst; ++i)
            put_fixed_part(frames_[i]);
        for (std::uint32_t flow = 0; flow < flows; flow += kBurst / 2)
            shake_hands(flow, std::min<std::uint32_t>(kBurst / 2, flows - flow));
        std::mt19937 random(7);
        for (std::uint32_t& flow : order_)
            flow = random() % flows;
    }

    // A burst of packets of any connections, from the client and from the server in turn.
    void pass_burst() {
        begin(*burst_, *runtime_, kUptime);
        for (std::size_t i = 0; i < kBurst; ++i)
            receive(i, order_[next_++ % order_.size()], i % 2 != 0, kAck);
        judge();
    }

    // Every packet since the start has found its state.
    void check() const {
        if (worker_counters_->states_made != flows_ || worker_counters_->states != flows_)
            fail("the states are not those of the connections");
        if (judgement_->accepted != burst_->all())
            fail("a packet of a connection was not allowed");
    }

  private:
    static constexpr std::uint32_t kSlots = 16, kUptime = 1000;
    static constexpr std::uint8_t kSyn = 2, kAck = 16;

    static contract::Sysctls sysctls_for(std::uint32_t flows) {
        contract::Sysctls sysctls;
        sysctls.dyn_max = flows + 2 * kBurst;
        sysctls.dyn_established_share = 0;
        return sysctls;
    }

    std::unique_ptr<state::StateTable> make_states() {
        auto states = must(
            state::StateTable::create({.cells = flows_ + static_cast<state::CellIndex>(2 * kBurst),
                                       .secret = {0x8c6f5d1be3a90b47, 0x2545f4914f6cdd1d,
                                                  0xda942042e4dd58b5, 0x9fb21c651e98df25},
                                       .counters = worker_counters_.get(),
                                       .rules = counters_}));
        must(states->populate());
        return states;
    }

    static void put_fixed_part(Frame& frame) {
        frame.fill(std::byte{0});
        put16(frame, 12, 0x0800);
        put16(frame, 14, 0x4500);
        put16(frame, 16, kFrameLength - 14);
        put16(frame, 22, 0x4006);  // TTL 64, TCP
        put16(frame, 40, 1);       // sequence number
        put16(frame, 44, 1);       // acknowledgement
        put16(frame, 46, 0x5000);  // header of 20 bytes
    }

    // The client is 10.x.y.z, the server 192.0.2.1.
    void receive(std::size_t place, std::uint32_t flow, bool from_server, std::uint8_t flags) {
        Frame& frame = frames_[place];
        const std::size_t client = from_server ? 30 : 26, server = from_server ? 26 : 30;
        put16(frame, client, 0x0a00 | flow >> 16);
        put16(frame, client + 2, flow & 0xffff);
        put16(frame, server, 0xc000);
        put16(frame, server + 2, 0x0201);
        put16(frame, from_server ? 36 : 34, 1024 + flow % 60000);
        put16(frame, from_server ? 34 : 36, 443);
        frame[47] = std::byte{flags};
        burst_->add(frame.data(), frame.size(), kPassage);
    }

    void judge() {
        judgement_->marked = 0;
        engine_.filter(*runtime_, *burst_, *judgement_);
        benchmark::DoNotOptimize(judgement_->accepted);
    }

    void shake_hands(std::uint32_t first, std::uint32_t count) {
        begin(*burst_, *runtime_, kUptime);
        for (std::uint32_t i = 0; i < count; ++i) {
            receive(std::size_t{2} * i, first + i, false, kSyn);
            receive(std::size_t{2} * i + 1, first + i, true, kSyn | kAck);
        }
        judge();
    }

    std::uint32_t flows_;
    ruleset::Ruleset rules_;
    std::unique_ptr<const program::Runtime> runtime_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    std::unique_ptr<contract::WorkerCounters> worker_counters_ =
        std::make_unique<contract::WorkerCounters>();
    std::unique_ptr<state::StateTable> states_;
    program::Engine engine_;
    std::array<Frame, kBurst> frames_;
    std::unique_ptr<packet::Burst> burst_ = std::make_unique<packet::Burst>();
    std::unique_ptr<program::Judgement> judgement_ = std::make_unique<program::Judgement>();
    std::vector<std::uint32_t> order_ = std::vector<std::uint32_t>(std::size_t{1} << 21);
    std::size_t next_ = 0;
};

void established(benchmark::State& state) {
    const auto flows = static_cast<std::uint32_t>(state.range(0));
    // Kept from one call to the next, of which there are many for the same number.
    static std::unique_ptr<Connections> connections;
    static std::uint32_t connections_of = 0;
    if (connections_of != flows) {
        connections.reset();
        connections = std::make_unique<Connections>(flows);
        connections_of = flows;
    }
    for (auto _ : state)
        connections->pass_burst();
    connections->check();
    state.counters["packets"] = benchmark::Counter(static_cast<double>(state.iterations() * kBurst),
                                                   benchmark::Counter::kIsRate);
}
BENCHMARK(established)->ArgName("flows")->Arg(1'000)->Arg(1'000'000);

void parse_only(benchmark::State& state) {
    const std::vector<Frame> frames = make_frames();
    std::array<packet::Headers, kBurst> headers;
    std::size_t next = 0;
    for (auto _ : state) {
        for (packet::Headers& h : headers) {
            h = {};
            benchmark::DoNotOptimize(packet::parse_frame(frames[next++ % kFlows], {}, h));
        }
        benchmark::ClobberMemory();
    }
    state.counters["packets"] = benchmark::Counter(static_cast<double>(state.iterations() * kBurst),
                                                   benchmark::Counter::kIsRate);
}
BENCHMARK(parse_only);

}  // namespace

BENCHMARK_MAIN();
