// What the filter engine costs a packet: headers parsed, rules walked, counters written, in bursts
// as a worker does it. `rules` is the number of rules in front of the one that allows the packet;
// none of them matches it.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/engine.h"

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

ruleset::Ruleset make_rules(unsigned count) {
    ruleset::Ruleset rules(false);
    const language::RuleFile file =
        language::parse_file(rule_text(count), language::refusing_resolver());
    if (!file.errors.empty())
        fail(file.errors.front().text());
    for (const language::FileLine& line : file.lines)
        must(rules.add(std::get<language::AddCommand>(line.invocation.command).rule));
    return rules;
}

std::unique_ptr<const program::Runtime> make_runtime(const ruleset::Ruleset& rules,
                                                     std::uint32_t slots) {
    const std::vector<ruleset::RulePointer> stored = rules.rules();
    std::vector<compiler::RuleInput> inputs;
    for (const ruleset::RulePointer& rule : stored)
        inputs.push_back({.rule = &rule->rule, .slot = rule->slot, .log_limit = 0});
    const std::vector<std::byte> image =
        must(compiler::compile({.rules = inputs,
                                .default_accept = false,
                                .default_slot = rules.default_rule()->slot,
                                .sysctls = {},
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

void filter(benchmark::State& state) {
    const auto rule_count = static_cast<unsigned>(state.range(0));
    const std::uint32_t slots = rule_count + 16;
    const ruleset::Ruleset rules = make_rules(rule_count);
    const auto runtime = make_runtime(rules, slots);
    std::vector<contract::RuleCounters> counters(slots);
    std::vector<contract::SlotAnnotation> annotations(slots);
    program::Engine engine({.counters = counters.data(),
                            .annotations = annotations.data(),
                            .slot_capacity = slots,
                            .log = {}},
                           1);
    const std::vector<Frame> frames = make_frames();
    std::array<packet::Packet, kBurst> packets;
    std::array<program::Verdict, kBurst> verdicts;
    std::array<program::PacketMarks, kBurst> marks;
    std::size_t next = 0;
    for (auto _ : state) {
        for (packet::Packet& packet : packets) {
            packet = {};
            packet.malformed = packet::parse_frame(frames[next++ % kFlows],
                                                   runtime->parser_settings(), packet.headers);
            packet.passage = {.direction = packet::Direction::in,
                              .entry = packet::Entry::bridge,
                              .receive_interface = 0};
        }
        for (program::PacketMarks& packet : marks)
            packet.clear();
        engine.filter(*runtime, packets, verdicts, marks);
        benchmark::DoNotOptimize(verdicts);
    }
    if (verdicts[0].kind != program::Verdict::Kind::accept)
        fail("the packets were not allowed");
    state.counters["packets"] = benchmark::Counter(static_cast<double>(state.iterations() * kBurst),
                                                   benchmark::Counter::kIsRate);
}
BENCHMARK(filter)->ArgName("rules")->Arg(0)->Arg(10)->Arg(100)->Arg(1000);

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
