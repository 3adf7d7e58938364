#include "controlplane/service/script.h"

#include <cstring>
#include <unordered_set>

#include "controlplane/compiler/support.h"
#include "controlplane/ruleset/canonical_text.h"
#include "dataplane/contract/annotations.h"

namespace sluice::service {
namespace {

using ruleset::ListedRule;
using ruleset::RulePointer;
using ruleset::Ruleset;
using ruleset::StoredRule;

constexpr language::RuleRange kAllRules{0, language::kDefaultRuleNumber};

class Script {
  public:
    Script(const Ruleset& current, const CounterReader& counters)
        : outcome_{.ruleset = current, .changed = false, .clear = {}, .results = {}},
          counters_(counters) {}

    // Each operation has an overload. An error ends the script; what only deserves a complaint and
    // a status goes into the result.
    Result<OperationResult> operator()(const AddOperation& add) {
        Result<language::Rule, language::ParseError> rule = ruleset::parse_canonical(add.rule);
        if (!rule)
            return rule.error().to_error();
        if (const auto reason = compiler::unsupported(*rule))
            return Error{ExitStatus::unavailable, *reason};
        const Result<RulePointer> added = outcome_.ruleset.add(std::move(*rule));
        if (!added)
            return added.error();
        outcome_.changed = true;
        OperationResult result;
        result.rules.push_back(listed(**added));
        return result;
    }

    Result<OperationResult> operator()(const language::DeleteCommand& remove) {
        OperationResult result;
        for (const std::uint8_t set : remove.sets)
            if (!deleted(outcome_.ruleset.remove_set(set)))
                complain(result, "no rules in set " + std::to_string(set));
        for (const language::RuleRange& range : remove.rules) {
            if (deleted(outcome_.ruleset.remove(range, remove.in_set)))
                continue;
            if (range.first == language::kDefaultRuleNumber)
                complain(result, "rule 65535 is the default rule: it cannot be deleted");
            else if (range.first == range.last)
                complain(result, "rule " + std::to_string(range.first) + " not found");
            else
                complain(result, "no rules in range " + std::to_string(range.first) + "-" +
                                     std::to_string(range.last));
        }
        return result;
    }

    Result<OperationResult> operator()(const language::FlushCommand& flush) {
        deleted(flush.in_set ? outcome_.ruleset.remove_set(*flush.in_set)
                             : outcome_.ruleset.flush());
        OperationResult result;
        result.lines.push_back("Flushed all rules.");
        return result;
    }

    Result<OperationResult> operator()(const language::ZeroCommand& zero) {
        OperationResult result;
        if (zero.rules.empty()) {
            for (const RulePointer& rule : outcome_.ruleset.find(kAllRules, zero.in_set))
                // Set 31 is spared unless it is named.
                if (zero.in_set || rule->rule.set != ruleset::kReservedSet)
                    clear(*rule, zero.log_only);
            if (!zero.in_set)  // packets dropped before any rule have a log limit too
                outcome_.clear.push_back({contract::kBogusSlot, true});
            result.lines.push_back(zero.log_only ? "Logging counts reset." : "Accounting cleared.");
        }
        for (const std::uint16_t number : zero.rules) {
            const auto rules = outcome_.ruleset.find({number, number}, zero.in_set);
            for (const RulePointer& rule : rules)
                clear(*rule, zero.log_only);
            const std::string entry = "Entry " + std::to_string(number);
            if (rules.empty())
                complain(result, entry + " not found");
            else
                result.lines.push_back(entry +
                                       (zero.log_only ? " logging count reset." : " cleared."));
        }
        return result;
    }

    Result<OperationResult> operator()(const ListOperation& list) {
        OperationResult result;
        if (list.rules.empty()) {
            take(result, outcome_.ruleset.find(kAllRules, list.in_set));
            return result;
        }
        for (const language::RuleRange& range : list.rules) {
            const auto rules = outcome_.ruleset.find(range, list.in_set);
            if (rules.empty())
                complain(result, range.first == range.last
                                     ? "rule " + std::to_string(range.first) + " does not exist"
                                     : "no rules in range " + std::to_string(range.first) + "-" +
                                           std::to_string(range.last));
            take(result, rules);
        }
        return result;
    }

    Result<OperationResult> operator()(const ReadSysctlOperation& read) {
        OperationResult result;
        const auto facts = outcome_.ruleset.sysctl_facts();
        if (read.names.empty())
            for (auto& value : ruleset::all_sysctls(outcome_.ruleset.sysctls(), facts))
                result.sysctls.push_back({std::move(value.name), value.value, std::nullopt});
        for (const std::string& name : read.names) {
            const Result<std::uint32_t> value =
                ruleset::read_sysctl(outcome_.ruleset.sysctls(), facts, name);
            if (!value)
                return value.error();
            result.sysctls.push_back({name, *value, std::nullopt});
        }
        return result;
    }

    Result<OperationResult> operator()(const WriteSysctlOperation& write) {
        contract::Sysctls& sysctls = outcome_.ruleset.sysctls();
        const contract::Sysctls before = sysctls;
        const Result<Done> written = ruleset::write_sysctl(sysctls, write.name, write.value);
        if (!written)
            return written.error();
        if (std::memcmp(&before, &sysctls, sizeof before) != 0)
            outcome_.changed = true;
        const auto facts = outcome_.ruleset.sysctl_facts();
        const Result<std::uint32_t> old_value = ruleset::read_sysctl(before, facts, write.name);
        const Result<std::uint32_t> new_value = ruleset::read_sysctl(sysctls, facts, write.name);
        if (!old_value || !new_value)
            return Error{ExitStatus::software, "sysctl " + write.name + " cannot be read back"};
        OperationResult result;
        result.sysctls.push_back({write.name, *new_value, *old_value});
        return result;
    }

    ScriptOutcome outcome_;

  private:
    bool deleted(std::size_t count) {
        outcome_.changed |= count != 0;
        return count != 0;
    }

    static void complain(OperationResult& result, std::string text) {
        result.status = ExitStatus::unavailable;
        result.complaints.push_back(std::move(text));
    }

    void clear(const StoredRule& rule, bool log_only) {
        outcome_.clear.push_back({rule.slot, log_only});
        if (!log_only)
            cleared_.insert(rule.slot);
    }

    // As the rule will look when the script has taken effect: new and cleared rules show zeros.
    ListedRule listed(const StoredRule& rule) {
        if (fresh_seen_ != outcome_.ruleset.fresh_slots().size()) {
            const auto& fresh = outcome_.ruleset.fresh_slots();
            for (; fresh_seen_ < fresh.size(); ++fresh_seen_)
                cleared_.insert(fresh[fresh_seen_]);
        }
        const RuleTotals totals =
            cleared_.contains(rule.slot) ? RuleTotals{} : counters_(rule.slot);
        return {.number = rule.rule.number,
                .set = rule.rule.set,
                .text = rule.text,
                .packets = totals.packets,
                .bytes = totals.bytes,
                .last_match_s = totals.last_match_s};
    }

    void take(OperationResult& result, const std::vector<RulePointer>& rules) {
        for (const RulePointer& rule : rules)
            result.rules.push_back(listed(*rule));
    }

    const CounterReader& counters_;
    std::unordered_set<std::uint32_t> cleared_;
    std::size_t fresh_seen_ = 0;
};

}  // namespace

Result<ScriptOutcome, ScriptError> run_script(const Request& request, const Ruleset& current,
                                              const CounterReader& counters) {
    Script script(current, counters);
    for (const Operation& operation : request.operations) {
        Result<OperationResult> result = std::visit(script, operation.what);
        if (!result)
            return ScriptError{operation.line, result.error()};
        if (operation.forgive)
            result->status = ExitStatus::ok;
        if (request.whole && result->status != ExitStatus::ok)
            return ScriptError{
                operation.line,
                {result->status,
                 result->complaints.empty() ? "refused" : result->complaints.front()}};
        script.outcome_.results.push_back(std::move(*result));
    }
    return std::move(script.outcome_);
}

}  // namespace sluice::service
