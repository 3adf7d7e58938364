#include "controlplane/compiler/compile.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "controlplane/compiler/image.h"
#include "controlplane/compiler/support.h"
#include "controlplane/compiler/tests.h"
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
        case ActionKind::divert:
            return act(RuleAction::divert, action.argument.value);
        case ActionKind::tee:
            return act(RuleAction::tee, action.argument.value);
        case ActionKind::fwd:
            set_next_hop(action.next_hop, record);
            return act(RuleAction::fwd);
        default:
            return Error{
                ExitStatus::software,
                "the compiler was given an action that it does not carry out; this is a bug"};
    }
}

// Where a skipto goes on: at the first rule numbered `target` or higher. It never goes back: a
// target at or below the own number stands for the number after it, so siblings of equal number are
// skipped, as the real engine does. The default rule always exists.
void resolve_skiptos(std::vector<RuleRecord>& rules) {
    for (RuleRecord& rule : rules) {
        if (rule.action != RuleAction::skipto)
            continue;
        const unsigned number = std::max<unsigned>(rule.action_number, rule.number + 1u);
        const auto found = std::lower_bound(
            rules.begin(), rules.end(), number,
            [](const RuleRecord& other, unsigned wanted) { return other.number < wanted; });
        rule.target = static_cast<std::uint32_t>(found - rules.begin());
    }
}

void set_text(const std::string& text, Sections& sections, RuleRecord& record) {
    record.text_offset = static_cast<std::uint32_t>(sections.text.size());
    record.text_length = static_cast<std::uint32_t>(text.size());
    sections.text += text;
}

Result<RuleRecord> compile_rule(const RuleInput& input, Sections& sections) {
    const language::Rule& rule = *input.rule;
    RuleRecord record;
    record.number = rule.number;
    record.set = rule.set;
    record.slot = input.slot;
    record.log_limit = input.log_limit;
    if (rule.log)
        record.flags |= contract::rule_flag::log;
    if (Result<Done> action = set_action(rule.action, record); !action)
        return action.error();
    if (Result<Done> tests = compile_tests(rule, sections, record); !tests)
        return tests.error();
    set_text(language::print_rule(rule), sections, record);
    return record;
}

RuleRecord default_rule(const Input& input, Sections& sections) {
    RuleRecord record;
    record.number = language::kDefaultRuleNumber;
    record.slot = input.default_slot;
    record.action = input.default_accept ? RuleAction::allow : RuleAction::deny;
    set_text(input.default_accept ? "allow ip from any to any" : "deny ip from any to any",
             sections, record);
    return record;
}

}  // namespace

Result<std::vector<std::byte>> compile(const Input& input) {
    Sections sections;
    sections.rules.reserve(input.rules.size() + 1);
    for (const RuleInput& rule : input.rules) {
        if (auto why = unsupported(*rule.rule))
            return Error{ExitStatus::unavailable, *why};
        Result<RuleRecord> record = compile_rule(rule, sections);
        if (!record)
            return record.error();
        sections.rules.push_back(*record);
    }
    sections.rules.push_back(default_rule(input, sections));
    resolve_skiptos(sections.rules);

    contract::SnapshotHeader header;
    header.generation = input.generation;
    header.sysctls = input.sysctls;
    std::vector<std::byte> image = lay_out(header, sections);
    if (image.size() > contract::kSnapshotMaximumSize)
        return Error{ExitStatus::unavailable, "the ruleset compiles to " +
                                                  std::to_string(image.size()) +
                                                  " bytes; the data plane takes at most " +
                                                  std::to_string(contract::kSnapshotMaximumSize)};
    return image;
}

}  // namespace sluice::compiler
