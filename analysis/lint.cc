#include "analysis/lint.h"

#include <algorithm>
#include <set>

#include "analysis/linted_rules.h"
#include "controlplane/language/warnings.h"

namespace sluice::analysis {
namespace {

using contract::RuleAction;
using contract::RuleRecord;
using Index = LintedRules::Index;

constexpr std::string_view kNever = "this can never match: ";

std::vector<std::size_t> places_of(const LintedRules& rules, const std::set<Index>& indices) {
    std::vector<std::size_t> places;
    for (const Index index : indices)
        places.push_back(rules.place(index));
    return places;
}

// What the language says against a rule that cannot match; empty: nothing.
std::string reason_of(const language::Rule& rule) {
    std::string reason;
    for (const std::string& warning : language::warnings(rule))
        if (warning.starts_with(kNever))
            reason += (reason.empty() ? "" : "; ") + warning.substr(kNever.size());
    return reason;
}

// Whether the states that a rule looks for have been looked for when a walk comes to it: by a rule
// of its segment that never forgoes that.
bool looks_in_vain(const LintedRules& rules, Index rule) {
    const RuleRecord& asked = rules.record(rule);
    for (Index i = rules.segment_begin(rule); i < rule; ++i) {
        const RuleRecord& earlier = rules.record(i);
        if (rules.looks_for_states(i) && earlier.residual_count == 0 &&
            (earlier.state_name == asked.state_name ||
             earlier.state_name == contract::kAnyStateName))
            return true;
    }
    return false;
}

class ShadowPass {
  public:
    ShadowPass(const LintedRules& rules, LintReport& report) : rules_(rules), report_(report) {}

    std::vector<bool> run() {
        for (Index rule = 0; rule + 1 < rules_.size(); ++rule)
            look_at(rule);
        return shadowed_;
    }

  private:
    void look_at(Index rule) {
        if (rules_.record(rule).action == RuleAction::check_state)
            return;  // it matches nothing by itself
        if (rules_.has_too_many_regions(rule)) {
            undecided(rule, "it has too many alternatives");
            return;
        }
        if (rules_.is_empty(rule)) {
            const std::string reason = reason_of(rules_.rule(rule));
            shadowed_[rule] = true;
            report_.findings.push_back(
                {FindingKind::never_matching,
                 rules_.place(rule),
                 {},
                 0,
                 reason.empty() ? "its tests contradict each other" : reason});
            return;
        }
        if (rules_.looks_for_states(rule) && !looks_in_vain(rules_, rule))
            return;
        std::set<Index> covers;
        switch (is_covered(rule, covers)) {
            case Decision::no:
                return;
            case Decision::too_many_steps:
                undecided(rule, "what earlier rules leave of it has too many pieces");
                return;
            case Decision::yes:
                break;
        }
        shadowed_[rule] = true;
        report_.findings.push_back(
            {FindingKind::shadowed, rules_.place(rule), places_of(rules_, covers), 0, {}});
        if (covers.size() == 1 && says_the_opposite(rule, *covers.begin()))
            report_.findings.push_back(
                {FindingKind::contradicting, rules_.place(rule), places_of(rules_, covers), 0, {}});
    }

    // Whether two rules that decide about the same packets disagree.
    bool says_the_opposite(Index rule, Index cover) const {
        return rules_.decides(rule) && rules_.passes(rule) != rules_.passes(cover) &&
               rules_.covered(cover, rule) == Decision::yes;
    }

    Decision is_covered(Index rule, std::set<Index>& covers) const {
        Decision all = Decision::yes;
        for (const Family family : LintedRules::kFamilies)
            for (const Region& region : *rules_.regions(family, rule)) {
                const auto earlier =
                    rules_.candidates(family, region, rules_.segment_begin(rule), rule,
                                      [&](Index other) { return !shadowed_[other]; });
                const Covering found = covering(rules_.space(family), region, earlier);
                if (found.decision == Decision::no)
                    return Decision::no;
                if (found.decision == Decision::too_many_steps)
                    all = Decision::too_many_steps;
                covers.insert(found.rules.begin(), found.rules.end());
            }
        return all;
    }

    void undecided(Index rule, std::string why) {
        report_.undecided.push_back({rules_.place(rule), std::move(why)});
    }

    const LintedRules& rules_;
    LintReport& report_;
    std::vector<bool> shadowed_ = std::vector<bool>(rules_.size());
};

// ---- Redundant ---------------------------------------------------------------------------------

bool same_action(const RuleRecord& a, const RuleRecord& b) {
    constexpr auto kReject = contract::rule_flag::reject;
    return a.action == b.action && a.action_number == b.action_number && a.mtu == b.mtu &&
           (a.flags & kReject) == (b.flags & kReject);
}

// Whether deciding is all that the rule does, but for counting.
bool only_decides(const LintedRules& rules, Index rule) {
    const RuleRecord& record = rules.record(rule);
    return rules.decides(rule) && record.state == contract::StateOption::none &&
           !record.writes_tags() &&
           (record.flags & (contract::rule_flag::log | contract::rule_flag::probe)) == 0;
}

// What decides about the packets of a rule if it is not there.
class Successors {
  public:
    Successors(const LintedRules& rules, const std::vector<bool>& shadowed, Index rule)
        : rules_(rules), shadowed_(shadowed), rule_(rule) {}

    // Whether it is the same all over; what decides is in `covers` then.
    Decision decide_alike(std::set<Index>& covers) {
        for (const Family family : LintedRules::kFamilies) {
            rest_ = *rules_.regions(family, rule_);
            Decision decision = Decision::yes;
            if (!rest_.empty())
                rules_.visit_behind(family, rule_, [&](Index next) {
                    decision = pass(family, next, covers);
                    return decision == Decision::yes && !rest_.empty();
                });
            if (decision != Decision::yes)
                return decision;
            if (!rest_.empty())
                return Decision::no;
        }
        return Decision::yes;
    }

  private:
    // Takes off what the next rule decides as this one does. No: it does something else to some.
    Decision pass(Family family, Index next, std::set<Index>& covers) {
        if (rules_.looks_for_states(next))
            return Decision::no;
        const auto& regions = rules_.regions(family, next);
        if (!regions)
            return Decision::too_many_steps;
        const Space& space = rules_.space(family);
        std::vector<Region> left;
        bool meets = false;
        for (const Region& region : *regions)
            meets = meets || std::any_of(rest_.begin(), rest_.end(), [&](const Region& piece) {
                        return space.may_overlap(piece, region);
                    });
        if (!meets)
            return Decision::yes;
        if (!only_decides(rules_, next) || !same_action(rules_.record(rule_), rules_.record(next)))
            return Decision::no;
        // One that is shadowed as it stands is not worth naming: what covers it is told of.
        if (shadowed_[next])
            return Decision::yes;
        for (const Region& region : *regions) {
            left.clear();
            for (const Region& piece : rest_)
                space.subtract(piece, region, left);
            std::swap(rest_, left);
            if ((steps_ += rest_.size()) > kMaximumPieces)
                return Decision::too_many_steps;
        }
        covers.insert(next);
        return Decision::yes;
    }

    const LintedRules& rules_;
    const std::vector<bool>& shadowed_;
    Index rule_;
    std::vector<Region> rest_;
    std::size_t steps_ = 0;
};

// Those of the successors that it takes.
std::set<Index> needed_of(const LintedRules& rules, Index rule, const std::set<Index>& covers) {
    std::set<Index> needed;
    for (const Family family : LintedRules::kFamilies)
        for (const Region& region : *rules.regions(family, rule)) {
            const auto later =
                rules.candidates(family, region, rule + 1, static_cast<Index>(rules.size()),
                                 [&](Index other) { return covers.contains(other); });
            const Covering found = covering(rules.space(family), region, later);
            if (found.decision != Decision::yes)
                return covers;
            needed.insert(found.rules.begin(), found.rules.end());
        }
    return needed;
}

}  // namespace

const char* name_of(FindingKind kind) {
    switch (kind) {
        case FindingKind::never_matching:
            return "never matching";
        case FindingKind::shadowed:
            return "shadowed";
        case FindingKind::redundant:
            return "redundant";
        case FindingKind::contradicting:
            return "contradicting";
        case FindingKind::missing_ipv6_twin:
            return "missing IPv6 twin";
        case FindingKind::encrypted_payload:
            return "encrypted payload";
        case FindingKind::stream_without_states:
            return "stream without states";
    }
    return "";
}

void find_redundant(const LintedRules& rules, const std::vector<bool>& shadowed,
                    LintReport& report) {
    for (Index rule = 0; rule + 1 < rules.size(); ++rule) {
        // A rule with a label may be jumped to.
        if (shadowed[rule] || !only_decides(rules, rule) || !rules.rule(rule).label.empty() ||
            rules.has_too_many_regions(rule))
            continue;
        std::set<Index> covers;
        const Decision decision = Successors(rules, shadowed, rule).decide_alike(covers);
        if (decision == Decision::yes)
            report.findings.push_back({FindingKind::redundant,
                                       rules.place(rule),
                                       places_of(rules, needed_of(rules, rule, covers)),
                                       0,
                                       {}});
        else if (decision == Decision::too_many_steps)
            report.undecided.push_back(
                {rules.place(rule), "what later rules leave of it has too many pieces"});
    }
}

Result<LintReport> lint(const ruleset::Ruleset& ruleset, DefaultRule default_rule,
                        Crossing crossing) {
    const auto rules = LintedRules::create(ruleset, default_rule);
    if (!rules)
        return rules.error();
    LintReport report;
    const std::vector<bool> shadowed = ShadowPass(**rules, report).run();
    find_redundant(**rules, shadowed, report);
    find_contradicting(**rules, shadowed, crossing, report);
    find_missing_twins(**rules, shadowed, report);
    find_blind_payload(**rules, ruleset.patterns(), report);
    std::stable_sort(report.findings.begin(), report.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.rule < b.rule; });
    std::stable_sort(report.undecided.begin(), report.undecided.end(),
                     [](const Undecided& a, const Undecided& b) { return a.rule < b.rule; });
    return report;
}

}  // namespace sluice::analysis
