#include "dataplane/program/engine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <vector>

#include "dataplane/program/actions.h"
#include "dataplane/program/residual_tests.h"
#include "dataplane/program/rule_log.h"
#include "dataplane/program/states.h"
#include "dataplane/program/walk.h"

namespace sluice::program {

namespace {

using contract::Instruction;
using contract::Opcode;
using contract::RuleAction;
using contract::RuleRecord;
using packet::Entry;
using packet::Packet;

// Packets whose states are fetched at once.
constexpr std::size_t kChunk = 64;

// How much housekeeping one turn of a worker does.
constexpr unsigned kStatesPerCall = 64;
constexpr state::CellIndex kCellsPerCall = 256;

// A packet that hits a state goes on behind the rule that made it, which does nothing, if that
// rule's actions begin with `untag` or `return`: ipfw has those as a negated `tag` and `call`, and
// takes the negation for one of the test. Its answers are what we promise.
bool misses_its_states(const RuleRecord& rule) {
    if ((rule.flags & contract::rule_flag::log) != 0)
        return false;
    if (rule.tag != 0)
        return (rule.flags & contract::rule_flag::untag) != 0;
    return rule.action == RuleAction::return_;
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
    Impl(const EngineOutputs& where, std::uint64_t seed, RandomSource* random_source)
        : outputs(where),
          tests(where, seed, random_source),
          log(where.log, where.annotations, where.slot_capacity, where.log_dropped) {}

    EngineOutputs outputs;
    ResidualTests tests;
    RuleLog log;
    // By ordinal of the name: the walk that looked for it last.
    std::array<std::uint64_t, Runtime::kMaximumStateNames> looked_for{};
    std::uint64_t walk_number = 0;
    state::Lifetimes lifetimes;
    // The generation whose deleted rules' states are being removed, and how far that is.
    std::uint64_t swept_generation = 0;
    state::CellIndex sweep_next = 0;
    bool sweeping = false;

    Packet changed;  // of the walk that goes on, if a rule changes headers

    // Of the packets being judged.
    std::array<classify::HeaderKey, kChunk> header_keys{};
    std::array<classify::Matches, kChunk> matches;
    std::array<state::FlowKey, kChunk> keys{};
    std::array<state::FlowHash, kChunk> hashes{};
    std::array<state::CellIndex, kChunk> guesses{};

    void classify(const Runtime& runtime, std::span<const Packet> packets) {
        runtime.classifier().read_keys(packets, header_keys);
        runtime.classifier().classify({header_keys.data(), packets.size()}, 0, matches);
    }

    // Looks up for many packets at once what takes long to come from memory.
    void prefetch_states(const Runtime& runtime, std::span<const Packet> packets) {
        const state::StateTable& states = *outputs.states;
        lifetimes = state::Lifetimes::of(runtime.view().sysctls(), states.totals().states);
        for (std::size_t i = 0; i < packets.size(); ++i) {
            if (packets[i].headers.ip_version == 0)
                continue;
            state::set_flow_key(keys[i], packets[i].headers);
            hashes[i] = states.hash(keys[i]);
            states.prefetch(hashes[i]);
        }
        for (std::size_t i = 0; i < packets.size(); ++i)
            if (packets[i].headers.ip_version != 0)
                guesses[i] = states.prefetch_state(hashes[i]);
    }

    // Counters of the first rules that packets match. Most walks end there.
    void prefetch_counters(const Runtime& runtime, std::size_t count) const {
        const auto summaries = runtime.summaries();
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t first = matches[i].rules[0] & ~classify::Matches::kUnverified;
            if (matches[i].count != 0)
                __builtin_prefetch(&outputs.counters[summaries[first].slot], 1);
        }
    }

    // Most packets match one rule that lets them pass or not, and need no walk. False: this one
    // does. REQUIRES: no rule looks for states.
    bool judge_plainly(const Runtime& runtime, const Packet& packet, std::size_t place,
                       Verdict& verdict) {
        const classify::Matches& found = matches[place];
        const std::uint32_t index = found.rules[0];
        if (found.count == 0 || index >= runtime.summaries().size())
            return false;
        const Runtime::RuleSummary& rule = runtime.summaries()[index];
        const bool judged = rule.link_layer || packet.headers.ip_version != 0 ||
                            packet.passage.entry != Entry::bridge;
        if (!rule.plain || !judged || packet.malformed != contract::DropReason::none ||
            !firewall_enabled(runtime.view().sysctls(), packet))
            return false;
        count(packet, rule.slot);
        verdict = plain_verdict(rule, index);
        return true;
    }

    // The same for a packet that hits a state at the first rule that looks for one, where no rule
    // before matches. False: it does not, or there is more to do.
    bool judge_by_state(const Runtime& runtime, const Packet& packet, std::size_t place,
                        Verdict& verdict) {
        if (packet.headers.ip_version == 0 || packet.malformed != contract::DropReason::none ||
            !firewall_enabled(runtime.view().sysctls(), packet))
            return false;
        const auto hit = find_state(runtime, packet, keys[place], hashes[place], guesses[place],
                                    runtime.probes().front().name);
        if (!hit || hit->rule >= runtime.summaries().size())
            return false;
        const Runtime::RuleSummary& parent = runtime.summaries()[hit->rule];
        if (!parent.acts_plainly)
            return false;
        outputs.states->hit(hit->state, packet, lifetimes.with(parent.state_lifetime_s));
        count(packet, parent.slot);
        verdict = plain_verdict(parent, hit->rule);
        return true;
    }

    static Verdict plain_verdict(const Runtime::RuleSummary& rule, std::uint32_t index) {
        return {.kind = verdict_kind(rule.action),
                .argument = rule.action_number,
                .mtu = rule.mtu,
                .rule_number = rule.number,
                .rule_index = index};
    }

    // No rule looks for states.
    void filter_stateless(const Runtime& runtime, std::span<const Packet> packets,
                          Verdict* verdicts, PacketMarks* marks) {
        classify(runtime, packets);
        prefetch_counters(runtime, packets.size());
        for (std::size_t i = 0; i < packets.size(); ++i)
            if (!judge_plainly(runtime, packets[i], i, verdicts[i]))
                verdicts[i] = judge(runtime, packets[i], marks[i], i);
    }

    // Where the first rule looks for a state, packets that hit one need not be classified. Which
    // those will be is a guess: the packets are judged in their order.
    void filter_states_first(const Runtime& runtime, std::span<const Packet> packets,
                             Verdict* verdicts, PacketMarks* marks) {
        prefetch_states(runtime, packets);
        std::array<std::uint8_t, kChunk> without_state;
        std::size_t count = 0;
        for (std::size_t i = 0; i < packets.size(); ++i) {
            if (packets[i].headers.ip_version != 0 && guesses[i] != state::kNoCell)
                continue;
            runtime.classifier().read_keys(packets.subspan(i, 1),
                                           std::span(header_keys).subspan(count, 1));
            without_state[count++] = static_cast<std::uint8_t>(i);
        }
        runtime.classifier().classify({header_keys.data(), count}, 0, matches);
        // From the back: places are never before what moves there.
        for (std::size_t i = packets.size(); i-- > 0;) {
            if (count == 0 || without_state[count - 1] != i) {
                matches[i] = {.rules = {}, .count = 0, .end = 0};
                continue;
            }
            --count;
            header_keys[i] = header_keys[count];
            matches[i] = matches[count];
        }
        for (std::size_t i = 0; i < packets.size(); ++i) {
            if (judge_by_state(runtime, packets[i], i, verdicts[i]))
                continue;
            if (matches[i].end == 0)
                runtime.classifier().read_keys(packets.subspan(i, 1),
                                               std::span(header_keys).subspan(i, 1));
            verdicts[i] = judge(runtime, packets[i], marks[i], i);
        }
    }

    void filter_stateful(const Runtime& runtime, std::span<const Packet> packets, Verdict* verdicts,
                         PacketMarks* marks) {
        classify(runtime, packets);
        prefetch_states(runtime, packets);
        const std::uint32_t first_probe =
            runtime.probes().empty() ? kNoRule : runtime.probes().front().rule;
        const bool may_be_plain = first_probe != kNoRule && !is_conditional(runtime, first_probe);
        for (std::size_t i = 0; i < packets.size(); ++i) {
            const bool probes_first =
                may_be_plain &&
                (matches[i].count == 0 ||
                 (matches[i].rules[0] & ~classify::Matches::kUnverified) >= first_probe);
            if (!probes_first || !judge_by_state(runtime, packets[i], i, verdicts[i]))
                verdicts[i] = judge(runtime, packets[i], marks[i], i);
        }
    }

    // `prob` decides before a state is looked for.
    static bool is_conditional(const Runtime& runtime, std::uint32_t rule) {
        return runtime.view().rules()[rule].residual_count != 0;
    }

    Verdict judge(const Runtime& runtime, const Packet& packet, PacketMarks& marks,
                  std::size_t place) {
        if (!firewall_enabled(runtime.view().sysctls(), packet))
            return {.kind = Verdict::Kind::accept, .rule_number = 0};
        if (packet.malformed != contract::DropReason::none) {
            log.malformed(runtime.view().sysctls(), packet);
            return {.kind = Verdict::Kind::deny, .reason = packet.malformed};
        }
        Walk walk{.runtime = runtime,
                  .packet = packet,
                  .key_of_headers = header_keys[place],
                  .matches = matches[place],
                  .marks = marks,
                  .seen = &packet};
        if (knows_flow(runtime, packet)) {
            walk.key = keys[place];
            walk.hash = hashes[place];
            walk.guess = guesses[place];
            walk.has_flow = true;
        }
        return this->walk(walk, 0);
    }

    // A walk that begins in the middle. Before `listed` the classifier leaves rules out that a rule
    // before `index` hides.
    struct Entrance {
        std::uint32_t index = 0;
        std::uint32_t listed = 0;
        unsigned tees = 0;
        unsigned came_back_behind = 0;
    };
    Verdict walk_from(const Runtime& runtime, const Packet& packet, const Entrance& entrance,
                      PacketMarks& marks) {
        tests.begin_burst();
        classify(runtime, {&packet, 1});
        Walk walk{.runtime = runtime,
                  .packet = packet,
                  .key_of_headers = header_keys[0],
                  .matches = matches[0],
                  .listed_from = entrance.listed,
                  .marks = marks,
                  .seen = &packet};
        walk.tees = entrance.tees;
        walk.came_back_behind = entrance.came_back_behind;
        if (knows_flow(runtime, packet)) {
            walk.key = state::flow_key(packet.headers);
            walk.hash = outputs.states->hash(walk.key);
            walk.has_flow = true;
        }
        return this->walk(walk, entrance.index);
    }

    bool knows_flow(const Runtime& runtime, const Packet& packet) const {
        return runtime.uses_states() && outputs.states != nullptr && packet.headers.ip_version != 0;
    }

    Verdict walk(Walk& walk, std::uint32_t from) {
        const Runtime& runtime = walk.runtime;
        const Packet& packet = walk.packet;
        const auto rules = runtime.view().rules();
        const auto default_index = static_cast<std::uint32_t>(rules.size() - 1);
        ++walk_number;
        if (walk.marks.has_dscp)
            see_changes(walk.marks, headers_to_change(walk));
        tests.begin_packet();
        walk.names_left = walk.has_flow ? runtime.state_name_count() : 0;
        // Every turn moves forward, but for a state that was hit: that happens once for each name.
        for (std::uint32_t index = from;; ++index) {
            const Runtime::Probe* probe = next_probe(walk, index);
            const std::uint32_t until = probe != nullptr ? probe->rule : default_index;
            index = next_match(walk, index, until);
            if (probe != nullptr && index == probe->rule) {
                if (!tests.may_look_for_state(walk, rules[index], index))
                    continue;
                if (const auto parent = look_for_state(walk, *probe)) {
                    if (misses_its_states(runtime.view().all_rules()[*parent])) {
                        index = behind(runtime, *parent) - 1;
                        continue;
                    }
                    const Step step = perform(walk, *parent);
                    if (step.verdict)
                        return *step.verdict;
                    index = step.next - 1;
                    continue;
                }
                if (next_match(walk, index, index + 1) != index)
                    continue;
            }
            const RuleRecord& rule = rules[index];
            if (!may_judge(rule, packet)) {
                if (index == default_index)
                    return {.kind = Verdict::Kind::accept, .rule_number = 0};
                continue;
            }
            if (rule.action == RuleAction::check_state || !tests.match(walk, rule, index))
                continue;
            if (rule.state != contract::StateOption::none && walk.has_flow) {
                if (const auto refused = make_state(walk, rule, index))
                    return *refused;
            }
            if ((rule.flags & contract::rule_flag::defer) != 0)
                continue;
            const Step step = perform(walk, index);
            if (step.verdict)
                return *step.verdict;
            index = step.next - 1;
        }
    }

    // The first rule at or behind `from` whose header tests match, or `until` if none before it
    // does.
    static std::uint32_t next_match(Walk& walk, std::uint32_t from, std::uint32_t until) {
        const classify::Classifier& classifier = walk.runtime.classifier();
        classify::Matches& matches = walk.matches;
        for (; from < std::min(until, walk.listed_from); ++from)
            if (classifier.tests().rule_matches(from, walk.packet))
                return from;
        // Each turn moves `from` forward.
        while (from < until) {
            const bool told = walk.matches_from <= from && from < matches.end;
            if (!told) {
                classifier.classify({&walk.key_of_headers, 1}, from, {&matches, 1});
                walk.matches_from = from;
            }
            if (!told || from < walk.asked_from)
                walk.next_match = 0;
            walk.asked_from = from;
            std::uint32_t found = until;
            for (; walk.next_match < matches.count; ++walk.next_match) {
                const std::uint32_t match = matches.rules[walk.next_match];
                const std::uint32_t index = match & ~classify::Matches::kUnverified;
                if (index < from)
                    continue;
                if (index >= until)
                    return until;
                if (match == index || classifier.tests().rule_matches(index, walk.packet)) {
                    found = index;
                    break;
                }
            }
            if (found < until)
                return found;
            from = matches.end;
        }
        return until;
    }

    // ---- States --------------------------------------------------------------------------------

    // The next rule that looks for a state under a name that this walk has not looked for.
    const Runtime::Probe* next_probe(Walk& walk, std::uint32_t from) const {
        if (walk.names_left == 0)
            return nullptr;
        const auto probes = walk.runtime.probes();
        std::size_t& at = walk.next_probe;
        if (at < probes.size() && probes[at].rule < from)
            at = walk.runtime.probe_behind(from);
        while (at < probes.size() && looked_for[probes[at].name_ordinal] == walk_number)
            ++at;
        return at < probes.size() ? &probes[at] : nullptr;
    }

    // Index of the rule whose action the packet gets.
    std::optional<std::uint32_t> look_for_state(Walk& walk, const Runtime::Probe& probe) {
        looked_for[probe.name_ordinal] = walk_number;
        walk.names_left = probe.name == contract::kAnyStateName ? 0 : walk.names_left - 1;
        const auto hit =
            find_state(walk.runtime, walk.packet, walk.key, walk.hash, walk.guess, probe.name);
        if (!hit)
            return std::nullopt;
        const RuleRecord& parent = walk.runtime.view().all_rules()[hit->rule];
        // A packet that a program has given back must not come to it again and again.
        if (parent.action == RuleAction::divert && parent.number <= walk.came_back_behind)
            return std::nullopt;
        outputs.states->hit(hit->state, walk.packet, lifetimes.with(parent.state_lifetime_s));
        walk.parent = &parent;
        walk.argument = {};  // a state has found no entry
        walk.forward = hit->state.forward;
        may_go_back(walk);
        return hit->rule;
    }

    struct LiveHit {
        state::Hit state;
        std::uint32_t rule = 0;
    };

    // A state whose rule has gone is removed where it is met.
    std::optional<LiveHit> find_state(const Runtime& runtime, const Packet& packet,
                                      const state::FlowKey& key, state::FlowHash hash,
                                      state::CellIndex guess, std::uint32_t name) {
        state::StateTable& states = *outputs.states;
        while (const auto hit = states.find(key, hash, guess, name, packet.uptime_s)) {
            const state::Cell& cell = states.cell(hit->cell);
            const auto rule = runtime.rule_of_state(cell.rule_slot, cell.rule_id);
            if (rule && !ResidualTests::has_expired(runtime, *rule, packet))
                return LiveHit{*hit, *rule};
            states.remove(hit->cell);
        }
        return std::nullopt;
    }

    // A verdict: the state cannot be made, and the packet is dropped for that.
    std::optional<Verdict> make_state(Walk& walk, const RuleRecord& rule, std::uint32_t index) {
        if (find_state(walk.runtime, walk.packet, walk.key, walk.hash, walk.guess, rule.state_name))
            return std::nullopt;
        const contract::Sysctls& sysctls = walk.runtime.view().sysctls();
        std::optional<RuleRecord> limited;
        if ((rule.flags & contract::rule_flag::table_limit) != 0)
            limited = with_table_limit(walk, rule);
        const state::Creation result =
            outputs.states->create(walk.key, walk.hash, limited ? *limited : rule, walk.packet,
                                   sysctls, lifetimes.with(rule.state_lifetime_s));
        if (result == state::Creation::made)
            return std::nullopt;
        // The rule that ends the walk is counted, although its action is not carried out.
        count(walk.packet, rule.slot);
        const bool limit = result == state::Creation::limit_reached;
        const state::StateTable::Totals totals = outputs.states->totals();
        if (!limit || sysctls.verbose != 0)
            log.state_refused(
                walk.packet, rule,
                limit ? contract::LogKind::state_limit : contract::LogKind::state_table_full,
                totals.states + totals.parents);
        return Verdict{.kind = Verdict::Kind::deny,
                       .reason = limit ? contract::DropReason::state_limit
                                       : contract::DropReason::state_table_full,
                       .rule_number = rule.number,
                       .rule_index = index};
    }

    static RuleRecord with_table_limit(const Walk& walk, RuleRecord rule) {
        rule.state_limit = static_cast<std::uint16_t>(
            std::min(walk.argument.of(contract::TableField::limit), 65535u));
        return rule;
    }

    // ---- Actions -------------------------------------------------------------------------------

    // Removes states of rules that a new ruleset does not have any more, some cells at a time.
    void sweep(const Runtime& runtime) {
        state::StateTable& states = *outputs.states;
        if (swept_generation != runtime.generation()) {
            swept_generation = runtime.generation();
            sweep_next = 0;
            sweeping = true;
        }
        if (!sweeping)
            return;
        const state::CellIndex end = std::min(sweep_next + kCellsPerCall, states.used_cells());
        for (; sweep_next < end; ++sweep_next) {
            const state::Cell& cell = states.cell(sweep_next);
            if (state::is_state(cell.kind) && !runtime.rule_of_state(cell.rule_slot, cell.rule_id))
                states.remove(sweep_next);
        }
        sweeping = sweep_next < states.used_cells();
    }

    struct Step {
        std::optional<Verdict> verdict;
        std::uint32_t next = 0;  // the rule to go on with, without a verdict
    };

    // The rule behind one; of a detached one, where it would stand.
    static std::uint32_t behind(const Runtime& runtime, std::uint32_t index) {
        return index < runtime.view().rules().size() ? index + 1
                                                     : runtime.view().all_rules()[index].target;
    }

    // Log, counters and action of a rule that has matched, or that made the state that was hit.
    Step perform(Walk& walk, std::uint32_t index) {
        const auto rules = walk.runtime.view().all_rules();
        const bool from_table = (rules[index].flags & contract::rule_flag::table_argument) != 0;
        std::optional<RuleRecord> replaced;
        if (from_table)
            replaced = with_argument(rules[index], walk.argument, walk.packet);
        const RuleRecord& rule = replaced ? *replaced : rules[index];
        PacketMarks& marks = walk.marks;
        Step step{.verdict = std::nullopt, .next = behind(walk.runtime, index)};
        if ((rule.flags & contract::rule_flag::log) != 0)
            log.matched(walk.runtime.view().sysctls(), walk.packet, rule);
        if (!apply_tag(rule, marks)) {
            count(walk.packet, rule.slot);
            step.verdict = refusal(rule, index, contract::DropReason::too_many_tags);
            return step;
        }
        if (!acts(rule, walk.packet) || !stack_allows(walk, rule))
            return step;
        count(walk.packet, rule.slot);
        switch (rule.action) {
            case RuleAction::count:
                return step;
            case RuleAction::skipto:
                step.next = target_of(walk.runtime, rule, from_table);
                return step;
            case RuleAction::call:
                if (marks.calls == kMaximumCallsInAll) {
                    step.verdict = refusal(rule, index, contract::DropReason::too_many_calls);
                    return step;
                }
                ++marks.calls;
                marks.callers[marks.call_depth++] = rule.number;
                go_to(walk, step, target_of(walk.runtime, rule, from_table));
                return step;
            case RuleAction::return_:
                // Behind all rules of the caller's number.
                go_to(walk, step,
                      walk.runtime.first_rule_from(marks.callers[--marks.call_depth] + 1u));
                return step;
            case RuleAction::setdscp:
                mark_packet(rule, walk.packet, marks);
                see_changes(marks, headers_to_change(walk));
                return step;
            case RuleAction::setfib:
            case RuleAction::tcp_setmss:
            case RuleAction::setmark:
                mark_packet(rule, walk.packet, marks);
                return step;
            case RuleAction::reass:
                if (!walk.packet.headers.is_fragment())
                    return step;
                // ip_fw2.c counts a fragment when it meets the rule, and when it is kept.
                count(walk.packet, rule.slot);
                step.verdict = verdict_of(rule, index);
                step.verdict->tees = static_cast<std::uint8_t>(walk.tees);
                return step;
            default:
                break;
        }
        step.verdict = verdict_of(rule, index);
        if (from_table && rule.action == RuleAction::fwd) {
            step.verdict->next_hop = rule.next_hop;
            step.verdict->next_hop_family = static_cast<std::uint8_t>(rule.next_hop_family);
        }
        if (rule.action == RuleAction::tee)
            step.verdict->tees = static_cast<std::uint8_t>(walk.tees + 1);
        if (step.verdict->tees == kMaximumTees) {
            step.verdict->kind = Verdict::Kind::deny;
            step.verdict->reason = contract::DropReason::too_many_tees;
        }
        // The way back of a forwarded flow needs no help.
        if (rule.action == RuleAction::fwd && walk.parent == &rules[index] && !walk.forward)
            step.verdict->kind = Verdict::Kind::accept;
        return step;
    }

    // Calls and returns may go back.
    static void go_to(Walk& walk, Step& step, std::uint32_t rule) {
        step.next = rule;
        may_go_back(walk);
    }

    // A rule that is met again looks and draws again.
    static void may_go_back(Walk& walk) {
        walk.next_probe = 0;
        walk.drawn_rule = kNoRule;
    }

    // A call that is too deep and a return without a call are passed over, uncounted.
    bool stack_allows(const Walk& walk, const RuleRecord& rule) {
        const bool error =
            (rule.action == RuleAction::call && walk.marks.call_depth == kMaximumCalls) ||
            (rule.action == RuleAction::return_ && walk.marks.call_depth == 0);
        if (!error)
            return true;
        // ipfw complains of calls only.
        if (rule.action == RuleAction::call)
            log.call_refused(walk.packet);
        return false;
    }

    static Verdict refusal(const RuleRecord& rule, std::uint32_t index,
                           contract::DropReason reason) {
        return {.kind = Verdict::Kind::deny,
                .reason = reason,
                .rule_number = rule.number,
                .rule_index = index};
    }

    // The copy of the packet that the rest of the walk sees.
    Packet& headers_to_change(Walk& walk) {
        if (walk.seen != &changed) {
            changed = walk.packet;
            walk.seen = &changed;
        }
        return changed;
    }

    // As the compiler finds it for a number that is written out: skipto never goes back.
    static std::uint32_t target_of(const Runtime& runtime, const RuleRecord& rule,
                                   bool from_table) {
        if (!from_table)
            return rule.target;
        return runtime.first_rule_from(
            rule.action == RuleAction::call
                ? rule.action_number
                : std::max<unsigned>(rule.action_number, rule.number + 1u));
    }

    void count(const Packet& packet, std::uint32_t slot) {
        contract::RuleCounters& counters = outputs.counters[slot];
        contract::add(counters.packets, 1);
        contract::add(counters.bytes, packet.headers.counted_bytes());
        contract::set(counters.last_match_s, packet.now_ms / 1000);
    }

    static Verdict verdict_of(const RuleRecord& rule, std::uint32_t index) {
        return {.kind = verdict_kind(rule.action),
                .argument = rule.action_number,
                .mtu = rule.mtu,
                .rule_number = rule.number,
                .rule_index = index};
    }
};

Engine::Engine(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random)
    : impl_(new Impl(outputs, seed, random)) {}

Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::filter(const Runtime& runtime, std::span<const Packet> packets,
                    std::span<Verdict> verdicts, std::span<PacketMarks> marks) {
    impl_->tests.begin_burst();
    const bool stateful = runtime.uses_states() && impl_->outputs.states != nullptr;
    const bool states_first = stateful && !runtime.probes().empty() &&
                              runtime.probes().front().rule == 0 &&
                              !Impl::is_conditional(runtime, 0);
    for (std::size_t done = 0; done < packets.size(); done += kChunk) {
        const auto chunk = packets.subspan(done, std::min(kChunk, packets.size() - done));
        Verdict* chunk_verdicts = verdicts.data() + done;
        PacketMarks* chunk_marks = marks.data() + done;
        if (states_first)
            impl_->filter_states_first(runtime, chunk, chunk_verdicts, chunk_marks);
        else if (stateful)
            impl_->filter_stateful(runtime, chunk, chunk_verdicts, chunk_marks);
        else
            impl_->filter_stateless(runtime, chunk, chunk_verdicts, chunk_marks);
    }
}

Verdict Engine::resume(const Runtime& runtime, const Packet& packet, const Verdict& verdict,
                       PacketMarks& marks) {
    const auto live = static_cast<std::uint32_t>(runtime.view().rules().size());
    const RuleRecord& rule = runtime.view().all_rules()[verdict.rule_index];
    std::uint32_t index = verdict.rule_index < live ? verdict.rule_index + 1 : rule.target;
    if (verdict.kind == Verdict::Kind::divert)
        while (index + 1 < live && runtime.view().rules()[index].number == rule.number)
            ++index;
    return impl_->walk_from(runtime, packet, {.index = index, .tees = verdict.tees}, marks);
}

Verdict Engine::enter(const Runtime& runtime, const Packet& packet, unsigned number,
                      PacketMarks& marks) {
    if (!firewall_enabled(runtime.view().sysctls(), packet))
        return {.kind = Verdict::Kind::accept, .rule_number = 0};
    const std::uint32_t index = runtime.first_rule_from(number + 1);
    return impl_->walk_from(runtime, packet,
                            {.index = index,
                             .listed = runtime.classifier().next_segment(index),
                             .came_back_behind = number},
                            marks);
}

bool Engine::tend_states(const Runtime& runtime, std::uint32_t uptime_s,
                         state::KeepaliveSink* keepalives) {
    state::StateTable* states = impl_->outputs.states;
    if (states == nullptr)
        return false;
    impl_->sweep(runtime);
    return states->expire(uptime_s, kStatesPerCall, runtime.view().sysctls(), keepalives) ||
           impl_->sweeping;
}

Engine::Killed Engine::kill_states(const Runtime& runtime, const contract::StateFilter& filter,
                                   std::uint32_t uptime_s, state::CellIndex from) {
    state::StateTable* states = impl_->outputs.states;
    if (states == nullptr)
        return {.states = 0, .next = 0, .done = true};
    const state::CellIndex end = std::min(from + kCellsPerCall, states->used_cells());
    Killed killed;
    for (killed.next = from; killed.next < end; ++killed.next) {
        const auto copy = states->read(killed.next);
        if (!copy || !state::is_state(copy->cell.kind) ||
            !matches(filter, *copy, runtime, uptime_s))
            continue;
        killed.states += copy->cell.expires_s > uptime_s ? 1 : 0;
        states->remove(killed.next);
    }
    killed.done = killed.next >= states->used_cells();
    return killed;
}

}  // namespace sluice::program
