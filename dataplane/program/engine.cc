#include "dataplane/program/engine.h"

#include <atomic>
#include <vector>

#include "dataplane/program/log_record.h"

namespace sluice::program {

namespace {

using contract::Instruction;
using contract::Opcode;
using contract::RuleAction;
using contract::RuleRecord;
using packet::Entry;
using packet::Packet;

// SplitMix64: 31 bits a draw, seeded per worker.
class SplitMix {
  public:
    explicit SplitMix(std::uint64_t seed) : state_(seed) {}

    std::uint32_t draw() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return static_cast<std::uint32_t>((z ^ (z >> 31)) >> 33);
    }

  private:
    std::uint64_t state_;
};

// Lines that this worker alone has put into its ring for a rule, since the limit was last re-armed.
// Only an upper bound: the exact limit over all workers is kept where the lines are written.
struct LoggedHere {
    std::uint32_t epoch = 0;
    std::uint32_t count = 0;
};

// What cannot act on a frame at Ethernet level is taken as no operation there: the rule writes its
// log line and the walk goes on, uncounted, as in ipfw.
bool acts(const RuleRecord& rule, const Packet& packet) {
    return packet.passage.entry != Entry::layer2 ||
           (rule.action != RuleAction::divert && rule.action != RuleAction::tee &&
            rule.action != RuleAction::fwd);
}

// A bridge passes what is not IP unless a rule that names layer2, MAC or mac-type says otherwise.
bool may_judge(const RuleRecord& rule, const Packet& packet) {
    return packet.passage.entry != Entry::bridge || packet.headers.ip_version != 0 ||
           (rule.flags & contract::rule_flag::link_layer) != 0;
}

bool firewall_enabled(const contract::Sysctls& sysctls, const Packet& packet) {
    return packet.headers.ip_version == 6 ? sysctls.enable6 != 0 : sysctls.enable != 0;
}

}  // namespace

struct Engine::Impl {
    EngineOutputs outputs;
    SplitMix generator;
    RandomSource* random;
    std::vector<LoggedHere> logged;

    Verdict judge(const Runtime& runtime, const Packet& packet) {
        if (!firewall_enabled(runtime.view().sysctls(), packet))
            return {.kind = Verdict::Kind::accept, .rule_number = 0};
        if (packet.malformed != contract::DropReason::none) {
            log_malformed(runtime, packet);
            return {.kind = Verdict::Kind::deny, .reason = packet.malformed};
        }
        return walk(runtime, packet, 0);
    }

    Verdict walk(const Runtime& runtime, const Packet& packet, std::uint32_t from) {
        const auto rules = runtime.view().rules();
        const auto default_index = static_cast<std::uint32_t>(rules.size() - 1);
        // Every turn moves forward, so there are at most rules.size() of them.
        for (std::uint32_t index = from;; ++index) {
            index = runtime.classifier().next(packet, index);
            const RuleRecord& rule = rules[index];
            if (!may_judge(rule, packet)) {
                if (index == default_index)
                    return {.kind = Verdict::Kind::accept, .rule_number = 0};
                continue;
            }
            if (!residual_matches(runtime, packet, rule, index))
                continue;
            if ((rule.flags & contract::rule_flag::log) != 0)
                log_rule(runtime, packet, rule);
            if (!acts(rule, packet))
                continue;
            count(packet, rule);
            if (rule.action == RuleAction::count)
                continue;
            if (rule.action == RuleAction::skipto) {
                index = rule.target - 1;
                continue;
            }
            return verdict_of(rule, index);
        }
    }

    bool residual_matches(const Runtime& runtime, const Packet& packet, const RuleRecord& rule,
                          std::uint32_t rule_index) {
        const auto tests = runtime.view().instructions().subspan(
            rule.first_instruction + rule.header_count, rule.residual_count);
        for (std::size_t i = 0; i < tests.size(); ++i) {
            bool matched = test_matches(runtime, packet, tests[i], rule_index);
            while ((tests[i].flags & contract::kOrNext) != 0) {
                ++i;
                matched = matched || test_matches(runtime, packet, tests[i], rule_index);
            }
            if (!matched)
                return false;
        }
        return true;
    }

    bool test_matches(const Runtime& runtime, const Packet& packet, const Instruction& test,
                      std::uint32_t rule_index) {
        bool matched = false;
        switch (test.opcode) {
            case Opcode::probability:
                matched = draw(packet, rule_index) < test.argument;
                break;
            case Opcode::verrevpath:
                matched = runtime.routes().reverse_path_ok(packet);
                break;
            case Opcode::versrcreach:
                matched = runtime.routes().source_reachable(packet);
                break;
            case Opcode::antispoof:
                matched = runtime.routes().not_spoofed(packet);
                break;
            default:
                return runtime.classifier().matches(test, packet);
        }
        return matched != ((test.flags & contract::kNegated) != 0);
    }

    std::uint32_t draw(const Packet& packet, std::uint32_t rule_index) {
        return random != nullptr ? random->draw(packet, rule_index) : generator.draw();
    }

    void count(const Packet& packet, const RuleRecord& rule) {
        contract::RuleCounters& counters = outputs.counters[rule.slot];
        contract::add(counters.packets, 1);
        contract::add(counters.bytes, packet.headers.counted_bytes());
        contract::set(counters.last_match_s, packet.now_ms / 1000);
    }

    void log_rule(const Runtime& runtime, const Packet& packet, const RuleRecord& rule) {
        if (runtime.view().sysctls().verbose != 0)
            push(log_record(packet, rule), rule.log_limit);
    }

    void log_malformed(const Runtime& runtime, const Packet& packet) {
        const contract::Sysctls& sysctls = runtime.view().sysctls();
        if (sysctls.verbose == 0)
            return;
        contract::LogRecord record = log_record(packet);
        // "pullup failed" names no entry, so it has no limit and does not use up that of entry -1.
        if (packet.malformed == contract::DropReason::short_transport ||
            packet.malformed == contract::DropReason::extension_chain) {
            record.kind = contract::LogKind::pullup_failed;
        } else {
            record.kind = contract::LogKind::refused;
            record.log_limit = sysctls.verbose_limit;
        }
        push(record, record.log_limit);
    }

    void push(const contract::LogRecord& record, std::uint32_t limit) {
        LoggedHere& here = logged[record.slot];
        if (limit != 0) {
            const std::uint32_t epoch =
                __atomic_load_n(&outputs.annotations[record.slot].log_epoch, __ATOMIC_RELAXED);
            if (here.epoch != epoch)
                here = {.epoch = epoch, .count = 0};
            if (here.count >= limit)
                return;
        }
        if (!outputs.log.push(record)) {
            if (outputs.log_dropped != nullptr)
                contract::add(*outputs.log_dropped, 1);
        } else if (limit != 0) {
            ++here.count;
        }
    }

    static Verdict verdict_of(const RuleRecord& rule, std::uint32_t index) {
        Verdict verdict{.argument = rule.action_number,
                        .mtu = rule.mtu,
                        .rule_number = rule.number,
                        .rule_index = index};
        switch (rule.action) {
            case RuleAction::allow:
                verdict.kind = Verdict::Kind::accept;
                break;
            case RuleAction::unreach:
                verdict.kind = Verdict::Kind::unreach;
                break;
            case RuleAction::unreach6:
                verdict.kind = Verdict::Kind::unreach6;
                break;
            case RuleAction::reset:
                verdict.kind = Verdict::Kind::reset;
                break;
            case RuleAction::reset6:
                verdict.kind = Verdict::Kind::reset6;
                break;
            case RuleAction::divert:
                verdict.kind = Verdict::Kind::divert;
                break;
            case RuleAction::tee:
                verdict.kind = Verdict::Kind::tee;
                break;
            case RuleAction::fwd:
                verdict.kind = Verdict::Kind::fwd;
                break;
            case RuleAction::deny:
            case RuleAction::count:
            case RuleAction::skipto:
            case RuleAction::count_:
                verdict.kind = Verdict::Kind::deny;
                break;
        }
        return verdict;
    }
};

Engine::Engine(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random)
    : impl_(new Impl{outputs, SplitMix(seed), random,
                     std::vector<LoggedHere>(outputs.slot_capacity)}) {}

Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::filter(const Runtime& runtime, std::span<const Packet> packets,
                    std::span<Verdict> verdicts) {
    runtime.classifier().prepare(packets);
    for (std::size_t i = 0; i < packets.size(); ++i)
        verdicts[i] = impl_->judge(runtime, packets[i]);
}

Verdict Engine::resume(const Runtime& runtime, const Packet& packet, const Verdict& verdict) {
    const auto rules = runtime.view().rules();
    std::uint32_t index = verdict.rule_index + 1;
    if (verdict.kind == Verdict::Kind::divert)
        while (rules[index].number == static_cast<std::uint16_t>(verdict.rule_number))
            ++index;
    return impl_->walk(runtime, packet, index);
}

}  // namespace sluice::program
