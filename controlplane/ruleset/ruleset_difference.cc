#include "controlplane/ruleset/ruleset_difference.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace sluice::ruleset {
namespace {

using Rules = std::span<const ComparedRule>;

// Takes the rules of the next number off the front.
Rules take_number(Rules& rules, std::uint16_t number) {
    std::size_t count = 0;
    while (count < rules.size() && rules[count].number == number)
        ++count;
    const Rules result = rules.first(count);
    rules = rules.subspan(count);
    return result;
}

bool comes_before(const ComparedRule* a, const ComparedRule* b) {
    return std::tie(a->set, a->text) < std::tie(b->set, b->text);
}

// By content; the same ones in their order.
std::vector<const ComparedRule*> sorted(Rules rules) {
    std::vector<const ComparedRule*> result;
    for (const ComparedRule& rule : rules)
        result.push_back(&rule);
    std::stable_sort(result.begin(), result.end(), comes_before);
    return result;
}

// Those that have no equal on the other side, in the order of the list.
std::vector<const ComparedRule*> alone(const std::vector<const ComparedRule*>& these,
                                       const std::vector<const ComparedRule*>& others) {
    std::vector<const ComparedRule*> result;
    std::set_difference(these.begin(), these.end(), others.begin(), others.end(),
                        std::back_inserter(result), comes_before);
    std::sort(result.begin(), result.end());  // they lie in one array
    return result;
}

}  // namespace

RulesetDifference difference(Rules before, Rules after) {
    RulesetDifference result;
    while (!before.empty() || !after.empty()) {
        const std::uint16_t number = before.empty() ? after.front().number
                                     : after.empty()
                                         ? before.front().number
                                         : std::min(before.front().number, after.front().number);
        const auto old_rules = sorted(take_number(before, number));
        const auto new_rules = sorted(take_number(after, number));
        const auto gone = alone(old_rules, new_rules);
        const auto fresh = alone(new_rules, old_rules);
        const std::size_t pairs = std::min(gone.size(), fresh.size());
        for (std::size_t i = 0; i < pairs; ++i)
            result.changed.push_back({*gone[i], *fresh[i]});
        for (std::size_t i = pairs; i < gone.size(); ++i)
            result.removed.push_back(*gone[i]);
        for (std::size_t i = pairs; i < fresh.size(); ++i)
            result.added.push_back(*fresh[i]);
    }
    return result;
}

std::vector<ComparedRule> compared(std::span<const RulePointer> rules) {
    std::vector<ComparedRule> result;
    result.reserve(rules.size());
    for (const RulePointer& rule : rules)
        result.push_back({.number = rule->rule.number, .set = rule->rule.set, .text = rule->text});
    return result;
}

DifferenceCounts counts(const RulesetDifference& difference) {
    return {.added = difference.added.size(),
            .removed = difference.removed.size(),
            .changed = difference.changed.size()};
}

std::string to_string(const DifferenceCounts& counts) {
    return "+" + std::to_string(counts.added) + " -" + std::to_string(counts.removed) + " ~" +
           std::to_string(counts.changed) + " rules";
}

}  // namespace sluice::ruleset
