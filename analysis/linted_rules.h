// What the passes of lint know of the rules: their regions, and what decides packets.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "analysis/cover.h"
#include "analysis/lint.h"
#include "analysis/place_index.h"
#include "analysis/rule_regions.h"
#include "analysis/snapshot_copy.h"

namespace sluice::analysis {

class LintedRules {
  public:
    static Result<std::unique_ptr<LintedRules>> create(const ruleset::Ruleset& rules,
                                                       DefaultRule default_rule);

    using Index = std::uint32_t;  // of a live rule
    static constexpr std::array kFamilies = {Family::v4, Family::v6, Family::other};

    // Live rules, the default rule last.
    std::size_t size() const { return records().size(); }
    std::span<const contract::RuleRecord> records() const { return snapshot_.view().rules(); }
    const contract::RuleRecord& record(Index rule) const { return records()[rule]; }
    std::string_view text(Index rule) const { return snapshot_.view().rule_text(record(rule)); }
    // Its place in the ruleset, and itself; the default rule has none.
    std::size_t place(Index rule) const { return places_[rule]; }
    const language::Rule& rule(Index rule) const { return stored_[rule]->rule; }
    bool is_default(Index rule) const { return rule + 1u == size(); }
    std::uint32_t segment(Index rule) const { return segments_[rule]; }

    const Space& space(Family family) const { return of(family).maker->space(); }
    // None: too many.
    const std::optional<std::vector<Region>>& regions(Family family, Index rule) const {
        return of(family).regions[rule];
    }
    bool has_too_many_regions(Index rule) const;
    bool is_empty(Index rule) const;  // no packet passes its header tests

    // Whether it decides about every packet that its header tests let through.
    bool decides(Index rule) const;
    bool passes(Index rule) const { return record(rule).action == contract::RuleAction::allow; }
    // Whether the walk looks for states there.
    bool looks_for_states(Index rule) const {
        return (record(rule).flags & contract::rule_flag::probe) != 0;
    }

    // The regions of the deciding rules of [first, end) for which `wanted` says yes and that are
    // not apart from the region.
    template <typename Wanted>
    std::vector<Candidate> candidates(Family family, const Region& region, Index first, Index end,
                                      Wanted wanted) const {
        std::vector<Candidate> result;
        const Candidate self(region, 0);
        const PerFamily& per_family = of(family);
        per_family.places.visit(
            self.source, self.destination, per_family.first_candidate[first],
            per_family.first_candidate[end], [&](std::uint32_t place) {
                const Candidate& candidate = per_family.deciding[place];
                if (!candidate.is_apart(self) && wanted(candidate.rule) &&
                    per_family.maker->space().may_overlap(region, *candidate.region))
                    result.push_back(candidate);
                return true;
            });
        return result;
    }
    // Tells of all rules behind one, in order and until `tell` says false, but for those that
    // surely have nothing to do with its packets.
    template <typename Tell>
    void visit_behind(Family family, Index rule, Tell tell) const {
        const PerFamily& per_family = of(family);
        const Extent extent = extent_of(*per_family.regions[rule]);
        per_family.rules.visit(extent.source, extent.destination, rule + 1,
                               static_cast<std::uint32_t>(size()), tell);
    }

    // Whether what the header tests of one rule let through another, which decides, lets through
    // as well.
    Decision covered(Index rule, Index by) const;
    const Vocabulary& vocabulary() const { return vocabulary_; }

    // The first rule of the segment of a rule.
    Index segment_begin(Index rule) const { return segment_begins_[rule]; }

  private:
    struct PerFamily {
        std::unique_ptr<RuleRegions> maker;
        std::vector<std::optional<std::vector<Region>>> regions;  // by rule
        std::vector<Candidate> deciding;                          // in the order of the rules
        std::vector<std::uint32_t> first_candidate;               // by rule, and behind the last
        PlaceIndex places;                                        // of `deciding`
        PlaceIndex rules;  // that let something through, or look for states
    };
    // What all regions of a rule lie in.
    struct Extent {
        Interval source, destination;
    };
    static Extent extent_of(const std::vector<Region>& regions);
    const PerFamily& of(Family family) const { return families_[static_cast<std::size_t>(family)]; }

    SnapshotCopy snapshot_;
    DefaultRule default_rule_ = DefaultRule::unknown;
    std::vector<ruleset::RulePointer> stored_;
    std::vector<std::size_t> places_;
    std::vector<std::uint32_t> segments_;
    std::vector<Index> segment_begins_;
    Vocabulary vocabulary_;
    std::array<PerFamily, classify::kFamilies> families_;
};

// The passes. `shadowed` by rule: what has been found so far.
void find_redundant(const LintedRules& rules, const std::vector<bool>& shadowed,
                    LintReport& report);
void find_contradicting(const LintedRules& rules, const std::vector<bool>& shadowed,
                        Crossing crossing, LintReport& report);
void find_missing_twins(const LintedRules& rules, const std::vector<bool>& shadowed,
                        LintReport& report);
void find_blind_payload(const LintedRules& rules, const ruleset::PatternCatalogue& patterns,
                        LintReport& report);

}  // namespace sluice::analysis
