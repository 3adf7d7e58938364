#include "analysis/linted_rules.h"

#include <algorithm>

#include "controlplane/compiler/compile.h"
#include "dataplane/classify/segments.h"

namespace sluice::analysis {

Result<std::unique_ptr<LintedRules>> LintedRules::create(const ruleset::Ruleset& rules,
                                                         DefaultRule default_rule) {
    // What pattern objects look for is asked by nobody here, and making databases takes its time.
    ruleset::Ruleset bare = rules;
    for (const auto& object : rules.patterns().named())
        bare.patterns().reset(object->name, object->settings);
    if (const auto complete = bare.complete_patterns(); !complete)
        return complete.error();
    const auto image = compiler::compile(bare, 1);
    if (!image)
        return image.error();
    auto snapshot = SnapshotCopy::validate(*image);
    if (!snapshot)
        return snapshot.error();
    auto result = std::make_unique<LintedRules>();
    result->snapshot_ = std::move(*snapshot);
    result->default_rule_ = default_rule;
    const auto all = rules.rules();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (rules.is_disabled(*all[i]))
            continue;
        result->stored_.push_back(all[i]);
        result->places_.push_back(i);
    }
    result->stored_.push_back(rules.default_rule());
    result->places_.push_back(all.size());
    const auto& view = result->snapshot_.view();
    if (result->stored_.size() != view.rules().size())
        return Error{ExitStatus::software, "the snapshot has other rules than the ruleset"};
    result->segments_ = classify::segments_of(view);
    for (Index rule = 0; rule < result->size(); ++rule)
        result->segment_begins_.push_back(rule != 0 && result->segments_[rule] ==
                                                           result->segments_[rule - 1]
                                              ? result->segment_begins_.back()
                                              : rule);
    for (const Family family : kFamilies) {
        PerFamily& per_family = result->families_[static_cast<std::size_t>(family)];
        per_family.maker = std::make_unique<RuleRegions>(view, family, result->vocabulary_);
        for (Index rule = 0; rule < result->size(); ++rule)
            per_family.regions.push_back(per_family.maker->of(rule));
        for (Index rule = 0; rule < result->size(); ++rule) {
            const auto place = [&] {
                return static_cast<std::uint32_t>(per_family.deciding.size());
            };
            per_family.first_candidate.push_back(place());
            const auto& regions = per_family.regions[rule];
            if (!regions || result->looks_for_states(rule)) {
                per_family.rules.add_wide(rule);
            } else if (!regions->empty()) {
                const Extent extent = extent_of(*regions);
                per_family.rules.add(extent.source, extent.destination, rule);
            }
            if (!result->decides(rule) || !regions)
                continue;
            for (const Region& region : *regions) {
                per_family.places.add(region.lanes[lane::source], region.lanes[lane::destination],
                                      place());
                per_family.deciding.emplace_back(region, rule);
            }
        }
        per_family.first_candidate.push_back(
            static_cast<std::uint32_t>(per_family.deciding.size()));
    }
    return result;
}

LintedRules::Extent LintedRules::extent_of(const std::vector<Region>& regions) {
    if (regions.empty())
        return {};
    Extent extent{regions.front().lanes[lane::source], regions.front().lanes[lane::destination]};
    const auto widen = [](Interval& interval, const Interval& with) {
        interval.first = std::min(interval.first, with.first);
        interval.last = std::max(interval.last, with.last);
    };
    for (const Region& region : regions) {
        widen(extent.source, region.lanes[lane::source]);
        widen(extent.destination, region.lanes[lane::destination]);
    }
    return extent;
}

bool LintedRules::decides(Index rule) const {
    const contract::RuleRecord& of_rule = record(rule);
    if (is_default(rule) && default_rule_ == DefaultRule::unknown)
        return false;
    return classify::ends_the_walk(of_rule.action) && of_rule.residual_count == 0 &&
           (of_rule.flags & contract::rule_flag::defer) == 0;
}

Decision LintedRules::covered(Index rule, Index by) const {
    for (const Family family : kFamilies) {
        if (!regions(family, rule) || !regions(family, by))
            return Decision::too_many_steps;
        for (const Region& region : *regions(family, rule)) {
            const Covering found =
                covering(space(family), region,
                         candidates(family, region, by, by + 1, [](Index) { return true; }));
            if (found.decision != Decision::yes)
                return found.decision;
        }
    }
    return Decision::yes;
}

bool LintedRules::has_too_many_regions(Index rule) const {
    return std::any_of(kFamilies.begin(), kFamilies.end(),
                       [&](Family family) { return !regions(family, rule); });
}

bool LintedRules::is_empty(Index rule) const {
    return std::all_of(kFamilies.begin(), kFamilies.end(), [&](Family family) {
        return regions(family, rule) && regions(family, rule)->empty();
    });
}

}  // namespace sluice::analysis
