#include "replay/simulation.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "controlplane/compiler/compile.h"
#include "controlplane/log/log_line.h"

namespace sluice::replay {

namespace {

using program::Verdict;

constexpr std::uint32_t kMinimumLogRing = 64;

// The ring is emptied after each packet. A packet meets each rule at most once, and what is said
// about the packet itself is one line more.
std::uint32_t log_ring_records(const std::vector<ruleset::RulePointer>& rules) {
    const auto logging =
        std::count_if(rules.begin(), rules.end(),
                      [](const ruleset::RulePointer& rule) { return rule->rule.log.has_value(); });
    return std::max(kMinimumLogRing, std::bit_ceil(static_cast<std::uint32_t>(logging) + 2));
}

std::uint32_t slots_needed(const ruleset::Ruleset& rules) {
    std::uint32_t highest = rules.default_rule()->slot;
    for (const ruleset::RulePointer& rule : rules.rules())
        highest = std::max(highest, rule->slot);
    return highest + 1;
}

std::uint64_t address_hash(const Ipv6& address) {
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a
    for (const std::uint8_t byte : address.bytes)
        hash = (hash ^ byte) * 1099511628211u;
    return hash;
}

// Both directions of a flow and all fragments of a datagram hash alike.
std::uint64_t flow_hash(const packet::Headers& headers) {
    return (address_hash(headers.source) + address_hash(headers.destination)) >> 16;
}

}  // namespace

struct Simulation::Worker {
    Worker(std::uint32_t slots, std::uint32_t log_records,
           const contract::SlotAnnotation* annotations, std::uint64_t seed)
        : counters(slots),
          ring_memory(contract::log_ring_stride(log_records) / sizeof(Line)),
          ring(contract::LogRing::create(ring_memory.data(), log_records)),
          engine({.counters = counters.data(),
                  .annotations = annotations,
                  .slot_capacity = slots,
                  .log = ring},
                 seed) {}

    struct alignas(64) Line {
        std::byte bytes[64];
    };

    std::vector<contract::RuleCounters> counters;
    std::vector<Line> ring_memory;
    contract::LogRing ring;
    program::Engine engine;
};

Simulation::~Simulation() = default;

Result<std::unique_ptr<Simulation>> Simulation::create(const ruleset::Ruleset& rules,
                                                       const packet::Environment& environment,
                                                       unsigned worker_count, std::uint64_t seed) {
    std::vector<compiler::RuleInput> inputs;
    const std::vector<ruleset::RulePointer> stored = rules.rules();
    for (const ruleset::RulePointer& rule : stored)
        inputs.push_back({.rule = &rule->rule, .slot = rule->slot, .log_limit = rule->log_limit});
    const auto image = compiler::compile({.rules = inputs,
                                          .default_accept = rules.default_accept(),
                                          .default_slot = rules.default_rule()->slot,
                                          .sysctls = rules.sysctls(),
                                          .generation = 1});
    if (!image)
        return image.error();
    const std::uint32_t slots = slots_needed(rules);
    auto runtime = program::Runtime::create(*image, environment, slots);
    if (!runtime)
        return runtime.error();
    std::unique_ptr<Simulation> simulation(new Simulation(rules, std::move(*runtime)));
    simulation->annotations_.resize(slots);
    simulation->limiter_ = log::LogLimiter(simulation->annotations_);
    for (unsigned i = 0; i < worker_count; ++i)
        simulation->workers_.push_back(std::make_unique<Worker>(
            slots, log_ring_records(stored), simulation->annotations_.data(), seed + i));
    return simulation;
}

Simulation::Simulation(const ruleset::Ruleset& rules,
                       std::unique_ptr<const program::Runtime> runtime)
    : rules_(rules), runtime_(std::move(runtime)) {
    for (const packet::Interface& interface : runtime_->environment().interfaces)
        interface_names_.push_back(interface.name);
}

Outcome Simulation::pass(std::span<const std::byte> frame, const packet::Passage& passage,
                         std::uint64_t sequence, std::uint64_t now_ms,
                         std::vector<std::string>& log) {
    packet::Packet packet;
    packet.malformed = packet::parse_frame(frame, runtime_->parser_settings(), packet.headers);
    packet.passage = passage;
    packet.sequence = sequence;
    packet.now_ms = now_ms;

    Worker& worker = *workers_[flow_hash(packet.headers) % workers_.size()];
    Outcome outcome;
    worker.engine.filter(*runtime_, {&packet, 1}, {&outcome.verdict, 1});
    while (outcome.verdict.kind == Verdict::Kind::tee) {
        outcome.tees.push_back({outcome.verdict.argument, outcome.verdict.rule_number});
        outcome.verdict = worker.engine.resume(*runtime_, packet, outcome.verdict);
    }
    drain(worker, log);
    return outcome;
}

void Simulation::drain(Worker& worker, std::vector<std::string>& log) {
    for (contract::LogRecord record; worker.ring.pop(record);) {
        const log::LogDecision decision = limiter_.admit(record);
        if (decision.write)
            log.push_back(log::format_line(record, interface_names_));
        if (decision.limit_reached)
            log.push_back(log::format_limit_notice(record));
    }
}

std::uint64_t Simulation::lost_log_lines() const {
    std::uint64_t lost = 0;
    for (const auto& worker : workers_)
        lost += worker->ring.dropped();
    return lost;
}

std::vector<ruleset::ListedRule> Simulation::listing() const {
    std::vector<ruleset::ListedRule> lines;
    auto list = [&](const ruleset::StoredRule& rule) {
        ruleset::ListedRule line{
            .number = rule.rule.number, .set = rule.rule.set, .text = rule.text};
        for (const auto& worker : workers_) {
            const contract::RuleCounters& counters = worker->counters[rule.slot];
            line.packets += counters.packets;
            line.bytes += counters.bytes;
            line.last_match_s = std::max(line.last_match_s, counters.last_match_s);
        }
        lines.push_back(std::move(line));
    };
    for (const ruleset::RulePointer& rule : rules_.rules())
        list(*rule);
    list(*rules_.default_rule());
    return lines;
}

namespace {

std::string next_hop_text(const contract::RuleRecord& rule) {
    std::string text;
    if (rule.next_hop_family == 4) {
        Ipv4 address;
        std::memcpy(&address, rule.next_hop.bytes.data(), sizeof address);
        text = sluice::to_string(address);
    } else {
        text = sluice::to_string(rule.next_hop);
        if (rule.next_hop_port != 0)
            text = "[" + text + "]";
    }
    if (rule.next_hop_port != 0)
        text += ":" + std::to_string(rule.next_hop_port);
    return text;
}

std::string verdict_text(const Verdict& verdict, const program::Runtime& runtime) {
    const std::string argument = ":" + std::to_string(verdict.argument);
    switch (verdict.kind) {
        case Verdict::Kind::accept:
            return "accept";
        case Verdict::Kind::deny:
            return "deny";
        case Verdict::Kind::unreach:
            return "unreach" + argument;
        case Verdict::Kind::unreach6:
            return "unreach6" + argument;
        case Verdict::Kind::reset:
            return "reset";
        case Verdict::Kind::reset6:
            return "reset6";
        case Verdict::Kind::divert:
            return "divert" + argument;
        case Verdict::Kind::tee:
            return "tee" + argument;
        case Verdict::Kind::fwd:
            return "fwd:" + next_hop_text(runtime.view().rules()[verdict.rule_index]);
    }
    return "deny";
}

}  // namespace

std::string to_text(const Outcome& outcome, const program::Runtime& runtime) {
    std::string text;
    for (const Outcome::Tee& tee : outcome.tees)
        text += "tee:" + std::to_string(tee.port) + "@" + std::to_string(tee.rule_number) + ">";
    return text + verdict_text(outcome.verdict, runtime);
}

}  // namespace sluice::replay
