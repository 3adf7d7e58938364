#include "dataplane/classify/segments.h"

#include <algorithm>

namespace sluice::classify {

namespace {

using contract::RuleAction;
using contract::RuleRecord;

// A jump to the number that the packet's table entry says.
bool may_jump_anywhere(const RuleRecord& rule) {
    return (rule.flags & contract::rule_flag::table_argument) != 0 &&
           (rule.action == RuleAction::skipto || rule.action == RuleAction::call);
}

}  // namespace

std::vector<std::uint32_t> segments_of(const contract::SnapshotView& view) {
    const auto live = view.rules();
    const auto all = view.all_rules();
    const bool anywhere = std::any_of(all.begin(), all.end(), may_jump_anywhere);
    std::vector<std::uint32_t> begins(live.size(), anywhere ? 1 : 0);  // 1: a segment begins here
    const auto begin_at = [&](std::size_t index) {
        if (index < begins.size())
            begins[index] = 1;
    };
    const auto behind_number = [&](unsigned number) {
        const auto behind = std::upper_bound(
            live.begin(), live.end(), number,
            [](unsigned wanted, const RuleRecord& other) { return wanted < other.number; });
        return static_cast<std::size_t>(behind - live.begin());
    };
    for (std::size_t i = 0; i < live.size(); ++i) {
        const RuleRecord& rule = live[i];
        if (rule.action == RuleAction::skipto || rule.action == RuleAction::call)
            begin_at(rule.target);
        // Where a packet comes back: from a program, or from the rules that were called.
        if (rule.action == RuleAction::divert || rule.action == RuleAction::tee ||
            rule.action == RuleAction::call || rule.action == RuleAction::reass) {
            begin_at(i + 1);
            begin_at(behind_number(rule.number));
        }
        // A packet that hits a state may go on behind the rule that made it: if the action says so,
        // or past the action, as ipfw does with some rules that write tags.
        if (rule.state != contract::StateOption::none &&
            (!ends_the_walk(rule.action) || rule.writes_tags()))
            begin_at(i + 1);
    }
    for (const RuleRecord& rule : all.subspan(live.size())) {
        begin_at(rule.target);
        begin_at(behind_number(rule.number));
    }
    std::uint32_t segment = 0;
    for (std::uint32_t& entry : begins)
        entry = segment += entry;
    return begins;
}

}  // namespace sluice::classify
