#include "replay/simulation.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "controlplane/compiler/compile.h"
#include "controlplane/compiler/support.h"
#include "controlplane/log/log_line.h"
#include "controlplane/ruleset/state_listing.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/program/states.h"

namespace sluice::replay {

namespace {

using program::Verdict;

constexpr std::uint32_t kMinimumLogRing = 64;
constexpr std::uint64_t kMinimumCells = 1024;

// As the data plane has them if nobody says otherwise.
constexpr std::size_t kPayloadFlows = 100'000;
constexpr std::size_t kPayloadBytes = std::size_t{64} << 20;

bool follows_flows(const program::Runtime& runtime) {
    const auto objects = runtime.payload_objects();
    return std::any_of(objects.begin(), objects.end(), [](const payload::Object& object) {
        return object.mode == contract::PatternMode::stream;
    });
}

// Any odd word spreads flows over the workers.
constexpr std::uint64_t kOwnerSeed = 0x6d5a;

// More than these a packet does not log unless calls go on and on.
constexpr std::size_t kMaximumLines = 65536;

// The ring is emptied after each packet. A packet meets each rule at most once, and once more for
// each name of states that it finds one under and for each call; what is said about the packet
// itself is two lines more.
std::uint32_t log_ring_records(const std::vector<ruleset::RulePointer>& rules) {
    std::size_t logging = 0, times = 1;
    std::set<std::string> names;
    for (const ruleset::RulePointer& rule : rules) {
        logging += rule->rule.log.has_value() ? 1 : 0;
        if (rule->rule.state)
            names.insert(rule->rule.state->name);
        if (rule->rule.action.kind == language::ActionKind::call)
            times = program::kMaximumCallsInAll;
    }
    const std::size_t lines = std::min(logging * (names.size() + times), kMaximumLines) + 3;
    return std::max(kMinimumLogRing, std::bit_ceil(static_cast<std::uint32_t>(lines)));
}

std::uint32_t slots_needed(const ruleset::Ruleset& rules) {
    std::uint32_t highest = rules.default_rule()->slot;
    for (const ruleset::RulePointer& rule : rules.rules())
        highest = std::max(highest, rule->slot);
    return highest + 1;
}

// Cells for all states and parents that the sysctls allow, were they all IPv6; pages that are not
// used cost nothing.
state::CellIndex cells_needed(const contract::Sysctls& sysctls) {
    const std::uint64_t cells =
        2 * (std::uint64_t{sysctls.dyn_max} + sysctls.dyn_parent_max) + kMinimumCells;
    return static_cast<state::CellIndex>(
        std::min<std::uint64_t>(cells, state::FlowIndex::kMaximumCells));
}

}  // namespace

bool reassemble(packet::Reassembler& reassembler, const program::Runtime& runtime,
                packet::Packet& packet, Outcome& outcome) {
    // Changes so far are those of the fragment.
    std::vector<std::byte> frame(packet.headers.frame,
                                 packet.headers.frame + packet.headers.frame_length);
    forward::rewrite(frame, packet.headers, outcome.marks);
    outcome.marks.forget_changes();
    packet.headers.frame = frame.data();
    const packet::Reassembler::Outcome result = reassembler.add(packet);
    if (result.refused != contract::DropReason::none) {
        outcome.verdict.kind = Verdict::Kind::deny;
        outcome.verdict.reason = result.refused;
    }
    if (result.frame.empty())
        return false;
    outcome.tees.push_back({std::nullopt, outcome.verdict.rule_number});
    packet.malformed = packet::parse_frame(result.frame, runtime.parser_settings(), packet.headers);
    if (packet.malformed == contract::DropReason::none)
        return true;
    outcome.verdict = {.kind = Verdict::Kind::deny, .reason = packet.malformed};
    return false;
}

struct Simulation::Worker {
    Worker(std::uint32_t slots, std::uint32_t log_records)
        : counters(slots),
          ring_memory(contract::log_ring_stride(log_records) / sizeof(Line)),
          ring(contract::LogRing::create(ring_memory.data(), log_records)) {}

    struct alignas(64) Line {
        std::byte bytes[64];
    };

    contract::WorkerCounters worker_counters;
    std::vector<contract::RuleCounters> counters;
    std::vector<Line> ring_memory;
    contract::LogRing ring;
    std::unique_ptr<state::StateTable> states;
    std::unique_ptr<payload::FlowStreams> flows;  // null: no object follows any
    std::unique_ptr<program::Engine> engine;
    packet::Reassembler reassembler;
};

class Simulation::KeepaliveCollector : public state::KeepaliveSink {
  public:
    explicit KeepaliveCollector(std::vector<state::Keepalive>& keepalives)
        : keepalives_(keepalives) {}
    void send(const state::Keepalive& keepalive) override { keepalives_.push_back(keepalive); }

  private:
    std::vector<state::Keepalive>& keepalives_;
};

Simulation::~Simulation() = default;

Result<std::unique_ptr<Simulation>> Simulation::create(const ruleset::Ruleset& rules,
                                                       const packet::Environment& environment,
                                                       unsigned worker_count, std::uint64_t seed,
                                                       std::shared_ptr<table::Store> tables,
                                                       program::RandomSource* draws) {
    for (const ruleset::RulePointer& rule : rules.rules())
        if (auto why = compiler::unsupported(rule->rule))
            return Error{ExitStatus::unavailable, *why};
    const auto image = compiler::compile(rules, 1);
    if (!image)
        return image.error();
    const std::uint32_t slots = slots_needed(rules);
    auto runtime = program::Runtime::create(
        *image, environment, slots,
        {.payload = {
             .readers = worker_count, .streams = kPayloadFlows, .stream_memory = kPayloadBytes}});
    if (!runtime)
        return runtime.error();
    std::unique_ptr<Simulation> simulation(new Simulation(rules, std::move(*runtime)));
    simulation->annotations_.resize(slots);
    simulation->limiter_ = log::LogLimiter(simulation->annotations_);
    simulation->limiter_.set_rate(rules.sysctls().verbose_rate);
    simulation->tables_ = std::move(tables);
    if (auto made = simulation->make_workers(worker_count, slots, seed, draws); !made)
        return made.error();
    return simulation;
}

Result<Done> Simulation::make_workers(unsigned count, std::uint32_t slots, std::uint64_t seed,
                                      program::RandomSource* draws) {
    const std::uint32_t log_records = log_ring_records(rules_.rules());
    std::vector<const state::StateTable*> shards;
    for (unsigned i = 0; i < count; ++i) {
        auto worker = std::make_unique<Worker>(slots, log_records);
        auto states = state::StateTable::create({.cells = cells_needed(rules_.sysctls()),
                                                 .secret = {seed, ~seed, seed + 1, seed + 2},
                                                 .counters = &worker->worker_counters,
                                                 .rules = worker->counters});
        if (!states)
            return states.error();
        worker->states = std::move(*states);
        if (follows_flows(*runtime_)) {
            worker->flows = std::make_unique<payload::FlowStreams>(payload::FlowStreams::Spec{
                .cells = worker->states->cell_count(),
                .flows = kPayloadFlows,
                .segments = kPayloadBytes / payload::TcpOrder::kPieceSize,
                .reader = i,
                .counters = &worker->worker_counters});
            worker->states->tell_ends(worker->flows->ends());
        }
        worker->engine = std::make_unique<program::Engine>(
            program::EngineOutputs{.counters = worker->counters.data(),
                                   .annotations = annotations_.data(),
                                   .slot_capacity = slots,
                                   .log = worker->ring,
                                   .states = worker->states.get(),
                                   .tables = tables_.get(),
                                   .worker = i,
                                   .reader = i,
                                   .flows = worker->flows.get(),
                                   .payload = &worker->worker_counters},
            seed + i, draws);
        shards.push_back(worker->states.get());
        workers_.push_back(std::move(worker));
    }
    for (const auto& worker : workers_)
        worker->states->join(shards);
    return Done{};
}

Simulation::Simulation(const ruleset::Ruleset& rules,
                       std::unique_ptr<const program::Runtime> runtime)
    : rules_(rules), runtime_(std::move(runtime)), owner_hash_(kOwnerSeed) {
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
    advance_to(static_cast<std::uint32_t>(now_ms / 1000));
    packet.uptime_s = uptime_s_;
    Worker& worker = owner_of(packet);
    Outcome outcome;
    worker.engine->filter(*runtime_, {&packet, 1}, {&outcome.verdict, 1}, {&outcome.marks, 1});
    while (outcome.verdict.kind == Verdict::Kind::tee ||
           outcome.verdict.kind == Verdict::Kind::reass) {
        if (outcome.verdict.kind == Verdict::Kind::tee)
            outcome.tees.push_back({outcome.verdict.argument, outcome.verdict.rule_number});
        else if (!reassemble(worker.reassembler, *runtime_, packet, outcome))
            break;
        drain(worker, log);
        outcome.verdict = worker.engine->resume(*runtime_, packet, outcome.verdict, outcome.marks);
    }
    drain(worker, log);
    return outcome;
}

// What is no IP has no flow; any worker does.
Simulation::Worker& Simulation::owner_of(const packet::Packet& packet) const {
    if (packet.headers.ip_version == 0)
        return *workers_.front();
    return *workers_[runtime_->owner_of(packet.headers, owner_hash_,
                                        static_cast<unsigned>(workers_.size()))];
}

// A worker does a bit of what is due in each turn, and has many turns in a second.
void Simulation::advance_to(std::uint32_t uptime_s) {
    if (uptime_s <= uptime_s_)
        return;
    uptime_s_ = uptime_s;
    KeepaliveCollector collector(keepalives_);
    for (const auto& worker : workers_)
        worker->reassembler.expire(uptime_s);
    for (const auto& worker : workers_)
        while (worker->engine->tend_states(*runtime_, uptime_s_, &collector)) {
        }
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

Result<std::vector<ruleset::ListedState>> Simulation::states() const {
    std::vector<contract::StateRecord> records;
    for (std::size_t i = 0; i < workers_.size(); ++i)
        program::append_states(*workers_[i]->states, *runtime_, {}, uptime_s_,
                               static_cast<std::uint16_t>(i), records);
    return ruleset::list_states(records, rules_, ruleset::ExpiredStates::hide);
}

std::vector<ruleset::ListedRule> Simulation::listing() const {
    std::vector<ruleset::ListedRule> lines;
    auto list = [&](const ruleset::StoredRule& rule) {
        ruleset::ListedRule line{
            .number = rule.rule.number, .set = rule.rule.set, .text = rule.text};
        line.disabled = rules_.is_disabled(rule);
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

// Of the rule, or, for `fwd tablearg`, of the verdict itself.
std::string next_hop_text(const contract::RuleRecord& rule, const Verdict& verdict) {
    const bool own = verdict.next_hop_family != 0;
    const Ipv6& next_hop = own ? verdict.next_hop : rule.next_hop;
    std::string text;
    if ((own ? verdict.next_hop_family : rule.next_hop_family) == 4) {
        Ipv4 address;
        std::memcpy(&address, next_hop.bytes.data(), sizeof address);
        text = sluice::to_string(address);
    } else {
        text = sluice::to_string(next_hop);
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
        case Verdict::Kind::abort:
            return "abort";
        case Verdict::Kind::abort6:
            return "abort6";
        case Verdict::Kind::divert:
            return "divert" + argument;
        case Verdict::Kind::tee:
            return "tee" + argument;
        case Verdict::Kind::reass:
            return "reass";
        case Verdict::Kind::fwd:
            return "fwd:" + next_hop_text(runtime.view().all_rules()[verdict.rule_index], verdict);
    }
    return "deny";
}

}  // namespace

std::string to_text(const state::Keepalive& keepalive) {
    auto address = [&](const Ipv6& bytes) {
        if (keepalive.ip_version == 6)
            return sluice::to_string(bytes);
        Ipv4 v4;
        std::memcpy(&v4, bytes.bytes.data(), sizeof v4);
        return sluice::to_string(v4);
    };
    return "keepalive," + address(keepalive.source) + "," + std::to_string(keepalive.source_port) +
           "," + address(keepalive.destination) + "," + std::to_string(keepalive.destination_port) +
           "," + std::to_string(keepalive.sequence) + "," +
           std::to_string(keepalive.acknowledgement) + ",0x10";
}

std::string to_text(const Outcome& outcome, const program::Runtime& runtime) {
    std::string text;
    for (const Outcome::Tee& tee : outcome.tees)
        text += (tee.port ? "tee:" + std::to_string(*tee.port) : "reass") + "@" +
                std::to_string(tee.rule_number) + ">";
    text += verdict_text(outcome.verdict, runtime);
    text.resize(std::min(text.size(), kMaximumVerdictText));
    return text;
}

}  // namespace sluice::replay
