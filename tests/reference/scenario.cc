#include "tests/reference/scenario.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "controlplane/compiler/compile.h"
#include "controlplane/log/log_limiter.h"
#include "controlplane/log/log_line.h"
#include "controlplane/ruleset/state_listing.h"
#include "controlplane/service/table_work.h"
#include "dataplane/program/engine.h"
#include "dataplane/program/states.h"
#include "dataplane/program/trace_check.h"
#include "replay/simulation.h"
#include "tests/reference/large_rules.h"
#include "tests/reference/random_rules.h"
#include "tests/reference/slow_engine.h"

namespace sluice::reference {

namespace {

const std::string kRefused = "the compiler refuses: ";
constexpr std::uint32_t kRingCapacity = 65536;
// More than the packets of a scenario can make.
constexpr state::CellIndex kCells = 4096;

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
    std::vector<std::string> states;         // at the end, sorted, in the words of `ipfw -d show`
    std::vector<std::string> keepalives;     // sorted
    std::optional<std::size_t> wrong_trace;  // packet of which a trace told another way; none: fine
};

// The packets before this one find what `tables` says, the others what `later` makes of it.
std::size_t place_of_change(const Scenario& scenario) {
    return scenario.packets.size() / 2;
}

Answers run_slow(const Scenario& scenario, const std::vector<language::Rule>& rules) {
    // Rules of disabled sets have no place in a snapshot.
    std::vector<std::size_t> live_index;
    std::size_t live = 0;
    for (const language::Rule& rule : rules)
        live_index.push_back((scenario.disabled_sets >> rule.set & 1) != 0 ? live : live++);
    SlowEngine engine(
        rules, scenario.default_accept, world(scenario.world), scenario.sysctls,
        [&](std::uint64_t sequence, std::size_t rule) {
            return shared_draw(scenario.draw_seed, sequence, live_index[rule]);
        },
        scenario.disabled_sets);
    for (const language::TableCommand& command : parse_tables(scenario.tables))
        engine.change_table(command);
    Answers answers;
    for (std::size_t i = 0; i < scenario.packets.size(); ++i) {
        if (i == place_of_change(scenario))
            for (const language::TableCommand& command : parse_tables(scenario.later))
                engine.change_table(command);
        answers.outcomes.push_back(engine.pass(scenario.packets[i].frame,
                                               scenario.packets[i].passage, i,
                                               scenario.packets[i].time_ms));
    }
    answers.counters = engine.counters();
    answers.states = engine.state_lines();
    answers.keepalives = engine.states().keepalives();
    std::sort(answers.keepalives.begin(), answers.keepalives.end());
    return answers;
}

// As of the slow engine.
std::string marks_text(const packet::Headers& headers, const program::PacketMarks& marks) {
    std::string text;
    const unsigned traffic_class = marks.dscp << 2 | (headers.traffic_class & 3u);
    if (marks.has_dscp && traffic_class != headers.traffic_class)
        text += " class " + std::to_string(traffic_class);
    if (marks.maximum_segment_size != 0)
        text += " mss " + std::to_string(marks.maximum_segment_size);
    if (marks.fib != 0)
        text += " fib " + std::to_string(marks.fib);
    if (marks.mark != 0) {
        char hex[24];
        std::snprintf(hex, sizeof hex, " mark 0x%x", marks.mark);
        text += hex;
    }
    const std::set<unsigned> tags(marks.tags, marks.tags + marks.tag_count);
    if (!tags.empty())
        text += " tags";
    for (const unsigned tag : tags)
        text += " " + std::to_string(tag);
    return text;
}

class Keepalives final : public state::KeepaliveSink {
  public:
    void send(const state::Keepalive& keepalive) override {
        std::string text = replay::to_text(keepalive);
        lines.push_back(text.substr(text.find(',') + 1));
    }

    std::vector<std::string> lines;
};

// What the control plane makes of the commands, carried out.
void change_tables(const std::vector<std::string>& commands, ruleset::Ruleset& rules,
                   table::Store& store) {
    service::TableWork work;
    for (const contract::TableDescriptor& made : rules.tables().take_made())
        work.create(made);
    std::vector<service::OperationResult> results(1);
    for (const language::TableCommand& command : parse_tables(commands))
        if (!work.add({.command = command}, 0, 0, rules, results[0]))
            std::abort();
    store.apply({work.changes(), work.values(), work.descriptors()}, table::Failures::skip, 0);
}

class FastRun {
  public:
    FastRun(const Scenario& scenario, ruleset::Ruleset& rules, const program::Runtime& runtime,
            table::Store& tables, std::uint32_t slots)
        : scenario_(scenario),
          rules_(rules),
          tables_(tables),
          runtime_(runtime),
          counters_(slots),
          annotations_(slots),
          limiter_(annotations_),
          ring_memory_(contract::log_ring_stride(kRingCapacity) / sizeof(Line)),
          ring_(contract::LogRing::create(ring_memory_.data(), kRingCapacity)),
          states_(*state::StateTable::create({.cells = kCells,
                                              .secret = {scenario.draw_seed, 1, 2, 3},
                                              .counters = &worker_counters_,
                                              .rules = counters_})),
          draws_(scenario.draw_seed),
          engine_({.counters = counters_.data(),
                   .annotations = annotations_.data(),
                   .slot_capacity = slots,
                   .log = ring_,
                   .states = states_.get(),
                   .tables = &tables},
                  1, &draws_) {
        for (const packet::Interface& interface : runtime.environment().interfaces)
            interface_names_.push_back(interface.name);
    }

    Answers run() {
        answers_.outcomes.resize(scenario_.packets.size());
        for (std::size_t at = 0; at < scenario_.packets.size();) {
            const std::uint64_t second = scenario_.packets[at].time_ms / 1000;
            const std::size_t change = place_of_change(scenario_);
            if (at == change)
                change_tables(scenario_.later, rules_, tables_);
            std::size_t count = 1;
            while (count < scenario_.burst && at + count < scenario_.packets.size() &&
                   at + count != change && scenario_.packets[at + count].time_ms / 1000 == second)
                ++count;
            advance_to(static_cast<std::uint32_t>(second));
            pass(at, count);
            at += count;
        }
        for (const ruleset::RulePointer& rule : rules_.rules())
            add_counters(*rule);
        add_counters(*rules_.default_rule());
        add_states();
        answers_.keepalives = keepalives_.lines;
        std::sort(answers_.keepalives.begin(), answers_.keepalives.end());
        answers_.wrong_trace = wrong_trace_;
        return std::move(answers_);
    }

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };

    void advance_to(std::uint32_t second) {
        while (now_s_ < second) {
            ++now_s_;
            reassembler_.expire(now_s_);
            while (engine_.tend_states(runtime_, now_s_, &keepalives_)) {
            }
        }
    }

    void pass(std::size_t first, std::size_t count) {
        std::vector<packet::Packet> packets(count);
        std::vector<program::Verdict> verdicts(count);
        std::vector<program::PacketMarks> marks(count);
        for (std::size_t i = 0; i < count; ++i) {
            const RandomPacket& input = scenario_.packets[first + i];
            packets[i].malformed =
                packet::parse_frame(input.frame, runtime_.parser_settings(), packets[i].headers);
            packets[i].passage = input.passage;
            packets[i].sequence = first + i;
            packets[i].now_ms = input.time_ms;
            packets[i].uptime_s = now_s_;
        }
        trace_first(packets.front());
        if (scenario_.form == Form::packets)
            engine_.filter(runtime_, packets, verdicts, marks);
        else
            filter_frames(packets, verdicts, marks);
        for (std::size_t i = 0; i < count; ++i) {
            replay::Outcome outcome{.tees = {}, .verdict = verdicts[i], .marks = {}};
            outcome.marks = marks[i];
            while (outcome.verdict.kind == program::Verdict::Kind::tee ||
                   outcome.verdict.kind == program::Verdict::Kind::reass) {
                if (outcome.verdict.kind == program::Verdict::Kind::tee)
                    outcome.tees.push_back({outcome.verdict.argument, outcome.verdict.rule_number});
                else if (!replay::reassemble(reassembler_, runtime_, packets[i], outcome))
                    break;
                outcome.verdict =
                    engine_.resume(runtime_, packets[i], outcome.verdict, outcome.marks);
            }
            if (i == 0)
                hold_against_trace(outcome.verdict, first);
            SlowOutcome& answer = answers_.outcomes[first + i];
            answer.verdict = replay::to_text(outcome, runtime_);
            answer.rule_number = outcome.verdict.rule_number;
            answer.marks = marks_text(packets[i].headers, outcome.marks);
        }
        take_log_lines();
    }

    // What a trace says of a packet before it comes. It must leave no trace itself: whatever it
    // changed would make the engine differ from the reference.
    void trace_first(const packet::Packet& packet) {
        const state::StateTable* const shard = states_.get();
        const program::TraceWorld world{
            .runtime = runtime_, .states = {&shard, 1}, .tables = &tables_};
        for (const auto chance : {contract::ChanceIs::skip, contract::ChanceIs::match}) {
            trace_ = program::trace(world, packet, chance);
            if (check_trace(world, packet, chance, trace_) == contract::TraceCheck::disagrees)
                wrong_trace_ = packet.sequence;
        }
    }

    // Where chance has no part in it the packet must take the way that was told. A datagram that
    // becomes whole goes on where the trace ends.
    void hold_against_trace(const program::Verdict& verdict, std::size_t packet) {
        const auto by_chance = [](const contract::TraceStep& step) {
            return (step.flags & contract::trace_flag::by_chance) != 0;
        };
        const program::Verdict& told = trace_.verdict;
        if (trace_.ambiguous || told.kind == program::Verdict::Kind::reass ||
            std::any_of(trace_.steps.begin(), trace_.steps.end(), by_chance))
            return;
        if (told.kind != verdict.kind || told.rule_number != verdict.rule_number ||
            told.reason != verdict.reason)
            wrong_trace_ = packet;
    }

    // The frames of these packets, which come within a second.
    void filter_frames(std::span<const packet::Packet> packets,
                       std::span<program::Verdict> verdicts,
                       std::span<program::PacketMarks> marks) {
        constexpr std::size_t kAtOnce = packet::Burst::kCapacity;
        for (std::size_t done = 0; done < packets.size(); done += kAtOnce) {
            const auto some = packets.subspan(done, std::min(kAtOnce, packets.size() - done));
            burst_.begin({.parser_settings = runtime_.parser_settings(),
                          .first_sequence = some.front().sequence,
                          .now_ms = some.front().now_ms,
                          .uptime_s = now_s_});
            judgement_.marked = 0;
            for (const packet::Packet& packet : some)
                burst_.add(packet.headers.frame, packet.headers.frame_length, packet.passage);
            engine_.filter(runtime_, burst_, judgement_);
            for (std::size_t i = 0; i < some.size(); ++i) {
                verdicts[done + i] = program::Engine::verdict(runtime_, judgement_, i);
                marks[done + i] = judgement_.mark(i);
            }
        }
    }

    void take_log_lines() {
        for (contract::LogRecord record; ring_.pop(record);) {
            std::vector<std::string>& log = answers_.outcomes[record.sequence].log;
            const log::LogDecision decision = limiter_.admit(record);
            if (decision.write)
                log.push_back(log::format_line(record, interface_names_));
            if (decision.limit_reached)
                log.push_back(log::format_limit_notice(record));
        }
    }

    void add_counters(const ruleset::StoredRule& rule) {
        const contract::RuleCounters& counters = counters_[rule.slot];
        answers_.counters.push_back({counters.packets, counters.bytes});
    }

    void add_states() {
        std::vector<contract::StateRecord> records;
        program::append_states(*states_, runtime_, {}, now_s_, 0, records);
        const auto listed = ruleset::list_states(records, rules_, ruleset::ExpiredStates::show);
        for (const ruleset::ListedState& state : *listed) {
            std::string line =
                ruleset::format_state(state, {.counters = true}, ruleset::CounterWidths{});
            if (state.kind == contract::StateKind::parent) {
                const std::size_t time = line.find('(');
                line.erase(time, line.find(' ', time) - time + 1);
            }
            answers_.states.push_back(std::move(line));
        }
        std::sort(answers_.states.begin(), answers_.states.end());
    }

    const Scenario& scenario_;
    ruleset::Ruleset& rules_;
    table::Store& tables_;
    const program::Runtime& runtime_;
    contract::WorkerCounters worker_counters_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    log::LogLimiter limiter_;
    std::vector<Line> ring_memory_;
    contract::LogRing ring_;
    std::unique_ptr<state::StateTable> states_;
    SharedDraws draws_;
    program::Engine engine_;
    packet::Burst burst_;
    program::Judgement judgement_;
    packet::Reassembler reassembler_;
    Keepalives keepalives_;
    std::uint32_t now_s_ = 0;
    std::vector<std::string> interface_names_;
    program::Trace trace_;
    std::optional<std::size_t> wrong_trace_;
    Answers answers_;
};

std::string text_of(const SlowOutcome& outcome) {
    std::string text = outcome.verdict + " by rule " + std::to_string(outcome.rule_number);
    if (!outcome.marks.empty())
        text += ", leaves with" + outcome.marks;
    for (const std::string& line : outcome.log)
        text += "\n      " + line;
    return text;
}

// What a sorted list has more than the other.
std::string only_in(const std::vector<std::string>& these, const std::vector<std::string>& others) {
    std::vector<std::string> more;
    std::set_difference(these.begin(), these.end(), others.begin(), others.end(),
                        std::back_inserter(more));
    std::string text;
    for (const std::string& line : more)
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

std::string state_settings(const contract::Sysctls& sysctls) {
    return "dyn_max " + std::to_string(sysctls.dyn_max) + ", dyn_parent_max " +
           std::to_string(sysctls.dyn_parent_max) + ", lifetimes ack " +
           std::to_string(sysctls.dyn_ack_lifetime) + " syn " +
           std::to_string(sysctls.dyn_syn_lifetime) + " fin " +
           std::to_string(sysctls.dyn_fin_lifetime) + " rst " +
           std::to_string(sysctls.dyn_rst_lifetime) + " udp " +
           std::to_string(sysctls.dyn_udp_lifetime) + " short " +
           std::to_string(sysctls.dyn_short_lifetime) + ", keepalive " +
           std::to_string(sysctls.dyn_keepalive) + ", established share " +
           std::to_string(sysctls.dyn_established_share) + ", adaptive start " +
           std::to_string(sysctls.dyn_adaptive_start) + ", full pass " +
           std::to_string(sysctls.dyn_full_pass);
}

contract::Sysctls random_sysctls(Random& random) {
    contract::Sysctls sysctls;
    sysctls.verbose = random.one_in(6) ? 0 : 1;
    sysctls.verbose_limit = random.one_in(3) ? random.between(1, 4) : 0;
    sysctls.enable = random.one_in(30) ? 0 : 1;
    sysctls.enable6 = random.one_in(30) ? 0 : 1;
    sysctls.deny_unknown_exthdrs = random.one_in(4) ? 0 : 1;
    sysctls.permit_single_frag6 = random.one_in(4) ? 0 : 1;
    auto perhaps = [&](std::uint32_t& value, unsigned one_in, unsigned first, unsigned last) {
        if (random.one_in(one_in))
            value = random.between(first, last);
    };
    // Limits that are met, and lifetimes that end while packets still come.
    perhaps(sysctls.dyn_max, 2, 1, 16);
    perhaps(sysctls.dyn_parent_max, 3, 1, 8);
    perhaps(sysctls.dyn_ack_lifetime, 2, 1, 60);
    perhaps(sysctls.dyn_syn_lifetime, 2, 1, 40);
    perhaps(sysctls.dyn_fin_lifetime, 3, 1, 4);
    perhaps(sysctls.dyn_rst_lifetime, 3, 1, 4);
    perhaps(sysctls.dyn_udp_lifetime, 2, 1, 30);
    perhaps(sysctls.dyn_short_lifetime, 2, 1, 30);
    perhaps(sysctls.dyn_keepalive, 4, 0, 0);
    sysctls.dyn_established_share = random.pick(std::vector<std::uint32_t>{0, 0, 10, 50, 99});
    sysctls.dyn_adaptive_start = random.pick(std::vector<std::uint32_t>{0, 0, 1, 60, 100});
    perhaps(sysctls.dyn_full_pass, 3, 1, 1);
    return sysctls;
}

// Everything else that a scenario has.
Scenario scenario_of(std::vector<std::string> rules, Random& random, unsigned packet_count) {
    Scenario scenario;
    scenario.rules = std::move(rules);
    scenario.tables = random_tables(random, random.between(0, 60));
    scenario.later = random_tables(random, random.between(0, 20));
    scenario.world = random.below(3);
    scenario.default_accept = random.one_in(2);
    if (random.one_in(3))
        scenario.disabled_sets = static_cast<std::uint32_t>(random.next()) & 0x7fffffff;
    scenario.sysctls = random_sysctls(random);
    scenario.draw_seed = random.next();
    scenario.form = scenario.draw_seed % 4 == 0 ? Form::packets : Form::frames;
    // A tee makes the engine come back for a packet after its burst; what is logged behind the tee
    // then comes after the lines of later packets, which a log limit would show.
    const bool has_tee =
        std::any_of(scenario.rules.begin(), scenario.rules.end(),
                    [](const std::string& rule) { return rule.find("tee ") != std::string::npos; });
    // Calls make a packet log again and again: the ring is emptied behind each.
    const bool has_call =
        std::any_of(scenario.rules.begin(), scenario.rules.end(), [](const std::string& rule) {
            return rule.find("call ") != std::string::npos ||
                   rule.find("reass") != std::string::npos;
        });
    // And the engine looks once in a burst how full the table is.
    const bool adapts = scenario.sysctls.dyn_adaptive_start != 0;
    scenario.burst = has_tee || has_call || adapts ? 1 : random.between(1, 64);
    const Corners corners = corners_of(parse_rules(scenario.rules), random);
    const auto interfaces = static_cast<unsigned>(world(scenario.world).interfaces.size());
    Conversations conversations(random, corners, interfaces);
    for (unsigned i = 0; i < packet_count; ++i)
        scenario.packets.push_back(conversations.next());
    return scenario;
}

}  // namespace

Scenario random_scenario(std::uint64_t seed, unsigned packet_count) {
    Random random(seed);
    std::vector<std::string> rules = random_ruleset(random, random.between(1, 40));
    return scenario_of(std::move(rules), random, packet_count);
}

Scenario large_scenario(std::uint64_t seed, unsigned packet_count) {
    Random random(seed);
    std::vector<std::string> rules = large_ruleset(random, random.between(2000, 10000));
    return scenario_of(std::move(rules), random, packet_count);
}

std::optional<std::string> difference(const Scenario& scenario) {
    const std::vector<language::Rule> rules = parse_rules(scenario.rules);
    ruleset::Ruleset ruleset(scenario.default_accept);
    ruleset.sysctls() = scenario.sysctls;
    table::Store::Spec spec;
    for (const packet::Interface& interface : world(scenario.world).interfaces)
        spec.interfaces.push_back(interface.name);
    table::Store tables(spec);
    change_tables(scenario.tables, ruleset, tables);
    for (const language::Rule& rule : rules)
        if (const auto added = ruleset.add(rule); !added)
            return "the ruleset refuses a rule: " + added.error().message;
    change_tables({}, ruleset, tables);
    ruleset.switch_sets(0, scenario.disabled_sets);
    const auto image = compiler::compile(ruleset, 1);
    if (!image)
        return kRefused + image.error().message;
    const auto slots = static_cast<std::uint32_t>(rules.size() + 2);
    const auto runtime = program::Runtime::create(*image, world(scenario.world), slots);
    if (!runtime)
        return "the engine refuses the snapshot: " + runtime.error().message;

    Answers slow = run_slow(scenario, rules);
    const Answers fast = FastRun(scenario, ruleset, **runtime, tables, slots).run();
    if (fast.wrong_trace)
        return "packet " + std::to_string(*fast.wrong_trace) +
               ": the trace does not tell the way that it takes";
    for (SlowOutcome& outcome : slow.outcomes)
        outcome.verdict.resize(std::min(outcome.verdict.size(), replay::kMaximumVerdictText));
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
    if (slow.states != fast.states)
        return "states\n  reference:" + only_in(slow.states, fast.states) +
               "\n  engine:   " + only_in(fast.states, slow.states);
    if (slow.keepalives != fast.keepalives)
        return "keepalives\n  reference:" + only_in(slow.keepalives, fast.keepalives) +
               "\n  engine:   " + only_in(fast.keepalives, slow.keepalives);
    return std::nullopt;
}

std::set<std::string> events_of(const Scenario& scenario) {
    std::set<std::string> kinds;
    const Answers answers = run_slow(scenario, parse_rules(scenario.rules));
    for (const SlowOutcome& outcome : answers.outcomes) {
        const std::size_t tee = outcome.verdict.rfind('>');
        if (outcome.verdict.find("tee:") != std::string::npos)
            kinds.insert("tee");
        if (outcome.verdict.find("reass@") != std::string::npos)
            kinds.insert("reassembled");
        const std::string last = outcome.verdict.substr(tee == std::string::npos ? 0 : tee + 1);
        kinds.insert(last.substr(0, last.find(':')));
        for (const std::string& line : outcome.log) {
            if (line.find("Cannot allocate dynamic state") != std::string::npos)
                kinds.insert("table full");
            if (line.find("too many entries") != std::string::npos)
                kinds.insert("limit reached");
        }
    }
    for (const std::string& line : answers.states) {
        if (line.substr(5, 4) != " 0 0")
            kinds.insert("state hit");
        if (line.find(" LIMIT ") != std::string::npos)
            kinds.insert("state limited");
    }
    if (!answers.keepalives.empty())
        kinds.insert("keepalive");
    return kinds;
}

Scenario shrink(Scenario scenario) {
    auto still_fails_without = [&](auto member, std::size_t first, std::size_t count) {
        Scenario smaller = scenario;
        auto& list = smaller.*member;
        const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
        list.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
        // Without its label a jump is refused, which is no difference.
        const auto still_there = difference(smaller);
        if (!still_there || still_there->starts_with(kRefused))
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
        thin_out(&Scenario::tables);
        thin_out(&Scenario::later);
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
        ", burst " + std::to_string(scenario.burst) +
        (scenario.form == Form::frames ? " frames" : " packets") + ", disabled sets " +
        std::to_string(scenario.disabled_sets) + "\n  " + state_settings(scenario.sysctls) + "\n";
    for (const std::string& table : scenario.tables)
        text += "  " + table + "\n";
    for (const std::string& rule : scenario.rules)
        text += "  add " + rule + "\n";
    for (const std::string& table : scenario.later)
        text += "  later: " + table + "\n";
    const packet::Environment environment = world(scenario.world);
    for (std::size_t i = 0; i < scenario.packets.size(); ++i)
        text += "  packet " + std::to_string(i) + " (" +
                std::to_string(scenario.packets[i].time_ms) + " ms, " +
                passage_text(scenario.packets[i].passage, environment) +
                "): " + to_hex(scenario.packets[i].frame) + "\n";
    return text;
}

}  // namespace sluice::reference
