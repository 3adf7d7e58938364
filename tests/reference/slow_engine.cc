#include "tests/reference/slow_engine.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "controlplane/language/names.h"
#include "tests/reference/slow_actions.h"
#include "tests/reference/slow_log.h"
#include "tests/reference/slow_match.h"

namespace sluice::reference {

namespace {

using namespace language;
using packet::Entry;

bool names_link_layer(const Rule& rule) {
    for (const Group& group : rule.options)
        for (const Term& term : group.any_of) {
            if (std::holds_alternative<MacMatch>(term.match) ||
                std::holds_alternative<MacTableMatch>(term.match))
                return true;
            if (const auto* lookup = std::get_if<LookupMatch>(&term.match))
                if (lookup->field.ends_with("-mac"))
                    return true;
            if (const auto* list = std::get_if<ListMatch>(&term.match))
                if (list->field == ListField::mac_type)
                    return true;
            if (const auto* simple = std::get_if<SimpleMatch>(&term.match))
                if (simple->flag == Flag::layer2)
                    return true;
        }
    return false;
}

// At layer 2 these are taken as if they were not there (semantics §6).
bool needs_ip_layer(ActionKind kind) {
    return kind == ActionKind::divert || kind == ActionKind::tee || kind == ActionKind::fwd;
}

std::string next_hop_text(const NextHop& hop) {
    std::string text;
    if (const auto* v4 = std::get_if<Ipv4>(&hop.address))
        text = to_string(*v4);
    else if (const auto* v6 = std::get_if<Ipv6>(&hop.address))
        text = hop.port != 0 ? "[" + to_string(*v6) + "]" : to_string(*v6);
    return hop.port != 0 ? text + ":" + std::to_string(hop.port) : text;
}

// Verdict of an action that ends the walk.
std::string final_verdict(const Action& action) {
    const std::string number = ":" + std::to_string(action.argument.value);
    switch (action.kind) {
        case ActionKind::allow:
            return "accept";
        case ActionKind::reject:
            return "unreach:1";
        case ActionKind::unreach:
            return "unreach" + number;
        case ActionKind::unreach6:
            return "unreach6" + number;
        case ActionKind::reset:
            return "reset";
        case ActionKind::reset6:
            return "reset6";
        case ActionKind::abort:
            return "abort";
        case ActionKind::abort6:
            return "abort6";
        case ActionKind::divert:
            return "divert" + number;
        case ActionKind::fwd:
            return "fwd:" + next_hop_text(action.next_hop);
        default:
            return "deny";
    }
}

// No rule, port or limit has a larger one.
std::uint32_t as_number(std::uint32_t value) {
    return value <= 65535 ? value : 0;
}

// What `tablearg` stands for. There is one number for all uses, and none is an IPv6 address.
void put_in(Action& action, std::uint32_t value, int version) {
    if (action.argument.from_table && action.kind == ActionKind::setmark)
        action.argument.value = value;
    else if (action.argument.from_table && action.kind == ActionKind::setdscp)
        action.argument.value = value < 64 ? value : 0;
    else if (action.argument.from_table)
        action.argument.value = as_number(value);
    if (action.kind != ActionKind::fwd || !std::holds_alternative<Any>(action.next_hop.address))
        return;
    if (version == 6)
        action.next_hop.address = Ipv6{};
    else
        action.next_hop.address = Ipv4::from_host(value);
}

// Null: the rule looks for no state. Empty: any will do.
const std::string* name_to_look_for(const Rule& rule) {
    using Kind = StateOption::Kind;
    if (rule.action.kind == ActionKind::check_state)
        return &rule.action.name;
    if (rule.state && (rule.state->kind == Kind::keep_state || rule.state->kind == Kind::limit))
        return &rule.state->name;
    return nullptr;
}

std::string protocol_text(unsigned protocol) {
    return language::NameDatabase::instance()
        .protocol_name(static_cast<std::uint8_t>(protocol))
        .value_or("proto " + std::to_string(protocol));
}

std::string flow_text(const SlowFlow& flow) {
    return protocol_text(flow.protocol) + " " + plain_address_text(flow.source) + " " +
           std::to_string(flow.source_port) + " <-> " + plain_address_text(flow.destination) + " " +
           std::to_string(flow.destination_port);
}

// `00100 3 180`
std::string line_start(unsigned number, std::uint64_t packets, std::uint64_t bytes) {
    const std::string digits = std::to_string(number);
    return std::string(5 - digits.size(), '0') + digits + " " + std::to_string(packets) + " " +
           std::to_string(bytes);
}

// As the answers of the real engine show it.
constexpr unsigned kMaximumTees = 32;

constexpr std::size_t kCallStack = 16;
// Ours: the original would go on for hours, and takes any number of tags.
constexpr unsigned kMaximumCalls = 1024;
constexpr std::size_t kMaximumTags = 64;

// In the original `untag` and `return` are a negated `tag` and `call`. If the action part of a rule
// begins with one, and a packet hits a state of the rule, the negation is taken for that of the
// look-up: so the rule does nothing.
bool loses_packets_of_its_states(const Rule& rule) {
    if (rule.log)
        return false;
    return rule.tag ? rule.tag->kind == Tag::Kind::untag : rule.action.kind == ActionKind::return_;
}

}  // namespace

struct SlowEngine::Walk {
    SlowPacket packet;
    const packet::Passage& passage;
    std::uint64_t sequence;
    SlowOutcome outcome;
    // Names that were looked for, and whether any name was.
    std::set<std::string> looked_for = {};
    bool looked_for_any = false;
    unsigned tees = 0;
    unsigned calls = 0;
    SlowMarks marks = {};
    std::uint32_t table_argument = 0;  // of the rule that is looked at
    Frame frame = {};
    SlowPacket came_as = {};  // or was put together to
};

SlowEngine::SlowEngine(std::vector<Rule> rules, bool default_accept,
                       const packet::Environment& environment, const contract::Sysctls& sysctls,
                       Draw draw, std::uint32_t disabled_sets)
    : rules_(std::move(rules)),
      environment_(environment),
      sysctls_(sysctls),
      draw_(draw),
      disabled_sets_(disabled_sets),
      states_(sysctls) {
    Rule last;
    last.number = kDefaultRuleNumber;
    last.set = 31;  // which cannot be disabled
    last.action.kind = default_accept ? ActionKind::allow : ActionKind::deny;
    rules_.push_back(last);
    // For the log, which knows numbers only.
    for (Rule& rule : rules_)
        for (const Rule& other : rules_)
            if (!rule.action.label.empty() && other.label == rule.action.label)
                rule.action.argument.value = other.number;
    counters_.resize(rules_.size());
    logged_.resize(rules_.size());
}

bool SlowEngine::wins_chance(const Walk& walk, std::size_t index) const {
    const Rule& rule = rules_[index];
    return !rule.probability || draw_(walk.sequence, index) < *rule.probability * 2147483648.0;
}

bool SlowEngine::tests_match(Walk& walk, std::size_t index) const {
    const Rule& rule = rules_[index];
    const Situation situation{walk.packet, walk.passage, environment_,       walk.marks,
                              tables_,     rule.number,  walk.table_argument};
    if (rule.body) {
        const Body& body = *rule.body;
        if (!group_matches(situation, body.protocol) || !group_matches(situation, body.source) ||
            !group_matches(situation, body.destination))
            return false;
        if (body.source_ports && !term_matches(situation, *body.source_ports))
            return false;
        if (body.destination_ports && !term_matches(situation, *body.destination_ports))
            return false;
    }
    return std::all_of(rule.options.begin(), rule.options.end(),
                       [&](const Group& group) { return group_matches(situation, group); });
}

void SlowEngine::count(const Walk& walk, std::size_t index) {
    const SlowPacket& packet = walk.packet;
    counters_[index].packets += 1;
    counters_[index].bytes += packet.version != 0 ? packet.ip.size() : packet.link_payload;
}

// `rule` is null for packets that no rule saw.
void SlowEngine::write_log(Walk& walk, const Rule* rule, std::uint32_t limit,
                           std::uint32_t& logged) {
    // `logdst` is independent of the sysctl.
    const bool wanted =
        sysctls_.verbose != 0 || (rule != nullptr && rule->log && !rule->log->destinations.empty());
    if (!wanted || (limit != 0 && logged >= limit))
        return;
    ++logged;
    walk.outcome.log.push_back(log_text(walk.packet, walk.passage, environment_, rule));
    if (limit != 0 && logged == limit)
        walk.outcome.log.push_back("ipfw: limit " + std::to_string(limit) + " reached on entry " +
                                   (rule != nullptr ? std::to_string(rule->number) : "-1"));
}

// What was looked for once is not looked for again, and after `:any` nothing is: so a walk ends,
// although a state may send it back.
std::optional<SlowStates::Found> SlowEngine::look_up_once(Walk& walk, const std::string& name) {
    if (walk.packet.version == 0 || walk.looked_for_any || !walk.looked_for.insert(name).second)
        return std::nullopt;
    walk.looked_for_any = name.empty();
    states_.forget(walk.packet, name, [this](std::size_t rule) { return is_over(rule); });
    return states_.look_up(walk.packet, name);
}

// False: there must be a state and there is no room for it. The packet goes no further.
bool SlowEngine::makes_state(Walk& walk, std::size_t index) {
    const Rule& rule = rules_[index];
    if (walk.packet.version == 0)
        return true;
    states_.forget(walk.packet, rule.state->name, [this](std::size_t i) { return is_over(i); });
    StateOption option = *rule.state;
    if (option.limit.from_table)
        option.limit.value = as_number(walk.table_argument);
    const SlowStates::Made made = states_.make(walk.packet, option, index);
    if (made == SlowStates::Made::yes || made == SlowStates::Made::there_already)
        return true;
    // The original says that the table is full whether verbose or not.
    const bool goes_on = made == SlowStates::Made::table_full && sysctls_.dyn_full_pass != 0 &&
                         option.kind != StateOption::Kind::limit &&
                         option.kind != StateOption::Kind::set_limit;
    if ((made == SlowStates::Made::limit_reached && sysctls_.verbose == 0) ||
        last_complaint_s_ == states_.uptime_s())
        return goes_on;
    last_complaint_s_ = states_.uptime_s();
    if (made == SlowStates::Made::table_full) {
        walk.outcome.log.push_back(
            "ipfw: Cannot allocate dynamic state, consider increasing net.inet.ip.fw.dyn_max");
    } else {
        const SlowFlow flow = flow_of(walk.packet);
        walk.outcome.log.push_back(
            "ipfw: " + std::to_string(rule.number) + " drop session type 40 " +
            plain_address_text(flow.source) + " " + std::to_string(flow.source_port) + " -> " +
            plain_address_text(flow.destination) + " " + std::to_string(flow.destination_port) +
            ", " + std::to_string(states_.states().size() + states_.parents().size()) +
            " too many entries");
    }
    return goes_on;
}

SlowOutcome SlowEngine::pass(std::span<const std::byte> frame, const packet::Passage& passage,
                             std::uint64_t sequence, std::uint64_t time_ms) {
    states_.advance_to(time_ms);
    now_ms_ = time_ms;
    reassembly_.advance_to(states_.uptime_s());
    Walk walk{decode(frame, decode_settings()), passage, sequence, {}};
    walk.frame.assign(frame.begin(), frame.end());
    walk.came_as = walk.packet;
    SlowOutcome outcome = judge(walk);
    outcome.marks = marks_text(walk.came_as, walk.packet, walk.marks);
    return outcome;
}

DecodeSettings SlowEngine::decode_settings() const {
    return {.deny_unknown_extension_headers = sysctls_.deny_unknown_exthdrs != 0,
            .permit_single_fragment6 = sysctls_.permit_single_frag6 != 0};
}

bool SlowEngine::is_over(std::size_t index) const {
    return rules_[index].expires_s && now_ms_ >= *rules_[index].expires_s * std::uint64_t{1000};
}

// Where a skipto or call goes on. A label is one rule, a number the first rule that has it or a
// higher one.
std::size_t SlowEngine::jump_target(const Rule& rule) const {
    if (!rule.action.label.empty())
        for (std::size_t i = 0; i < rules_.size(); ++i)
            if (rules_[i].label == rule.action.label)
                return i;
    // A skipto does not go back: a target that is not above the own number stands for the next.
    const unsigned number = rule.action.kind == ActionKind::call
                                ? rule.action.argument.value
                                : std::max<unsigned>(rule.action.argument.value, rule.number + 1u);
    return first_rule_from(number);
}

// The default rule has the highest number there is.
std::size_t SlowEngine::first_rule_from(unsigned number) const {
    std::size_t i = 0;
    while (i + 1 < rules_.size() && rules_[i].number < number)
        ++i;
    return i;
}

void SlowEngine::complain_of_calls(Walk& walk) {
    if (last_call_complaint_s_ == states_.uptime_s())
        return;
    last_call_complaint_s_ = states_.uptime_s();
    walk.outcome.log.push_back("ipfw: call stack error, go to next rule");
}

SlowOutcome SlowEngine::judge(Walk& walk) {
    SlowOutcome& outcome = walk.outcome;
    const packet::Passage& passage = walk.passage;
    const SlowPacket& packet = walk.packet;
    // `enable` is 0: the firewall is not there at all.
    if ((packet.version == 6 ? sysctls_.enable6 : sysctls_.enable) == 0) {
        outcome.verdict = "accept";
        outcome.rule_number = 0;
        return outcome;
    }
    if (packet.fate != SlowPacket::Fate::judged) {
        outcome.verdict = "deny";
        outcome.rule_number = -1;
        if (packet.fate == SlowPacket::Fate::refused)
            write_log(walk, nullptr, sysctls_.verbose_limit, logged_refused_);
        else if (sysctls_.verbose != 0)
            outcome.log.push_back("ipfw: pullup failed");
        return outcome;
    }
    // A bridge must not cut ARP off because of rules written for IP: there, what is not IP is
    // judged by rules that speak of frames alone, and passes if none of them ends the walk.
    const bool frames_only = packet.version == 0 && passage.entry == Entry::bridge;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const Rule& visited = rules_[i];
        if ((disabled_sets_ >> visited.set & 1) != 0)
            continue;
        if (frames_only && !names_link_layer(visited))
            continue;
        if (is_over(i))
            continue;
        if (!wins_chance(walk, i))
            continue;
        walk.table_argument = 0;
        std::optional<SlowStates::Found> found;
        if (const std::string* name = name_to_look_for(visited))
            found = look_up_once(walk, *name);
        if (found) {
            // The rule that made the state acts, and the walk goes on from there.
            i = found->state->rule;
            if (loses_packets_of_its_states(rules_[i]))
                continue;
        } else {
            if (visited.action.kind == ActionKind::check_state || !tests_match(walk, i))
                continue;
            if (visited.state && !makes_state(walk, i)) {
                count(walk, i);
                outcome.verdict += "deny";
                outcome.rule_number = visited.number;
                return outcome;
            }
            if (visited.defer != Defer::none)
                continue;
        }
        Rule rule = rules_[i];
        put_in(rule.action, walk.table_argument, packet.version);
        if (rule.tag && rule.tag->number.from_table)
            rule.tag->number.value = as_number(walk.table_argument);
        if (rule.tag && rule.tag->number.value == 0)
            rule.tag.reset();
        if (rule.log)
            write_log(walk, &rule, rule.log->amount.value_or(sysctls_.verbose_limit), logged_[i]);
        if (rule.tag && rule.tag->kind == Tag::Kind::untag)
            walk.marks.tags.erase(rule.tag->number.value);
        if (rule.tag && rule.tag->kind == Tag::Kind::tag) {
            walk.marks.tags.insert(rule.tag->number.value);
            if (walk.marks.tags.size() > kMaximumTags) {
                walk.marks.tags.erase(rule.tag->number.value);
                count(walk, i);
                outcome.verdict += "deny";
                outcome.rule_number = rule.number;
                return outcome;
            }
        }
        if (passage.entry == Entry::layer2 && needs_ip_layer(rule.action.kind))
            continue;
        if ((rule.action.kind == ActionKind::setdscp || rule.action.kind == ActionKind::divert ||
             rule.action.kind == ActionKind::tee) &&
            packet.version == 0)
            continue;
        if (rule.action.kind == ActionKind::reass &&
            (packet.version != 4 || passage.entry == Entry::layer2))
            continue;
        if (rule.action.kind == ActionKind::call && walk.marks.callers.size() == kCallStack) {
            complain_of_calls(walk);
            continue;
        }
        if (rule.action.kind == ActionKind::return_ && walk.marks.callers.empty())
            continue;
        count(walk, i);
        switch (rule.action.kind) {
            case ActionKind::count:
                break;
            case ActionKind::reass: {
                if (packet.fragment_offset == 0 && !packet.more_fragments)
                    break;
                // The original counts a fragment when it meets the rule, and when it is kept.
                count(walk, i);
                const std::string number = std::to_string(rule.number);
                const auto result = reassembly_.add(walk.frame, packet, passage.receive_interface,
                                                    states_.uptime_s());
                outcome.rule_number = rule.number;
                if (!result.whole) {
                    // What rules have changed has been changed, and is no news any more.
                    walk.came_as = walk.packet;
                    outcome.verdict += result.refused ? "deny" : "reass";
                    return outcome;
                }
                outcome.verdict += "reass@" + number + ">";
                walk.frame = *result.whole;
                walk.packet = walk.came_as = decode(walk.frame, decode_settings());
                if (packet.fate != SlowPacket::Fate::judged) {
                    outcome.verdict += "deny";
                    outcome.rule_number = -1;
                    return outcome;
                }
                walk.looked_for.clear();
                walk.looked_for_any = false;
                break;
            }
            case ActionKind::setdscp:
                set_dscp(walk.packet, rule.action.argument.value);
                break;
            case ActionKind::tcp_setmss:
                lower_mss(walk.packet, rule.action.argument.value);
                break;
            case ActionKind::setfib:
                walk.marks.fib = rule.action.argument.value;
                break;
            case ActionKind::setmark:
                walk.marks.mark = rule.action.argument.value;
                break;
            case ActionKind::call:
                if (walk.calls++ == kMaximumCalls) {
                    outcome.verdict += "deny";
                    outcome.rule_number = rule.number;
                    return outcome;
                }
                walk.marks.callers.push_back(rule.number);
                i = jump_target(rule) - 1;
                break;
            case ActionKind::return_:
                i = first_rule_from(walk.marks.callers.back() + 1) - 1;
                walk.marks.callers.pop_back();
                break;
            case ActionKind::tee:
                // A state may lead back here again and again.
                if (++walk.tees == kMaximumTees) {
                    outcome.verdict += "deny";
                    outcome.rule_number = rule.number;
                    return outcome;
                }
                outcome.verdict += "tee:" + std::to_string(rule.action.argument.value) + "@" +
                                   std::to_string(rule.number) + ">";
                // Behind the tee begins a new walk, in which states are looked for again.
                walk.looked_for.clear();
                walk.looked_for_any = false;
                break;
            case ActionKind::skipto:
                i = jump_target(rule) - 1;
                break;
            case ActionKind::fwd:
                // What comes back needs no other way.
                outcome.verdict += found && found->reverse ? "accept" : final_verdict(rule.action);
                outcome.rule_number = rule.number;
                return outcome;
            default:
                outcome.verdict += final_verdict(rule.action);
                outcome.rule_number = rule.number;
                return outcome;
        }
    }
    outcome.verdict += "accept";
    outcome.rule_number = 0;
    return outcome;
}

std::vector<std::string> SlowEngine::state_lines() const {
    std::vector<std::string> lines;
    for (const SlowState& state : states_.states())
        lines.push_back(line_start(rules_[state.rule].number, state.packets, state.bytes) + " (" +
                        std::to_string(state.expires_s - states_.uptime_s()) + "s) " +
                        (state.parent != nullptr ? "LIMIT " : "STATE ") + flow_text(state.flow) +
                        " :" + state.name);
    for (const SlowParent& parent : states_.parents())
        lines.push_back(line_start(rules_[parent.rule].number, 0, 0) + " PARENT " +
                        std::to_string(parent.children) + " " + flow_text(parent.key) + " :" +
                        rules_[parent.rule].state->name);
    std::sort(lines.begin(), lines.end());
    return lines;
}

}  // namespace sluice::reference
