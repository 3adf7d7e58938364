#include "tests/reference/scenario.h"

#include <algorithm>
#include <utility>

#include "controlplane/compiler/compile.h"
#include "controlplane/log/log_limiter.h"
#include "controlplane/log/log_line.h"
#include "dataplane/program/engine.h"
#include "replay/simulation.h"
#include "tests/reference/random_rules.h"
#include "tests/reference/slow_engine.h"

namespace sluice::reference {

namespace {

constexpr std::uint32_t kRingCapacity = 1024;

class SharedDraws final : public program::RandomSource {
  public:
    explicit SharedDraws(std::uint64_t seed) : seed_(seed) {}
    std::uint32_t draw(const packet::Packet& packet, std::uint32_t rule_index) override {
        return shared_draw(seed_, packet.sequence, rule_index);
    }

  private:
    std::uint64_t seed_;
};

struct Answers {
    std::vector<SlowOutcome> outcomes;
    std::vector<SlowCounters> counters;
};

std::uint32_t log_limit(const language::Rule& rule, const contract::Sysctls& sysctls) {
    return rule.log ? rule.log->amount.value_or(sysctls.verbose_limit) : 0;
}

Answers run_slow(const Scenario& scenario, const std::vector<language::Rule>& rules) {
    SlowEngine engine(rules, scenario.default_accept, world(scenario.world), scenario.sysctls,
                      [&](std::uint64_t sequence, std::size_t rule) {
                          return shared_draw(scenario.draw_seed, sequence, rule);
                      });
    Answers answers;
    for (std::size_t i = 0; i < scenario.packets.size(); ++i)
        answers.outcomes.push_back(
            engine.pass(scenario.packets[i].frame, scenario.packets[i].passage, i));
    answers.counters = engine.counters();
    return answers;
}

class FastRun {
  public:
    FastRun(const Scenario& scenario, const program::Runtime& runtime, std::uint32_t slots)
        : scenario_(scenario),
          runtime_(runtime),
          counters_(slots),
          annotations_(slots),
          limiter_(annotations_),
          ring_memory_(contract::log_ring_stride(kRingCapacity) / sizeof(Line)),
          ring_(contract::LogRing::create(ring_memory_.data(), kRingCapacity)),
          draws_(scenario.draw_seed),
          engine_({.counters = counters_.data(),
                   .annotations = annotations_.data(),
                   .slot_capacity = slots,
                   .log = ring_},
                  1, &draws_) {
        for (const packet::Interface& interface : runtime.environment().interfaces)
            interface_names_.push_back(interface.name);
    }

    Answers run() {
        answers_.outcomes.resize(scenario_.packets.size());
        for (std::size_t at = 0; at < scenario_.packets.size(); at += scenario_.burst)
            pass(at, std::min<std::size_t>(scenario_.burst, scenario_.packets.size() - at));
        // Slot 0 is that of packets dropped before any rule.
        for (std::size_t slot = 1; slot < counters_.size(); ++slot)
            answers_.counters.push_back({counters_[slot].packets, counters_[slot].bytes});
        return std::move(answers_);
    }

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };

    void pass(std::size_t first, std::size_t count) {
        std::vector<packet::Packet> packets(count);
        std::vector<program::Verdict> verdicts(count);
        for (std::size_t i = 0; i < count; ++i) {
            const RandomPacket& input = scenario_.packets[first + i];
            packets[i].malformed =
                packet::parse_frame(input.frame, runtime_.parser_settings(), packets[i].headers);
            packets[i].passage = input.passage;
            packets[i].sequence = first + i;
            packets[i].now_ms = (first + i) * 10;
        }
        engine_.filter(runtime_, packets, verdicts);
        for (std::size_t i = 0; i < count; ++i) {
            replay::Outcome outcome{.tees = {}, .verdict = verdicts[i]};
            while (outcome.verdict.kind == program::Verdict::Kind::tee) {
                outcome.tees.push_back({outcome.verdict.argument, outcome.verdict.rule_number});
                outcome.verdict = engine_.resume(runtime_, packets[i], outcome.verdict);
            }
            SlowOutcome& answer = answers_.outcomes[first + i];
            answer.verdict = replay::to_text(outcome, runtime_);
            answer.rule_number = outcome.verdict.rule_number;
        }
        for (contract::LogRecord record; ring_.pop(record);) {
            std::vector<std::string>& log = answers_.outcomes[record.sequence].log;
            const log::LogDecision decision = limiter_.admit(record);
            if (decision.write)
                log.push_back(log::format_line(record, interface_names_));
            if (decision.limit_reached)
                log.push_back(log::format_limit_notice(record));
        }
    }

    const Scenario& scenario_;
    const program::Runtime& runtime_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    log::LogLimiter limiter_;
    std::vector<Line> ring_memory_;
    contract::LogRing ring_;
    SharedDraws draws_;
    program::Engine engine_;
    std::vector<std::string> interface_names_;
    Answers answers_;
};

std::string text_of(const SlowOutcome& outcome) {
    std::string text = outcome.verdict + " by rule " + std::to_string(outcome.rule_number);
    for (const std::string& line : outcome.log)
        text += "\n      " + line;
    return text;
}

std::string passage_text(const packet::Passage& passage, const packet::Environment& environment) {
    auto name = [&](packet::InterfaceIndex index) {
        return index == packet::kNoInterface ? "none" : environment.interfaces[index].name;
    };
    constexpr const char* kEntries[] = {"ip", "layer2", "bridge"};
    return std::string(passage.direction == packet::Direction::in ? "in" : "out") + ", entry " +
           kEntries[static_cast<std::size_t>(passage.entry)] + ", recv " +
           name(passage.receive_interface) + ", xmit " + name(passage.transmit_interface);
}

contract::Sysctls random_sysctls(Random& random) {
    contract::Sysctls sysctls;
    sysctls.verbose = random.one_in(6) ? 0 : 1;
    sysctls.verbose_limit = random.one_in(3) ? random.between(1, 4) : 0;
    sysctls.enable = random.one_in(30) ? 0 : 1;
    sysctls.enable6 = random.one_in(30) ? 0 : 1;
    sysctls.deny_unknown_exthdrs = random.one_in(4) ? 0 : 1;
    sysctls.permit_single_frag6 = random.one_in(4) ? 0 : 1;
    return sysctls;
}

}  // namespace

Scenario random_scenario(std::uint64_t seed, unsigned packet_count) {
    Random random(seed);
    Scenario scenario;
    scenario.rules = random_ruleset(random, random.between(1, 40));
    scenario.world = random.below(3);
    scenario.default_accept = random.one_in(2);
    scenario.sysctls = random_sysctls(random);
    scenario.draw_seed = random.next();
    // A tee makes the engine come back for a packet after its burst; what is logged behind the tee
    // then comes after the lines of later packets, which a log limit would show.
    const bool has_tee =
        std::any_of(scenario.rules.begin(), scenario.rules.end(),
                    [](const std::string& rule) { return rule.find("tee ") != std::string::npos; });
    scenario.burst = has_tee ? 1 : random.between(1, 64);
    const Corners corners = corners_of(parse_rules(scenario.rules), random);
    const auto interfaces = static_cast<unsigned>(world(scenario.world).interfaces.size());
    for (unsigned i = 0; i < packet_count; ++i)
        scenario.packets.push_back(random_packet(random, corners, interfaces));
    return scenario;
}

std::optional<std::string> difference(const Scenario& scenario) {
    const std::vector<language::Rule> rules = parse_rules(scenario.rules);
    std::vector<compiler::RuleInput> inputs;
    for (const language::Rule& rule : rules)
        inputs.push_back({.rule = &rule,
                          .slot = static_cast<std::uint32_t>(inputs.size() + 1),
                          .log_limit = log_limit(rule, scenario.sysctls)});
    const auto default_slot = static_cast<std::uint32_t>(rules.size() + 1);
    const auto image = compiler::compile({.rules = inputs,
                                          .default_accept = scenario.default_accept,
                                          .default_slot = default_slot,
                                          .sysctls = scenario.sysctls,
                                          .generation = 1});
    if (!image)
        return "the compiler refuses: " + image.error().message;
    const auto runtime = program::Runtime::create(*image, world(scenario.world), default_slot + 1);
    if (!runtime)
        return "the engine refuses the snapshot: " + runtime.error().message;

    const Answers slow = run_slow(scenario, rules);
    const Answers fast = FastRun(scenario, **runtime, default_slot + 1).run();
    for (std::size_t i = 0; i < slow.outcomes.size(); ++i)
        if (slow.outcomes[i] != fast.outcomes[i])
            return "packet " + std::to_string(i) + "\n  reference: " + text_of(slow.outcomes[i]) +
                   "\n  engine:    " + text_of(fast.outcomes[i]);
    for (std::size_t i = 0; i < slow.counters.size(); ++i)
        if (slow.counters[i] != fast.counters[i])
            return "counters of rule " + (i < rules.size() ? scenario.rules[i] : "65535") +
                   "\n  reference: " + std::to_string(slow.counters[i].packets) + " " +
                   std::to_string(slow.counters[i].bytes) +
                   "\n  engine:    " + std::to_string(fast.counters[i].packets) + " " +
                   std::to_string(fast.counters[i].bytes);
    return std::nullopt;
}

std::set<std::string> verdicts_of(const Scenario& scenario) {
    std::set<std::string> kinds;
    for (const SlowOutcome& outcome : run_slow(scenario, parse_rules(scenario.rules)).outcomes) {
        const std::size_t tee = outcome.verdict.rfind('>');
        if (tee != std::string::npos)
            kinds.insert("tee");
        const std::string last = outcome.verdict.substr(tee == std::string::npos ? 0 : tee + 1);
        kinds.insert(last.substr(0, last.find(':')));
    }
    return kinds;
}

Scenario shrink(Scenario scenario) {
    auto still_fails_without = [&](auto member, std::size_t first, std::size_t count) {
        Scenario smaller = scenario;
        auto& list = smaller.*member;
        const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
        list.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
        if (!difference(smaller))
            return false;
        scenario = std::move(smaller);
        return true;
    };
    auto thin_out = [&](auto member) {
        for (std::size_t count = (scenario.*member).size(); count > 0; count /= 2)
            for (std::size_t first = 0; first + count <= (scenario.*member).size();)
                if (!still_fails_without(member, first, count))
                    first += count;
    };
    // Draws depend on the place of rule and packet, so a second round may find more.
    for (int round = 0; round < 2; ++round) {
        thin_out(&Scenario::packets);
        thin_out(&Scenario::rules);
    }
    return scenario;
}

std::string describe(const Scenario& scenario) {
    std::string text =
        "world " + std::to_string(scenario.world) + ", default " +
        (scenario.default_accept ? "accept" : "deny") + ", verbose " +
        std::to_string(scenario.sysctls.verbose) + ", verbose_limit " +
        std::to_string(scenario.sysctls.verbose_limit) + ", enable " +
        std::to_string(scenario.sysctls.enable) + "/" + std::to_string(scenario.sysctls.enable6) +
        ", deny_unknown_exthdrs " + std::to_string(scenario.sysctls.deny_unknown_exthdrs) +
        ", permit_single_frag6 " + std::to_string(scenario.sysctls.permit_single_frag6) +
        ", burst " + std::to_string(scenario.burst) + "\n";
    for (const std::string& rule : scenario.rules)
        text += "  add " + rule + "\n";
    const packet::Environment environment = world(scenario.world);
    for (std::size_t i = 0; i < scenario.packets.size(); ++i)
        text += "  packet " + std::to_string(i) + " (" +
                passage_text(scenario.packets[i].passage, environment) +
                "): " + to_hex(scenario.packets[i].frame) + "\n";
    return text;
}

}  // namespace sluice::reference
