#include "perf/payload_engine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/checksum.h"

namespace sluice::perf {

namespace {

constexpr std::uint32_t kSlots = 16, kUptime = 1000;
constexpr std::uint8_t kSyn = 2, kAck = 16;
constexpr std::uint32_t kClientStart = 1000, kServerStart = 5000;
constexpr state::CellIndex kCells = 4096;
constexpr packet::Passage kPassage{.direction = packet::Direction::in, .receive_interface = 0};

template <typename T>
T must(Result<T> result) {
    if (!result)
        fail(result.error().message);
    return std::move(*result);
}

void put16(std::byte* at, unsigned value) {
    at[0] = static_cast<std::byte>(value >> 8);
    at[1] = static_cast<std::byte>(value);
}
void put32(std::byte* at, std::uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

struct Segment {
    std::size_t connection = 0;
    std::uint16_t port = 0;
    bool from_server = false;
    std::uint8_t flags = kAck;
    std::uint32_t sequence = 0, acknowledgement = 0;
};

// Headers in front of a payload that is there already.
void put_headers(const Segment& segment, std::span<std::byte> frame) {
    const Ipv4 client =
        Ipv4::from_host(0x0a000000 | static_cast<std::uint32_t>(segment.connection));
    const Ipv4 server = Ipv4::from_host(0xc0000201);
    const Ipv4 from = segment.from_server ? server : client;
    const Ipv4 to = segment.from_server ? client : server;
    const auto client_port = static_cast<unsigned>(1024 + segment.connection);
    std::byte* ip = frame.data() + 14;
    std::byte* tcp = ip + 20;
    put16(ip - 2, 0x0800);
    put16(ip, 0x4500);
    put16(ip + 2, static_cast<unsigned>(frame.size() - 14));
    put16(ip + 8, 0x4006);  // TTL 64, TCP
    put32(ip + 12, from.host());
    put32(ip + 16, to.host());
    put16(tcp, segment.from_server ? segment.port : client_port);
    put16(tcp + 2, segment.from_server ? client_port : segment.port);
    put32(tcp + 4, segment.sequence);
    put32(tcp + 8, segment.acknowledgement);
    put16(tcp + 12, 0x5000u | segment.flags);
    put16(tcp + 14, 0xffff);
    packet::Checksum sum;
    sum.add(from);
    sum.add(to);
    sum.add(std::uint16_t{6});
    sum.add(static_cast<std::uint16_t>(frame.size() - 34));
    sum.add(frame.subspan(34));
    put16(tcp + 16, sum.finish().host());
}

std::unique_ptr<const program::Runtime> make_runtime(const ruleset::PatternObject& object,
                                                     PayloadRule rule) {
    const bool follows = object.settings.mode == contract::PatternMode::stream;
    ruleset::Ruleset rules(false);
    if (rule == PayloadRule::with)
        rules.patterns().adopt(object);
    std::vector<std::string> texts = {rule == PayloadRule::with
                                          ? "deny tcp from any to any 80 payload " + object.name
                                          : "deny tcp from any to any 80"};
    if (follows)
        texts.insert(texts.end(), {"check-state", "allow tcp from any to any setup keep-state"});
    else
        texts.emplace_back("allow ip from any to any");
    for (const std::string& text : texts) {
        const auto parsed = language::parse_rule(text, language::refusing_resolver());
        if (!parsed)
            fail(text);
        must(rules.add(*parsed));
    }
    must(rules.complete_patterns());
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}};
    return must(program::Runtime::create(
        must(compiler::compile(rules, 1)), environment, kSlots,
        {.payload = {.readers = 1, .streams = 1024, .stream_memory = std::size_t{256} << 20}}));
}

}  // namespace

void fail(const std::string& why) {
    std::fprintf(stderr, "payload_benchmark: %s\n", why.c_str());
    std::exit(1);
}

Traffic::Traffic(const std::string& corpus, std::size_t bytes, std::uint16_t port) {
    const std::size_t pieces = std::max<std::size_t>(contract::kStreamDepth / bytes, 1);
    const std::size_t length = kHeaders + bytes;
    const std::size_t stride = (length + 63) / 64 * 64;
    memory_.resize(stride * pieces * kConnections);
    std::size_t at = 0;
    for (std::size_t i = 0; i < pieces * kConnections; ++i, at += bytes) {
        const std::span<std::byte> frame(memory_.data() + i * stride, length);
        at = at + bytes > corpus.size() ? 0 : at;
        std::copy_n(std::as_bytes(std::span(corpus)).data() + at, bytes, frame.data() + kHeaders);
        put_headers(
            {.connection = connection(i),
             .port = port,
             .sequence = static_cast<std::uint32_t>(kClientStart + 1 + i / kConnections * bytes),
             .acknowledgement = kServerStart + 1},
            frame);
        frames_.emplace_back(frame);
    }
    for (const Segment& step :
         {Segment{.flags = kSyn, .sequence = kClientStart},
          Segment{.from_server = true,
          .flags = kSyn | kAck,
          .sequence = kServerStart,
          .acknowledgement = kClientStart + 1},
          Segment{.sequence = kClientStart + 1, .acknowledgement = kServerStart + 1}})
        for (std::size_t i = 0; i < kConnections; ++i) {
            std::vector<std::byte>& frame = handshakes_.emplace_back(kHeaders);
            Segment segment = step;
            segment.connection = i;
            segment.port = port;
            put_headers(segment, frame);
        }
}

PayloadEngine::PayloadEngine(const ruleset::PatternObject& object, PayloadRule rule)
    : mode_(object.settings.mode),
      runtime_(make_runtime(object, rule)),
      counters_(kSlots),
      annotations_(kSlots) {
    if (mode_ == contract::PatternMode::stream) {
        states_ = must(state::StateTable::create({.cells = kCells,
                                                  .secret = {1, 2, 3, 4},
                                                  .counters = &worker_counters_,
                                                  .rules = counters_}));
        flows_ = std::make_unique<payload::FlowStreams>(
            payload::FlowStreams::Spec{.cells = kCells,
                                       .flows = 2 * Traffic::kConnections,
                                       .segments = 64,
                                       .counters = &worker_counters_});
        states_->tell_ends(flows_->ends());
    }
    engine_ =
        std::make_unique<program::Engine>(program::EngineOutputs{.counters = counters_.data(),
                                                                 .annotations = annotations_.data(),
                                                                 .slot_capacity = kSlots,
                                                                 .log = {},
                                                                 .log_dropped = nullptr,
                                                                 .states = states_.get(),
                                                                 .flows = flows_.get(),
                                                                 .payload = &worker_counters_},
                                          1);
    engine_->populate();
}

void PayloadEngine::judge(std::span<const std::span<const std::byte>> frames) {
    burst_->begin({.parser_settings = runtime_->parser_settings(),
                   .first_sequence = 0,
                   .now_ms = std::uint64_t{kUptime} * 1000,
                   .uptime_s = kUptime});
    burst_->add(frames.size(), kPassage, [&](std::size_t i) {
        return packet::Burst::Frame{frames[i].data(), static_cast<std::uint32_t>(frames[i].size())};
    });
    judgement_->marked = 0;
    engine_->filter(*runtime_, *burst_, *judgement_);
    if (judgement_->accepted != burst_->all())
        fail("a packet was not let through");
}

void PayloadEngine::prepare(const Traffic& traffic) {
    if (!states_)
        return;
    for (program::Engine::Killed killed; !killed.done;)
        killed = engine_->kill_states(*runtime_, {}, kUptime, killed.next);
    std::vector<std::span<const std::byte>> frames(traffic.handshakes().begin(),
                                                   traffic.handshakes().end());
    for (std::size_t i = 0; i < frames.size(); i += packet::Burst::kCapacity)
        judge(std::span(frames).subspan(i, packet::Burst::kCapacity));
    if (worker_counters_.states != Traffic::kConnections)
        fail("the connections have no states");
}

void PayloadEngine::pass(const Traffic& traffic) {
    for (std::size_t i = 0; i < traffic.size(); i += packet::Burst::kCapacity)
        judge(traffic.frames().subspan(i, packet::Burst::kCapacity));
}

std::uint64_t PayloadEngine::looks() const {
    for (const std::uint64_t skips : worker_counters_.payload_skips)
        if (skips != 0)
            fail("the engine has not looked at all packets");
    return worker_counters_.payload_scans;
}

}  // namespace sluice::perf
