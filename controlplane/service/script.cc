#include "controlplane/service/script.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <unordered_set>

#include "controlplane/compiler/support.h"
#include "controlplane/ruleset/canonical_text.h"
#include "controlplane/ruleset/state_listing.h"
#include "controlplane/service/pattern_work.h"
#include "dataplane/contract/annotations.h"

namespace sluice::service {
namespace {

using ruleset::ListedRule;
using ruleset::RulePointer;
using ruleset::Ruleset;
using ruleset::StoredRule;

constexpr language::RuleRange kAllRules{0, language::kDefaultRuleNumber};

bool contains(const language::RuleRange& range, std::uint16_t number) {
    return number >= range.first && number <= range.last;
}

contract::StateFilter contract_filter(const StateFilter& filter) {
    contract::StateFilter result;
    if (filter.address) {
        if (const auto* v4 = std::get_if<Ipv4>(&*filter.address)) {
            result.ip_version = 4;
            std::memcpy(result.address.bytes.data(), v4, sizeof *v4);
        } else {
            result.ip_version = 6;
            result.address = std::get<Ipv6>(*filter.address);
        }
        result.prefix_length = filter.prefix_length;
    }
    result.has_protocol = filter.protocol ? 1 : 0;
    result.protocol = filter.protocol.value_or(0);
    result.port = filter.port;
    if (filter.rules && filter.rules->first == filter.rules->last)
        result.rule_number = filter.rules->first;
    result.minimum_age_s = filter.minimum_age_s;
    if (!filter.name.empty())
        result.name = contract::state_name_id(filter.name);
    return result;
}

// To kill all of none is all right; whoever names something expects it to be there.
std::string nothing_found(const StateFilter& filter) {
    if (filter == StateFilter())
        return {};
    const StateFilter only_rules{.address = {},
                                 .prefix_length = 0,
                                 .protocol = {},
                                 .port = 0,
                                 .rules = filter.rules,
                                 .name = {},
                                 .minimum_age_s = 0};
    if (!(filter == only_rules))
        return "no such states";
    return filter.rules->first == filter.rules->last
               ? "no dynamic rules of rule " + std::to_string(filter.rules->first)
               : "no dynamic rules of rules " + std::to_string(filter.rules->first) + "-" +
                     std::to_string(filter.rules->last);
}

Error too_many() {
    return {ExitStatus::unavailable,
            "more than " + std::to_string(kMaximumListedStates) +
                " states are too many for one answer; `ipfw state list` with a "
                "filter shows some of them, `ipfw state count` counts them"};
}

class Script {
  public:
    Script(const Ruleset& current, const CounterReader& counters, const DataplaneStates& states)
        : outcome_{.ruleset = current,
                   .changed = false,
                   .clear = {},
                   .kills = {},
                   .tables = {},
                   .results = {}},
          counters_(counters),
          states_(states) {}

    // The ruleset shall be what follows and nothing else.
    void begin(const ApplyOrder& order) {
        // Whoever is judged must be there for it.
        const bool all_survive =
            order.states == KeptStates::all || order.states == KeptStates::judged_anew;
        outcome_.ruleset.clear(all_survive ? Ruleset::Survivors::states
                                           : Ruleset::Survivors::as_usual);
        outcome_.changed = true;
        if (order.states == KeptStates::judged_anew)
            outcome_.kills.push_back({.result = KillOrder::kNoResult,
                                      .filters = {},
                                      .complaint = {},
                                      .forgive = true,
                                      .what = KillOrder::What::judge_anew});
        if (order.states == KeptStates::none)
            outcome_.kills.push_back({.result = KillOrder::kNoResult,
                                      .filters = {contract::StateFilter()},
                                      .complaint = {},
                                      .forgive = true});
    }

    // Each operation has an overload. An error ends the script; what only deserves a complaint and
    // a status goes into the result.
    Result<OperationResult> operator()(const AddOperation& add) {
        OperationResult result;
        std::string_view rest = add.rules;
        for (;; ++line) {
            const std::size_t end = std::min(rest.find('\n'), rest.size());
            // A rule that stands alone and says nothing is a mistake.
            if (end != 0 || add.rules.empty())
                if (const Result<Done> added = add_rule(rest.substr(0, end), result); !added)
                    return added.error();
            if (end == rest.size())
                return result;
            rest.remove_prefix(end + 1);
        }
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
        if (list.states != ListedStates::none)
            if (const Result<Done> taken = take_states(result, list); !taken)
                return taken.error();
        if (list.without_rules)
            return result;
        if (list.rules.empty()) {
            take(result, outcome_.ruleset.find(kAllRules, list.in_set), list);
            return result;
        }
        for (const language::RuleRange& range : list.rules) {
            const auto rules = outcome_.ruleset.find(range, list.in_set);
            if (rules.empty())
                complain(result, range.first == range.last
                                     ? "rule " + std::to_string(range.first) + " does not exist"
                                     : "no rules in range " + std::to_string(range.first) + "-" +
                                           std::to_string(range.last));
            take(result, rules, list);
        }
        return result;
    }

    Result<OperationResult> operator()(const ShowSetsOperation&) {
        OperationResult result;
        result.disabled_sets = outcome_.ruleset.disabled_sets();
        return result;
    }

    // The controller asks the data plane; nothing that runs a script by itself has one.
    Result<OperationResult> operator()(const TraceOperation&) {
        return Error{ExitStatus::unavailable, "a trace of the running rules needs the data plane"};
    }

    // The daemon itself answers these.
    Result<OperationResult> operator()(const FollowOperation&) {
        return Error{ExitStatus::unavailable, "there is nothing to follow without a daemon"};
    }
    Result<OperationResult> operator()(const StatusOperation&) {
        return Error{ExitStatus::unavailable, "there is no daemon of which a status could be told"};
    }

    Result<OperationResult> operator()(const ShowCostOperation&) {
        OperationResult result;
        result.cost = states_.cost;
        return result;
    }

    Result<OperationResult> operator()(const language::SetEnableCommand& sets) {
        outcome_.changed |= outcome_.ruleset.switch_sets(sets.enable, sets.disable);
        return OperationResult{};
    }

    Result<OperationResult> operator()(const language::SetMoveCommand& move) {
        OperationResult result;
        if (!move.by_rule) {
            outcome_.changed |=
                outcome_.ruleset.move_set(static_cast<std::uint8_t>(move.what), move.to) != 0;
            return result;
        }
        const bool moved = outcome_.ruleset.move_rules(move.what, move.to) != 0;
        outcome_.changed |= moved;
        if (!moved)
            complain(result, move.what == language::kDefaultRuleNumber
                                 ? "rule 65535 is the default rule: it cannot be moved"
                                 : "rule " + std::to_string(move.what) + " not found");
        return result;
    }

    Result<OperationResult> operator()(const language::SetSwapCommand& swap) {
        outcome_.changed |= outcome_.ruleset.swap_sets(swap.first, swap.second) != 0;
        return OperationResult{};
    }

    Result<OperationResult> operator()(const StateOperation& states) {
        OperationResult result;
        if (states.kind == StateOperation::Kind::kill) {
            result.state_count = 0;
            outcome_.kills.push_back({.result = outcome_.results.size(),
                                      .filters = kill_filters(states.filter),
                                      .complaint = nothing_found(states.filter),
                                      .forgive = forgive});
            return result;
        }
        if (states.kind == StateOperation::Kind::count) {
            result.state_count = states_.count;
            return result;
        }
        if (states_.records.size() > kMaximumListedStates)
            return too_many();
        Result<std::vector<ruleset::ListedState>> listed =
            ruleset::list_states(states_.records, outcome_.ruleset, ruleset::ExpiredStates::hide);
        if (!listed)
            return listed.error();
        result.states = std::move(*listed);
        return result;
    }

    // Those are the data plane's; a request that has one does not come here.
    Result<OperationResult> operator()(const SafetyOperation&) {
        return Error{ExitStatus::unavailable, "there is no data plane that could be told"};
    }

    // The controller answers these itself.
    Result<OperationResult> operator()(const HistoryOperation&) {
        return Error{ExitStatus::unavailable, "there is no history"};
    }
    Result<OperationResult> operator()(const RollbackOperation&) {
        return Error{ExitStatus::unavailable, "there is no history"};
    }

    Result<OperationResult> operator()(const ReadSysctlOperation& read) {
        OperationResult result;
        const auto facts = outcome_.ruleset.sysctl_facts(states_.facts);
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
        const Result<Done> written =
            ruleset::write_sysctl(sysctls, write.name, write.value, states_.facts);
        if (!written)
            return written.error();
        const std::size_t tables = std::as_const(outcome_.ruleset).tables().all().size();
        if (sysctls.tables_max < before.tables_max && sysctls.tables_max < tables)
            return Error{ExitStatus::unavailable, "sysctl " + write.name + " cannot be " +
                                                      std::to_string(sysctls.tables_max) +
                                                      ": there are " + std::to_string(tables) +
                                                      " tables; destroy some first"};
        if (std::memcmp(&before, &sysctls, sizeof before) != 0)
            outcome_.changed = true;
        if (before.dyn_keep_states != 0 && sysctls.dyn_keep_states == 0)
            outcome_.ruleset.release_orphans([](const StoredRule&) { return true; });
        const auto facts = outcome_.ruleset.sysctl_facts(states_.facts);
        const Result<std::uint32_t> old_value = ruleset::read_sysctl(before, facts, write.name);
        const Result<std::uint32_t> new_value = ruleset::read_sysctl(sysctls, facts, write.name);
        if (!old_value || !new_value)
            return Error{ExitStatus::software, "sysctl " + write.name + " cannot be read back"};
        OperationResult result;
        result.sysctls.push_back({write.name, *new_value, *old_value});
        return result;
    }

    Result<OperationResult> operator()(const TableOperation& table) {
        OperationResult result;
        if (const Result<Done> added =
                outcome_.tables.add(table, line, outcome_.results.size(), outcome_.ruleset, result);
            !added) {
            if (outcome_.tables.failed_line() != 0)
                line = outcome_.tables.failed_line();
            return added.error();
        }
        return result;
    }

    Result<OperationResult> operator()(const PatternOperation& operation) {
        OperationResult result;
        PatternWork work(outcome_.ruleset);
        const Result<Done> done = work.carry_out(operation, result);
        outcome_.changed |= work.has_changed();
        if (work.failed_line() != 0)
            line = work.failed_line();
        if (!done)
            return done.error();
        return result;
    }

    ScriptOutcome outcome_;
    // Of the operation that is being carried out; where it fails, the line that is to blame.
    bool forgive = false;
    std::uint32_t line = 0;
    bool brief = false;  // of the request

  private:
    Result<Done> add_rule(std::string_view text, OperationResult& result) {
        const Result<RulePointer> added = added_rule(text);
        if (!added)
            return added.error();
        for (const contract::TableDescriptor& table : outcome_.ruleset.tables().take_made())
            outcome_.tables.create(table);
        outcome_.changed = true;
        if (!brief)
            result.rules.push_back(listed(**added));
        return Done{};
    }

    // A file that is loaded anew has mostly the rules that it had before: they need not be read.
    Result<RulePointer> added_rule(std::string_view text) {
        if (const auto parts = ruleset::split_canonical(text)) {
            Result<RulePointer> again =
                outcome_.ruleset.add_again(parts->number, parts->set, parts->text);
            if (!again || *again)
                return again;
        }
        Result<language::Rule, language::ParseError> rule = ruleset::parse_canonical(text);
        if (!rule)
            return rule.error().to_error();
        if (const auto reason = compiler::unsupported(*rule))
            return Error{ExitStatus::unavailable, *reason};
        return outcome_.ruleset.add(std::move(*rule));
    }

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

    void take(OperationResult& result, const std::vector<RulePointer>& rules,
              const ListOperation& list) {
        for (const RulePointer& rule : rules) {
            result.rules.push_back(listed(*rule));
            result.rules.back().disabled = outcome_.ruleset.is_disabled(*rule);
            if (list.with_since)
                result.rules.back().since_s = counters_(rule->slot).since_s;
        }
    }

    Result<Done> take_states(OperationResult& result, const ListOperation& list) {
        if (states_.records.size() > kMaximumListedStates)
            return too_many();
        Result<std::vector<ruleset::ListedState>> listed = ruleset::list_states(
            states_.records, outcome_.ruleset,
            list.states == ListedStates::expired_too ? ruleset::ExpiredStates::show
                                                     : ruleset::ExpiredStates::hide,
            list.in_set);
        if (!listed)
            return listed.error();
        if (!list.rules.empty())
            std::erase_if(*listed, [&](const ruleset::ListedState& state) {
                return std::none_of(list.rules.begin(), list.rules.end(),
                                    [&](const language::RuleRange& range) {
                                        return contains(range, state.number);
                                    });
            });
        result.states = std::move(*listed);
        return Done{};
    }

    // The data plane knows single rules only: a range becomes those of its rules that make states.
    std::vector<contract::StateFilter> kill_filters(const StateFilter& filter) const {
        contract::StateFilter one = contract_filter(filter);
        if (!filter.rules || filter.rules->first == filter.rules->last)
            return {one};
        std::set<std::uint16_t> numbers;
        for (const auto& rules : {outcome_.ruleset.find(*filter.rules), outcome_.ruleset.orphans()})
            for (const RulePointer& rule : rules)
                if (rule->rule.state && contains(*filter.rules, rule->rule.number))
                    numbers.insert(rule->rule.number);
        std::vector<contract::StateFilter> filters;
        for (const std::uint16_t number : numbers) {
            one.rule_number = number;
            filters.push_back(one);
        }
        return filters;
    }

    const CounterReader& counters_;
    const DataplaneStates& states_;
    std::unordered_set<std::uint32_t> cleared_;
    std::size_t fresh_seen_ = 0;
};

}  // namespace

void KillOrder::conclude(OperationResult& counted) const {
    if (counted.state_count.value_or(0) != 0 || complaint.empty())
        return;
    counted.complaints.push_back(complaint);
    if (!forgive)
        counted.status = ExitStatus::unavailable;
}

std::optional<WantedStates> states_wanted(const Request& request) {
    const auto asks =
        std::count_if(request.operations.begin(), request.operations.end(), asks_for_states);
    if (asks == 0)
        return std::nullopt;
    if (asks > 1)
        return WantedStates();
    const Operation& operation =
        *std::find_if(request.operations.begin(), request.operations.end(), asks_for_states);
    if (const auto* states = std::get_if<StateOperation>(&operation.what))
        return WantedStates{.filter = contract_filter(states->filter),
                            .wanted = states->kind == StateOperation::Kind::count
                                          ? contract::StatesWanted::count
                                          : contract::StatesWanted::records};
    StateFilter filter;
    const auto& ranges = std::get<ListOperation>(operation.what).rules;
    if (ranges.size() == 1)
        filter.rules = ranges.front();
    return WantedStates{.filter = contract_filter(filter)};
}

Result<ScriptOutcome, ScriptError> run_script(const Request& request, const Ruleset& current,
                                              const CounterReader& counters,
                                              const DataplaneStates& states,
                                              const patterns::DatabaseSource& databases) {
    Script script(current, counters, states);
    script.outcome_.tables.as_a_whole = script.outcome_.tables.request_as_a_whole = request.whole;
    script.brief = request.brief;
    if (request.apply)
        script.begin(*request.apply);
    for (const Operation& operation : request.operations) {
        script.forgive = operation.forgive;
        script.line = operation.line;
        Result<OperationResult> result = std::visit(script, operation.what);
        if (!result)
            return ScriptError{script.line, result.error()};
        if (operation.forgive)
            result->status = ExitStatus::ok;
        if (request.whole && result->status != ExitStatus::ok)
            return ScriptError{
                script.line,
                {result->status,
                 result->complaints.empty() ? "refused" : result->complaints.front()}};
        script.outcome_.results.push_back(std::move(*result));
    }
    auto missing = script.outcome_.ruleset.complete_patterns(databases);
    if (!missing) {
        PatternProblem problem = pattern_problem(request, script.outcome_.ruleset, missing.error());
        return ScriptError{problem.line, std::move(problem.error)};
    }
    script.outcome_.missing = std::move(*missing);
    return std::move(script.outcome_);
}

}  // namespace sluice::service
