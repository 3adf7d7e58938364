#include "controlplane/compiler/rule_compiler.h"

#include <algorithm>
#include <cstring>

#include "controlplane/language/printer.h"

namespace sluice::compiler {

namespace {

using contract::RuleAction;
using contract::RuleRecord;
using language::ActionKind;

constexpr std::uint16_t kUnreachHost = 1;  // RFC 792

void set_next_hop(const language::NextHop& next_hop, RuleRecord& record) {
    record.next_hop_port = next_hop.port;
    if (const auto* v4 = std::get_if<Ipv4>(&next_hop.address)) {
        record.next_hop_family = 4;
        std::memcpy(record.next_hop.bytes.data(), v4, sizeof *v4);
    } else if (const auto* v6 = std::get_if<Ipv6>(&next_hop.address)) {
        record.next_hop_family = 6;
        record.next_hop = *v6;
    }
}

Result<Done> set_action(const language::Action& action, RuleRecord& record) {
    auto act = [&](RuleAction what, std::uint32_t number = 0) {
        record.action = what;
        record.action_number = static_cast<std::uint16_t>(number);
        return Done{};
    };
    switch (action.kind) {
        case ActionKind::allow:
            return act(RuleAction::allow);
        case ActionKind::deny:
            return act(RuleAction::deny);
        case ActionKind::count:
            return act(RuleAction::count);
        case ActionKind::skipto:
            return act(RuleAction::skipto, action.argument.value);
        case ActionKind::reject:
            record.flags |= contract::rule_flag::reject;
            return act(RuleAction::unreach, kUnreachHost);
        case ActionKind::unreach:
            record.mtu = action.mtu;
            return act(RuleAction::unreach, action.argument.value);
        case ActionKind::unreach6:
            return act(RuleAction::unreach6, action.argument.value);
        case ActionKind::reset:
            return act(RuleAction::reset);
        case ActionKind::reset6:
            return act(RuleAction::reset6);
        case ActionKind::abort:
            return act(RuleAction::abort);
        case ActionKind::abort6:
            return act(RuleAction::abort6);
        case ActionKind::divert:
            return act(RuleAction::divert, action.argument.value);
        case ActionKind::tee:
            return act(RuleAction::tee, action.argument.value);
        case ActionKind::fwd:
            set_next_hop(action.next_hop, record);
            return act(RuleAction::fwd);
        case ActionKind::check_state:
            record.state_name = action.name.empty() ? contract::kAnyStateName
                                                    : contract::state_name_id(action.name);
            record.flags |= contract::rule_flag::probe;
            return act(RuleAction::check_state);
        case ActionKind::call:
            return act(RuleAction::call, action.argument.value);
        case ActionKind::return_:
            return act(RuleAction::return_);
        case ActionKind::setfib:
            return act(RuleAction::setfib, action.argument.value);
        case ActionKind::setdscp:
            return act(RuleAction::setdscp, action.argument.value);
        case ActionKind::tcp_setmss:
            return act(RuleAction::tcp_setmss, action.argument.value);
        case ActionKind::setmark:
            record.mark = action.argument.value;
            return act(RuleAction::setmark);
        case ActionKind::reass:
            return act(RuleAction::reass);
        default:
            return Error{
                ExitStatus::software,
                "the compiler was given an action that it does not carry out; this is a bug"};
    }
}

void set_state(const language::StateOption& state, RuleRecord& record) {
    using Kind = language::StateOption::Kind;
    namespace mask = contract::limit_mask;
    const bool limited = state.kind == Kind::limit || state.kind == Kind::set_limit;
    record.state = limited ? contract::StateOption::limit : contract::StateOption::keep;
    record.state_name = contract::state_name_id(state.name);
    record.state_lifetime_s = state.lifetime_s.value_or(0);
    // record-state and set-limit only make states.
    if (state.kind == Kind::keep_state || state.kind == Kind::limit)
        record.flags |= contract::rule_flag::probe;
    if (!limited)
        return;
    record.state_limit = static_cast<std::uint16_t>(state.limit.value);
    if (state.limit.from_table) {
        record.flags |= contract::rule_flag::table_limit;
        record.state_limit = 1;
    }
    const auto part = [&](bool wanted, std::uint8_t bit) { return wanted ? bit : std::uint8_t{0}; };
    record.limit_mask =
        static_cast<std::uint8_t>(part(state.by_source, mask::source_address) |
                                  part(state.by_source_port, mask::source_port) |
                                  part(state.by_destination, mask::destination_address) |
                                  part(state.by_destination_port, mask::destination_port));
}

void set_text(const std::string& text, Sections& sections, RuleRecord& record) {
    record.text_offset = static_cast<std::uint32_t>(sections.text.size());
    record.text_length = static_cast<std::uint32_t>(text.size());
    sections.text += text;
}

}  // namespace

// ---- Rules together ----------------------------------------------------------------------------

Result<Done> StateNames::add(const std::string& name) {
    const auto [at, first] = names_.try_emplace(contract::state_name_id(name), name);
    if (first || at->second == name)
        return Done{};
    return Error{ExitStatus::data, "the state names :" + at->second + " and :" + name +
                                       " cannot be told apart; use another one of them"};
}

Result<Done> StateNames::add_all(const language::Rule& rule) {
    if (rule.state)
        return add(rule.state->name);
    if (rule.action.kind == ActionKind::check_state && !rule.action.name.empty())
        return add(rule.action.name);
    return Done{};
}

std::uint32_t jump_target(const RuleRecord& rule, const std::vector<RuleRecord>& live) {
    const unsigned number = rule.action == RuleAction::call
                                ? rule.action_number
                                : std::max<unsigned>(rule.action_number, rule.number + 1u);
    const auto found = std::lower_bound(
        live.begin(), live.end(), number,
        [](const RuleRecord& other, unsigned wanted) { return other.number < wanted; });
    return static_cast<std::uint32_t>(found - live.begin());
}

Result<Done> Labels::add(const language::Rule& rule, std::size_t place, std::size_t target) {
    if (rule.label.empty())
        return Done{};
    const auto [other, is_new] = places_.try_emplace(
        rule.label, Place{place, static_cast<std::uint32_t>(target), rule.number});
    if (is_new)
        return Done{};
    return Error{ExitStatus::data, "rules " + std::to_string(other->second.number) + " and " +
                                       std::to_string(rule.number) +
                                       " have the same label :" + rule.label};
}

Result<Done> Labels::resolve(const language::Rule& rule, std::size_t place,
                             RuleRecord& record) const {
    const std::string who = "rule " + std::to_string(rule.number);
    const auto found = places_.find(rule.action.label);
    if (found == places_.end())
        return Error{ExitStatus::data, who + " goes on at label :" + rule.action.label +
                                           ", and no rule has that label"};
    if (record.action == RuleAction::skipto && found->second.place <= place)
        return Error{ExitStatus::data,
                     who + " skips to label :" + rule.action.label + " of rule " +
                         std::to_string(found->second.number) +
                         ", which does not stand behind it; only `call` goes back"};
    record.target = found->second.target;
    record.action_number = found->second.number;
    return Done{};
}

bool jumps(const RuleRecord& rule) {
    return rule.action == RuleAction::skipto || rule.action == RuleAction::call;
}

// ---- One rule ----------------------------------------------------------------------------------

Result<RuleRecord> compile_rule(const RuleInput& input, const TestContext& context,
                                Sections& sections) {
    const language::Rule& rule = *input.rule;
    RuleRecord record;
    record.number = rule.number;
    record.set = rule.set;
    record.slot = input.slot;
    record.id = input.id != 0 ? input.id : input.slot;
    record.log_limit = input.log_limit;
    if (rule.log)
        record.flags |= contract::rule_flag::log;
    // The other destinations are refused.
    if (rule.log && !rule.log->destinations.empty())
        record.flags |= contract::rule_flag::log_syslog;
    // Both words mean the same: making the state is all that the rule does to that packet.
    if (rule.defer != language::Defer::none)
        record.flags |= contract::rule_flag::defer;
    if (rule.state)
        set_state(*rule.state, record);
    if (rule.tag) {
        record.tag = static_cast<std::uint16_t>(rule.tag->number.value);
        if (rule.tag->kind == language::Tag::Kind::untag)
            record.flags |= contract::rule_flag::untag;
        if (rule.tag->number.from_table)
            record.flags |= contract::rule_flag::table_tag;
    }
    if (Result<Done> action = set_action(rule.action, record); !action)
        return action.error();
    if (rule.action.argument.from_table ||
        (rule.action.kind == ActionKind::fwd &&
         std::holds_alternative<language::Any>(rule.action.next_hop.address)))
        record.flags |= contract::rule_flag::table_argument;
    if (Result<Done> tests = compile_tests(rule, context, sections, record); !tests)
        return tests.error();
    set_text(input.text != nullptr ? *input.text : language::print_rule(rule), sections, record);
    return record;
}

RuleRecord compile_default_rule(bool accept, std::uint32_t slot, std::uint32_t id,
                                Sections& sections) {
    RuleRecord record;
    record.id = id;
    record.number = language::kDefaultRuleNumber;
    record.slot = slot;
    record.action = accept ? RuleAction::allow : RuleAction::deny;
    set_text(accept ? "allow ip from any to any" : "deny ip from any to any", sections, record);
    return record;
}

Result<std::vector<std::byte>> checked_image(const contract::SnapshotHeader& header,
                                             const Sections& sections) {
    std::vector<std::byte> image = lay_out(header, sections);
    if (image.size() > contract::kSnapshotMaximumSize)
        return Error{ExitStatus::unavailable, "the ruleset compiles to " +
                                                  std::to_string(image.size()) +
                                                  " bytes; the data plane takes at most " +
                                                  std::to_string(contract::kSnapshotMaximumSize)};
    return image;
}

}  // namespace sluice::compiler
