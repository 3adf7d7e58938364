#include "controlplane/compiler/trace_text.h"

#include <cstring>
#include <unordered_map>

#include "controlplane/compiler/explain.h"
#include "controlplane/language/printer.h"
#include "dataplane/contract/drop_reason.h"

namespace sluice::compiler {
namespace {

using contract::TraceEnd;
using contract::TraceOutcome;
using contract::TraceStep;
namespace trace_flag = contract::trace_flag;

class TraceWriter {
  public:
    explicit TraceWriter(const ruleset::Ruleset& rules) {
        context_.tables = &rules.tables();
        context_.patterns = &rules.patterns();
        for (const ruleset::RulePointer& rule : rules.rules()) {
            context_.changes.add(rule->rule);
            rules_[rule->slot] = rule.get();
        }
        rules_[rules.default_rule()->slot] = rules.default_rule().get();
    }

    std::string line(const TraceStep& step) const {
        const ruleset::StoredRule* rule = find(step.slot, step.number);
        std::string text = language::print_rule_number(step.number) + " ";
        text += rule != nullptr ? rule->text : "(a rule that has gone)";
        text += "\n      " + outcome(step, rule);
        if (step.next_number != 0)
            text += "; goes on at rule " + std::to_string(step.next_number);
        return text + "\n";
    }

  private:
    const ruleset::StoredRule* find(std::uint32_t slot, std::uint16_t number) const {
        const auto found = rules_.find(slot);
        return found != rules_.end() && found->second->rule.number == number ? found->second
                                                                             : nullptr;
    }

    std::string failed_test(const TraceStep& step, const ruleset::StoredRule* rule) const {
        if (rule != nullptr) {
            const std::vector<std::string> words = test_words(rule->rule, context_);
            if (step.test < words.size())
                return words[step.test];
        }
        return "test " + std::to_string(step.test + 1);
    }

    std::string parent(const TraceStep& step) const {
        return "the state that rule " + std::to_string(step.parent_number) + " made" +
               ((step.flags & trace_flag::reverse) != 0 ? ", against its direction" : "");
    }

    std::string outcome(const TraceStep& step, const ruleset::StoredRule* rule) const {
        std::string text = (step.flags & trace_flag::looked_for_state) != 0 &&
                                   step.outcome != TraceOutcome::state_hit &&
                                   step.outcome != TraceOutcome::state_elsewhere &&
                                   step.outcome != TraceOutcome::no_state
                               ? "no state; "
                               : "";
        switch (step.outcome) {
            case TraceOutcome::test_failed:
                text += "no match: " + failed_test(step, rule);
                break;
            case TraceOutcome::no_state:
                text += "no state";
                break;
            case TraceOutcome::looked_before:
                text += "states of this name were looked for before";
                break;
            case TraceOutcome::state_hit:
                text += "hits " + parent(step) + ": its action is carried out";
                break;
            case TraceOutcome::state_elsewhere:
                text += "hits " + parent(step) + ", and goes on behind it";
                break;
            case TraceOutcome::not_for_frames:
                text +=
                    "not asked: a bridge asks only rules with layer2, MAC or mac-type about "
                    "what is not IP";
                break;
            case TraceOutcome::deferred:
                text += "match; the action waits for the next packet";
                break;
            case TraceOutcome::passed_over:
                text += "match; the action means nothing to this packet";
                break;
            case TraceOutcome::matched:
                text += "match";
                break;
            case TraceOutcome::state_refused:
                text += "match; the state cannot be made";
                break;
            case TraceOutcome::count_:
                break;
        }
        return text + notes(step);
    }

    std::string notes(const TraceStep& step) const {
        std::string text;
        if ((step.flags & trace_flag::makes_state) != 0)
            text += "; would make a state";
        if ((step.flags & trace_flag::without_state) != 0)
            text += "; there is no room for its state, and it goes on without";
        if ((step.flags & trace_flag::has_state) != 0)
            text += "; its state is there";
        if ((step.flags & trace_flag::found_entry) != 0)
            text += "; found in table(" + table_name(step.table) + "), value " +
                    std::to_string(step.table_value);
        if ((step.flags & trace_flag::logs) != 0)
            text += "; logs";
        if ((step.flags & trace_flag::by_chance) != 0)
            text += "; by chance (--prob-as)";
        return text;
    }

    std::string table_name(std::uint32_t id) const {
        for (const contract::TableDescriptor& table : context_.tables->all())
            if (table.id == id)
                return std::string(table.name, strnlen(table.name, sizeof table.name));
        return "?";
    }

    TestContext context_;
    std::unordered_map<std::uint32_t, const ruleset::StoredRule*> rules_;
};

std::string next_hop(const contract::TraceVerdict& verdict) {
    std::string text = to_string(verdict.next_hop);
    if (verdict.next_hop_family == 4) {
        Ipv4 address;
        std::memcpy(&address, verdict.next_hop.bytes.data(), sizeof address);
        text = to_string(address);
    }
    if (verdict.next_hop_port == 0)
        return text;
    if (verdict.next_hop_family == 6)
        text = "[" + text + "]";
    return text + ":" + std::to_string(verdict.next_hop_port);
}

std::string end_text(const contract::TraceVerdict& verdict) {
    const std::string argument = " " + std::to_string(verdict.argument);
    switch (static_cast<TraceEnd>(verdict.kind)) {
        case TraceEnd::accept:
            return "accept";
        case TraceEnd::deny:
            return "deny";
        case TraceEnd::unreach:
            return "unreach" + argument;
        case TraceEnd::unreach6:
            return "unreach6" + argument;
        case TraceEnd::reset:
            return "reset";
        case TraceEnd::reset6:
            return "reset6";
        case TraceEnd::abort:
            return "abort";
        case TraceEnd::abort6:
            return "abort6";
        case TraceEnd::divert:
            return "divert" + argument;
        case TraceEnd::tee:
            return "tee" + argument;
        case TraceEnd::fwd:
            return "fwd " + next_hop(verdict);
        case TraceEnd::reass:
            return "reass: waits for the rest of its datagram";
        case TraceEnd::count_:
            break;
    }
    return "deny";
}

std::string verdict_line(const contract::TraceVerdict& verdict) {
    std::string text = "verdict: " + end_text(verdict);
    if (verdict.rule_number > 0)
        text += ", by rule " + std::to_string(verdict.rule_number);
    else if (verdict.rule_number == 0)
        text += ", judged by no rule";
    else
        text += ", before any rule";
    if (verdict.reason != 0 && verdict.reason < contract::kDropReasonCount)
        text += " (" + std::string(contract::kDropReasonTexts[verdict.reason].help) + ")";
    return text + "\n";
}

const char* check_line(contract::TraceCheck check) {
    switch (check) {
        case contract::TraceCheck::agrees:
            return "";
        case contract::TraceCheck::impossible:
            return "note: a worker's engine was not asked for the same packet: a state table that "
                   "is full or small, states of one second, or the length of the way decide\n";
        case contract::TraceCheck::disagrees:
        case contract::TraceCheck::count_:
            break;
    }
    return "warning: a worker's engine judges this packet otherwise; this is a defect, please "
           "report it with the rules and the packet\n";
}

}  // namespace

std::string trace_text(const ruleset::Ruleset& rules, std::span<const contract::TraceStep> steps,
                       const contract::TraceVerdict& verdict) {
    const TraceWriter writer(rules);
    std::string text;
    for (const TraceStep& step : steps)
        text += writer.line(step);
    return text + verdict_line(verdict) + check_line(verdict.check);
}

}  // namespace sluice::compiler
