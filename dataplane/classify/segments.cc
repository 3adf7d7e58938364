#include "dataplane/classify/segments.h"

#include <algorithm>

namespace sluice::classify {

namespace {

using contract::RuleAction;
using contract::RuleRecord;

bool lets_the_walk_go_on(const RuleRecord& rule) {
    switch (rule.action) {
        case RuleAction::allow:
        case RuleAction::deny:
        case RuleAction::unreach:
        case RuleAction::unreach6:
        case RuleAction::reset:
        case RuleAction::reset6:
            return false;
        default:
            return true;
    }
}

}  // namespace

std::vector<std::uint32_t> segments_of(const contract::SnapshotView& view) {
    const auto live = view.rules();
    std::vector<std::uint32_t> begins(live.size());  // 1: a segment begins here
    const auto begin_at = [&](std::size_t index) {
        if (index < begins.size())
            begins[index] = 1;
    };
    const auto behind_number = [&](std::size_t index, std::uint16_t number) {
        while (index < live.size() && live[index].number == number)
            ++index;
        return index;
    };
    for (std::size_t i = 0; i < live.size(); ++i) {
        const RuleRecord& rule = live[i];
        if (rule.action == RuleAction::skipto)
            begin_at(rule.target);
        if (rule.action == RuleAction::divert || rule.action == RuleAction::tee) {
            begin_at(i + 1);
            begin_at(behind_number(i, rule.number));
        }
        // A packet that hits a state goes on behind the rule that made it.
        if (rule.state != contract::StateOption::none && lets_the_walk_go_on(rule))
            begin_at(i + 1);
    }
    for (const RuleRecord& rule : view.all_rules().subspan(live.size())) {
        begin_at(rule.target);
        if (rule.action == RuleAction::divert)
            begin_at(behind_number(rule.target, rule.number));
    }
    std::uint32_t segment = 0;
    for (std::uint32_t& entry : begins)
        entry = segment += entry;
    return begins;
}

}  // namespace sluice::classify
