#include "dataplane/program/engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "dataplane/classify/rule_cache.h"
#include "dataplane/program/actions.h"
#include "dataplane/program/states.h"
#include "dataplane/program/walk_rules.h"
#include "dataplane/program/walker.h"

namespace sluice::program {

namespace {

using contract::RuleRecord;
using packet::Burst;
using packet::Packet;

constexpr std::size_t kCapacity = Burst::kCapacity;

// In place of the index of a packet's first match. No rule has it.
constexpr std::uint32_t kNoFirst = 0x1fffffff;

// How much housekeeping one turn of a worker does.
constexpr unsigned kStatesPerCall = 64;
constexpr state::CellIndex kCellsPerCall = 256;

bool firewall_enabled(const contract::Sysctls& sysctls, const Packet& packet) {
    return packet.headers.ip_version == 6 ? sysctls.enable6 != 0 : sysctls.enable != 0;
}

// `prob` decides before a state is looked for.
bool is_conditional(const Runtime& runtime, std::uint32_t rule) {
    return runtime.view().rules()[rule].residual_count != 0;
}

Verdict plain_verdict(const Runtime& runtime, std::uint32_t index) {
    const RuleRecord& rule = runtime.view().rules()[index];
    return {.kind = verdict_kind(rule.action),
            .argument = rule.action_number,
            .mtu = rule.mtu,
            .rule_number = rule.number,
            .rule_index = index};
}

// What is asked of a packet that may not need a walk.
struct Subject {
    bool judged = false;  // it is IP, and right
    std::uint32_t bytes = 0;
    std::uint32_t uptime_s = 0;
    std::uint64_t now_ms = 0;
};

Subject subject_of(Burst& burst, std::size_t i) {
    if (burst.is_common(i))
        return {.judged = true,
                .bytes = burst.glance(i).ip_length,
                .uptime_s = burst.circumstances().uptime_s,
                .now_ms = burst.circumstances().now_ms};
    const Packet& packet = burst.packet(i);
    return {
        .judged = packet.malformed == contract::DropReason::none && packet.headers.ip_version != 0,
        .bytes = packet.headers.counted_bytes(),
        .uptime_s = packet.uptime_s,
        .now_ms = packet.now_ms};
}

state::Segment segment_of(Burst& burst, std::size_t i) {
    return burst.is_common(i) ? state::Segment(burst.glance(i))
                              : state::Segment(burst.packet(i).headers);
}

}  // namespace

struct Engine::Impl {
    Impl(const EngineOutputs& where, std::uint64_t seed, RandomSource* random)
        : outputs(where), walker(where, seed, random), cache(seed) {}

    EngineOutputs outputs;
    Walker walker;
    classify::RuleCache cache;
    // The generation whose deleted rules' states are being removed, and how far that is.
    std::uint64_t swept_generation = 0;
    state::CellIndex sweep_next = 0;
    bool sweeping = false;

    // Of the packets being judged.
    std::array<classify::HeaderKey, kCapacity> header_keys{};
    std::array<classify::Matches, kCapacity> matches;
    std::array<state::FlowKey, kCapacity> keys{};
    std::array<state::FlowHash, kCapacity> hashes{};
    std::array<state::CellIndex, kCapacity> guesses{};
    classify::RuleCache::Answers answers{};  // what first matches lead to; see Outcome

    // The packet that was looked into last, and what was found in it is still known.
    std::size_t looked_at = kCapacity;

    // For packets that come parsed.
    Burst parsed;
    Judgement parsed_judgement;

    // ---- Looking up ----------------------------------------------------------------------------

    // Finds out which rules some packets match.
    void classify(const Runtime& runtime, Burst& burst, Burst::Mask which) {
        std::array<std::uint8_t, kCapacity> places;
        std::size_t count = 0;
        for (std::size_t i = 0; i < burst.size(); ++i) {
            places[count] = static_cast<std::uint8_t>(i);
            count += which >> i & 1;
        }
        runtime.classifier().read_keys(burst, {places.data(), count}, header_keys);
        runtime.classifier().classify({header_keys.data(), count}, 0, matches);
        walker.look_ahead({header_keys.data(), count});
        if (count == burst.size())
            return;
        // From the back: places are never before what moves there.
        while (count-- > 0) {
            header_keys[places[count]] = header_keys[count];
            matches[places[count]] = matches[count];
        }
    }

    // Looks up for many packets at once what takes long to come from memory.
    void prefetch_states(Burst& burst, Burst::Mask which) {
        const state::StateTable& states = *outputs.states;
        Burst::Mask flows = 0;
        for (std::size_t i = 0; i < burst.size(); ++i) {
            if ((which >> i & 1) == 0)
                continue;
            if (burst.is_common(i))
                state::set_flow_key(keys[i], burst.glance(i));
            else if (burst.packet(i).headers.ip_version != 0)
                state::set_flow_key(keys[i], burst.packet(i).headers);
            else
                continue;
            hashes[i] = states.hash(keys[i]);
            states.prefetch(hashes[i]);
            flows |= Burst::Mask{1} << i;
        }
        for (std::size_t i = 0; i < burst.size(); ++i)
            guesses[i] = (flows >> i & 1) != 0 ? states.prefetch_state(hashes[i]) : state::kNoCell;
    }

    // What the first matches of all packets lead to. Returns the packets of which this was known
    // already; only of the others header_keys and matches hold. Kept for later packets is what
    // saves them a search: first matches that lead to no walk, or stand at or behind `first_probe`.
    Burst::Mask find_first_matches(const Runtime& runtime, Burst& burst,
                                   std::uint32_t first_probe) {
        const Burst::Mask known =
            cache.find(burst, runtime.serial(), runtime.classifier().fields_asked(), answers);
        const Burst::Mask unknown = burst.all() & ~known;
        if (unknown == 0)
            return known;
        classify(runtime, burst, unknown);
        look_at_first_matches(runtime, burst.size(), unknown);
        for (std::size_t i = 0; i < burst.size(); ++i)
            if ((unknown >> i & 1) != 0 && cache.has_looked_for(i) &&
                (outcome_of(answers[i]) != Outcome::walk || answers[i].rule >= first_probe))
                cache.keep(i, answers[i]);
        return known;
    }

    static Outcome outcome_of(const classify::RuleCache::Answer& answer) {
        return static_cast<Outcome>(answer.outcome);
    }

    // What the first matches of some packets lead to. In place of its slot, that of a rule which
    // looks into payload is the rule that matches next; 0: not known.
    void look_at_first_matches(const Runtime& runtime, std::size_t count, Burst::Mask which) {
        const auto rules = runtime.quick_rules();
        for (std::size_t i = 0; i < count; ++i) {
            if ((which >> i & 1) == 0)
                continue;
            const std::uint32_t first = matches[i].rules[0];
            // One that is not verified yet has no such index.
            const bool plain = matches[i].count != 0 && first < rules.size();
            const QuickRule rule = plain ? rules[first] : QuickRule{};
            answers[i].rule =
                matches[i].count != 0 ? first & ~classify::Matches::kUnverified : kNoFirst;
            answers[i].outcome = static_cast<std::uint8_t>(rule.matched);
            answers[i].slot = rule.slot;
            if (rule.matched == Outcome::look)
                answers[i].slot = matches[i].count > 1 && matches[i].rules[1] < rules.size()
                                      ? matches[i].rules[1]
                                      : 0;
        }
    }

    // ---- Judging -------------------------------------------------------------------------------

    void count(std::uint32_t slot, std::uint64_t packets, std::uint64_t bytes,
               std::uint64_t now_ms) {
        contract::RuleCounters& counters = outputs.counters[slot];
        contract::add(counters.packets, packets);
        contract::add(counters.bytes, bytes);
        contract::set(counters.last_match_s, now_ms / 1000);
    }

    // Packets that are still to be counted: flows of one rule often come together.
    struct Count {
        std::uint32_t slot = 0;
        std::uint64_t packets = 0;
        std::uint64_t bytes = 0;
        std::uint64_t now_ms = 0;
    };

    void write(const Count& running) {
        if (running.packets != 0)
            count(running.slot, running.packets, running.bytes, running.now_ms);
    }

    void add(Count& running, const Count& more) {
        if (more.packets == 0)
            return;
        if (more.slot != running.slot || more.now_ms != running.now_ms) {
            write(running);
            running = {.slot = more.slot, .now_ms = more.now_ms};
        }
        running.packets += more.packets;
        running.bytes += more.bytes;
    }

    // REQUIRES: is_final(outcome).
    static void decide(const Runtime& runtime, Judgement& judgement, std::size_t i, Outcome outcome,
                       std::uint32_t index) {
        const Judgement::Mask bit = Judgement::Mask{1} << i;
        judgement.rules[i] = index;
        judgement.accepted |= outcome == Outcome::accept ? bit : 0;
        judgement.denied |= outcome == Outcome::deny ? bit : 0;
        if (outcome == Outcome::answer) {
            judgement.verdicts[i] = plain_verdict(runtime, index);
            judgement.told |= bit;
        }
    }

    // Most packets match one rule that lets them pass or not, and need no walk. False: this one
    // does. REQUIRES: no rule before looks for states.
    bool judge_by_match(const Runtime& runtime, Burst& burst, Judgement& judgement, std::size_t i) {
        const classify::RuleCache::Answer& answer = answers[i];
        const Outcome outcome = outcome_of(answer);
        if (!is_final(outcome))
            return false;
        const Subject subject = subject_of(burst, i);
        if (!subject.judged)
            return false;
        count(answer.slot, 1, subject.bytes, subject.now_ms);
        decide(runtime, judgement, i, outcome, answer.rule);
        return true;
    }

    // The match behind a rule, as in Matches; one that is not verified may not be one, but there is
    // none before it.
    std::uint32_t next_match(const Runtime& runtime, Burst& burst, std::size_t i,
                             std::uint32_t rule, Burst::Mask& known) {
        if ((known >> i & 1) != 0) {
            classify(runtime, burst, Burst::Mask{1} << i);
            known &= ~(Burst::Mask{1} << i);
        }
        const classify::Matches& found = matches[i];
        for (std::size_t place = 0; place < found.count; ++place)
            if ((found.rules[place] & ~classify::Matches::kUnverified) > rule)
                return found.rules[place];
        return found.end | classify::Matches::kUnverified;
    }

    // A common packet whose first match looks into it: goes on from match to match as long as these
    // look or decide, and stand before the first rule that looks for a state. False: it is not
    // judged, and no rule before that of its answer matches; what was found in it is kept for its
    // walk. `known` are the packets whose matches do not hold.
    bool judge_by_look(const Runtime& runtime, Burst& burst, Judgement& judgement, std::size_t i,
                       std::uint32_t first_probe, Burst::Mask& known) {
        const auto rules = runtime.quick_rules();
        const std::uint64_t now_ms = burst.circumstances().now_ms;
        Carried carried = carried_by(burst.glance(i));
        carried.uptime_s = burst.circumstances().uptime_s;
        carried.now_ms = now_ms;
        if (runtime.uses_states() && outputs.states != nullptr) {
            carried.key = &keys[i];
            carried.hash = hashes[i];
            carried.guess = guesses[i];
        }
        walker.begin_packet();
        looked_at = i;
        std::uint32_t rule = answers[i].rule, next = answers[i].slot;
        while (rule < std::min<std::size_t>(first_probe, rules.size())) {
            const QuickRule quick = rules[rule];
            Outcome outcome = quick.matched;
            if (outcome == Outcome::look) {
                const PayloadTests::Seen seen =
                    walker.payload().look(runtime, carried, runtime.look_of(rule));
                if (seen.refused != contract::DropReason::none) {
                    judgement.verdicts[i] =
                        refusal(runtime.view().rules()[rule], rule, seen.refused);
                    judgement.told |= Judgement::Mask{1} << i;
                    judgement.rules[i] = rule;
                    return true;
                }
                if (!seen.matches) {
                    rule = next != 0 ? next : next_match(runtime, burst, i, rule, known);
                    next = 0;
                    continue;
                }
                outcome = quick.hit;
            }
            if (outcome == Outcome::walk)
                break;
            count(quick.slot, 1, burst.glance(i).ip_length, now_ms);
            decide(runtime, judgement, i, outcome, rule);
            return true;
        }
        answers[i].rule = rule & ~classify::Matches::kUnverified;
        return false;
    }

    bool looks(const Burst& burst, std::size_t i) const {
        return outcome_of(answers[i]) == Outcome::look && burst.is_common(i);
    }

    // Where the first rule looks for a state: judges common packets of IPv4 as long as their
    // guesses are right and their rules let them pass or drop them, from packet `i` on. Returns the
    // first that is something else.
    std::size_t judge_common_by_state(const Runtime& runtime, const Burst& burst,
                                      Judgement& judgement, std::size_t i, Count& running) {
        state::StateTable& states = *outputs.states;
        const std::uint32_t name = runtime.probes().front().name;
        const std::uint32_t uptime_s = burst.circumstances().uptime_s;
        const std::uint64_t now_ms = burst.circumstances().now_ms;
        Burst::Mask accepted = 0, denied = 0;
        // The rule of the last packet, often that of the next: what was found out about it holds.
        StateParent rule;
        std::uint32_t slot = 0;
        bool knows_rule = false;
        std::uint64_t packets = 0, bytes = 0;
        for (; i < burst.size() && burst.is_common(i); ++i) {
            const auto hit = states.find_guessed(keys[i], guesses[i], name, uptime_s);
            if (!hit)
                break;
            const state::Cell& cell = states.cell(hit->cell);
            if (!knows_rule || cell.rule_slot != slot || cell.rule_id != rule.id) {
                const StateParent& next = runtime.state_parent(cell.rule_slot);
                if (next.id != cell.rule_id || next.may_expire || next.lifetime_s != 0 ||
                    (next.hit != Outcome::accept && next.hit != Outcome::deny))
                    break;
                add(running, {.slot = slot, .packets = packets, .bytes = bytes, .now_ms = now_ms});
                packets = bytes = 0;
                rule = next;
                slot = cell.rule_slot;
                knows_rule = true;
            }
            states.hit(*hit, state::Segment(burst.glance(i)), uptime_s, walker.lifetimes());
            ++packets;
            bytes += burst.glance(i).ip_length;
            judgement.rules[i] = rule.index;
            (rule.hit == Outcome::accept ? accepted : denied) |= Burst::Mask{1} << i;
        }
        add(running, {.slot = slot, .packets = packets, .bytes = bytes, .now_ms = now_ms});
        judgement.accepted |= accepted;
        judgement.denied |= denied;
        return i;
    }

    // The same for a packet that hits a state at the first rule that looks for one, where no rule
    // before matches. False: it does not, or there is more to do.
    bool judge_by_state(const Runtime& runtime, Burst& burst, Judgement& judgement, std::size_t i,
                        Count& running) {
        const Subject subject = subject_of(burst, i);
        if (!subject.judged)
            return false;
        const auto hit =
            walker.find_state(runtime, keys[i], hashes[i], guesses[i],
                              runtime.probes().front().name, subject.uptime_s, subject.now_ms);
        if (hit.rule == nullptr || hit.rule->hit == Outcome::walk)
            return false;
        const state::Lifetimes& lifetimes = walker.lifetimes();
        const std::uint32_t lifetime_s = hit.rule->lifetime_s;
        const std::uint32_t slot = outputs.states->cell(hit.state.cell).rule_slot;
        outputs.states->hit(hit.state, segment_of(burst, i), subject.uptime_s,
                            lifetime_s == 0 ? lifetimes : lifetimes.with(lifetime_s));
        add(running,
            {.slot = slot, .packets = 1, .bytes = subject.bytes, .now_ms = subject.now_ms});
        decide(runtime, judgement, i, hit.rule->hit, hit.rule->index);
        return true;
    }

    // REQUIRES: header_keys[i] and matches[i] hold.
    void judge_by_walk(const Runtime& runtime, Burst& burst, Judgement& judgement, std::size_t i) {
        const Packet& packet = burst.packet(i);
        const Judgement::Mask bit = Judgement::Mask{1} << i;
        Verdict& verdict = judgement.verdicts[i];
        judgement.told |= bit;
        if (!firewall_enabled(runtime.view().sysctls(), packet)) {
            verdict = {.kind = Verdict::Kind::accept, .rule_number = 0};
            return;
        }
        if (packet.malformed != contract::DropReason::none) {
            walker.log().malformed(runtime.view().sysctls(), packet);
            verdict = {.kind = Verdict::Kind::deny, .reason = packet.malformed};
            return;
        }
        PacketMarks& marks = judgement.mark(i);
        Walk walk{.runtime = runtime,
                  .packet = packet,
                  .key_of_headers = header_keys[i],
                  .matches = matches[i],
                  .marks = marks,
                  .seen = &packet};
        if (knows_flow(runtime, packet)) {
            walk.key = keys[i];
            walk.hash = hashes[i];
            walk.guess = guesses[i];
            walk.has_flow = true;
        }
        if (looked_at != i)
            walker.begin_packet();
        verdict = walker.walk(walk, 0);
        judgement.rules[i] = verdict.rule_index;
        if (verdict.kind == Verdict::Kind::accept && verdict.rule_number > 0 &&
            !marks.changes_headers())
            judgement.accepted |= bit;
        if (verdict.kind == Verdict::Kind::deny && verdict.reason == contract::DropReason::none)
            judgement.denied |= bit;
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
        walker.begin_again(runtime);
        classify::HeaderKey key;
        classify::Matches found;
        runtime.classifier().read_key(packet, key);
        runtime.classifier().classify({&key, 1}, 0, {&found, 1});
        Walk walk{.runtime = runtime,
                  .packet = packet,
                  .key_of_headers = key,
                  .matches = found,
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
        walker.begin_packet();
        return walker.walk(walk, entrance.index);
    }

    bool knows_flow(const Runtime& runtime, const Packet& packet) const {
        return runtime.uses_states() && outputs.states != nullptr && packet.headers.ip_version != 0;
    }

    // ---- Bursts --------------------------------------------------------------------------------

    // There is but one rule for all common packets, and it needs no walk.
    void judge_alike(const Runtime& runtime, Burst& burst, Judgement& judgement,
                     std::uint32_t index) {
        const QuickRule rule = runtime.quick_rules()[index];
        const Judgement::Mask common = burst.common();
        // Counting bits is a call on a machine of which nothing is known.
        const auto packets =
            common == burst.all() ? burst.size() : static_cast<std::size_t>(std::popcount(common));
        if (packets != 0)
            count(rule.slot, packets, burst.common_bytes(), burst.circumstances().now_ms);
        (rule.matched == Outcome::accept ? judgement.accepted : judgement.denied) |= common;
        judgement.alike = common;
        judgement.one_rule = index;
        const Judgement::Mask others = burst.all() & ~common;
        if (others == 0)
            return;
        classify(runtime, burst, others);
        for (std::size_t i = 0; i < burst.size(); ++i)
            if ((others >> i & 1) != 0)
                judge_by_walk(runtime, burst, judgement, i);
    }

    // No rule looks for states.
    void filter_stateless(const Runtime& runtime, Burst& burst, Judgement& judgement) {
        if (const auto only = runtime.only_rule()) {
            judge_alike(runtime, burst, judgement, *only);
            return;
        }
        Burst::Mask known = find_first_matches(runtime, burst, kNoRule);
        const bool enabled = runtime.judges_everything();
        Burst::Mask left = burst.all();
        if (enabled)
            left &= ~judge_common_by_match(burst, judgement);
        for (; left != 0; left &= left - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(left));
            if (enabled &&
                (looks(burst, i) ? judge_by_look(runtime, burst, judgement, i, kNoRule, known)
                                 : judge_by_match(runtime, burst, judgement, i)))
                continue;
            if ((known >> i & 1) != 0)
                classify(runtime, burst, Burst::Mask{1} << i);
            judge_by_walk(runtime, burst, judgement, i);
        }
    }

    // The common packets that pass or are dropped by their first match, without any order; which
    // those were. Packets of the rule that the first of them matches, often all of a burst, are
    // counted together.
    Burst::Mask judge_common_by_match(const Burst& burst, Judgement& judgement) {
        const std::uint32_t usual_slot = answers[0].slot;
        Burst::Mask accepted = 0, denied = 0, unusual = 0;
        std::uint64_t usual_bytes = 0;
        for (std::size_t i = 0; i < burst.size(); ++i) {
            const classify::RuleCache::Answer answer = answers[i];
            const Outcome outcome = outcome_of(answer);
            __builtin_prefetch(&outputs.counters[answer.slot], 1);
            judgement.rules[i] = answer.rule;
            accepted |= Burst::Mask{outcome == Outcome::accept} << i;
            denied |= Burst::Mask{outcome == Outcome::deny} << i;
            const bool is_usual = answer.slot == usual_slot;
            const bool decides = outcome == Outcome::accept || outcome == Outcome::deny;
            unusual |= Burst::Mask{!is_usual} << i;
            usual_bytes += (is_usual & decides) != 0 ? burst.glance(i).ip_length : 0;
        }
        accepted &= burst.common();
        denied &= burst.common();
        const Burst::Mask decided = accepted | denied;
        // Those that are not common have no length in their glance.
        if (const Burst::Mask usual = decided & ~unusual; usual != 0)
            count(usual_slot, static_cast<std::uint64_t>(std::popcount(usual)), usual_bytes,
                  burst.circumstances().now_ms);
        for (Burst::Mask left = decided & unusual; left != 0; left &= left - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(left));
            count(answers[i].slot, 1, burst.glance(i).ip_length, burst.circumstances().now_ms);
        }
        judgement.accepted = accepted;
        judgement.denied = denied;
        return decided;
    }

    // Where the first rule looks for a state, packets that hit one need not be classified. Which
    // those will be is a guess: the packets are judged in their order.
    void filter_states_first(const Runtime& runtime, Burst& burst, Judgement& judgement) {
        prefetch_states(burst, burst.all());
        Burst::Mask without_state = 0;
        for (std::size_t i = 0; i < burst.size(); ++i)
            without_state |= Burst::Mask{guesses[i] == state::kNoCell} << i;
        if (without_state != 0)
            classify(runtime, burst, without_state);
        const bool enabled = runtime.judges_everything();
        Count running;
        for (std::size_t i = 0; i < burst.size(); ++i) {
            if (enabled)
                i = judge_common_by_state(runtime, burst, judgement, i, running);
            if (i == burst.size())
                break;
            if (enabled && judge_by_state(runtime, burst, judgement, i, running))
                continue;
            if ((without_state >> i & 1) == 0)
                classify(runtime, burst, Burst::Mask{1} << i);
            judge_by_walk(runtime, burst, judgement, i);
        }
        write(running);
    }

    // Some rules look for states. What a rule before the first of those decides needs no look-up.
    void filter_stateful(const Runtime& runtime, Burst& burst, Judgement& judgement) {
        const std::uint32_t first_probe =
            runtime.probes().empty() ? kNoRule : runtime.probes().front().rule;
        Burst::Mask known = find_first_matches(runtime, burst, first_probe);
        const bool enabled = runtime.judges_everything();
        const bool may_hit =
            enabled && first_probe != kNoRule && !is_conditional(runtime, first_probe);
        Burst::Mask decided = 0;  // by a rule before the first that looks
        for (std::size_t i = 0; i < burst.size(); ++i)
            decided |=
                Burst::Mask{answers[i].rule < first_probe && is_final(outcome_of(answers[i]))} << i;
        if (!enabled)
            decided = 0;
        prefetch_states(burst, burst.all() & ~(decided & burst.common()));
        Count running;
        for (std::size_t i = 0; i < burst.size(); ++i) {
            if ((decided >> i & 1) != 0 && judge_by_match(runtime, burst, judgement, i))
                continue;
            if (enabled && looks(burst, i) && answers[i].rule < first_probe &&
                judge_by_look(runtime, burst, judgement, i, first_probe, known))
                continue;
            if (may_hit && answers[i].rule >= first_probe &&
                judge_by_state(runtime, burst, judgement, i, running))
                continue;
            if ((known >> i & 1) != 0)
                classify(runtime, burst, Burst::Mask{1} << i);
            judge_by_walk(runtime, burst, judgement, i);
        }
        write(running);
    }

    // The flows that are followed end with their states, which may be at any time.
    void use_payload_of(const Runtime& runtime) {
        if (outputs.flows != nullptr)
            outputs.flows->use(runtime.payload_objects());
    }

    void filter(const Runtime& runtime, Burst& burst, Judgement& judgement) {
        judgement.accepted = 0;
        judgement.denied = 0;
        judgement.told = 0;
        judgement.alike = 0;
        if (burst.size() == 0)
            return;
        walker.begin_burst(runtime);
        looked_at = kCapacity;
        if (!runtime.uses_states() || outputs.states == nullptr)
            filter_stateless(runtime, burst, judgement);
        else if (!runtime.probes().empty() && runtime.probes().front().rule == 0 &&
                 !is_conditional(runtime, 0))
            filter_states_first(runtime, burst, judgement);
        else
            filter_stateful(runtime, burst, judgement);
    }

    // ---- Housekeeping --------------------------------------------------------------------------

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
};

Engine::Engine(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random)
    : impl_(new Impl(outputs, seed, random)) {}

Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::populate() {
    impl_->cache.populate();
}

void Engine::filter(const Runtime& runtime, Burst& burst, Judgement& judgement) {
    impl_->filter(runtime, burst, judgement);
}

void Engine::filter(const Runtime& runtime, std::span<const Packet> packets,
                    std::span<Verdict> verdicts, std::span<PacketMarks> marks) {
    Burst& burst = impl_->parsed;
    Judgement& judgement = impl_->parsed_judgement;
    for (std::size_t done = 0; done < packets.size(); done += kCapacity) {
        const std::size_t count = std::min(kCapacity, packets.size() - done);
        burst.begin({});
        for (std::size_t i = 0; i < count; ++i) {
            burst.add(packets[done + i]);
            judgement.marks[i] = marks[done + i];
        }
        judgement.marked = burst.all();
        impl_->filter(runtime, burst, judgement);
        for (std::size_t i = 0; i < count; ++i) {
            verdicts[done + i] = verdict(runtime, judgement, i);
            marks[done + i] = judgement.marks[i];
        }
    }
}

Verdict Engine::verdict(const Runtime& runtime, const Judgement& judgement, std::size_t i) {
    return judgement.has_verdict(i) ? judgement.verdicts[i]
                                    : plain_verdict(runtime, judgement.rule(i));
}

Verdict Engine::resume(const Runtime& runtime, const Packet& packet, const Verdict& verdict,
                       PacketMarks& marks) {
    impl_->use_payload_of(runtime);
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
    impl_->walker.begin_burst(runtime);
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
    impl_->use_payload_of(runtime);
    impl_->sweep(runtime);
    return states->expire(uptime_s, kStatesPerCall, runtime.view().sysctls(), keepalives) ||
           impl_->sweeping;
}

Engine::Killed Engine::kill_states(const Runtime& runtime, const contract::StateFilter& filter,
                                   std::uint32_t uptime_s, state::CellIndex from) {
    state::StateTable* states = impl_->outputs.states;
    if (states == nullptr)
        return {.states = 0, .next = 0, .done = true};
    impl_->use_payload_of(runtime);
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
