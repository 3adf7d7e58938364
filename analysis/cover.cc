#include "analysis/cover.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sluice::analysis {
namespace {

// A piece, and the first candidate that has not been held against it.
struct Pending {
    Region piece;
    std::size_t next = 0;
};

Covering cut(const Space& space, const Region& region, std::span<const Candidate> candidates) {
    std::vector<Pending> pending;
    pending.push_back({region, 0});
    std::set<std::uint32_t> rules;
    std::vector<Region> pieces;
    std::size_t steps = 0;
    while (!pending.empty()) {
        Pending at = std::move(pending.back());
        pending.pop_back();
        while (at.next < candidates.size() &&
               !space.may_overlap(at.piece, *candidates[at.next].region))
            ++at.next;
        if (at.next == candidates.size())
            return {Decision::no, {}};
        if (++steps > kMaximumSteps || pending.size() > kMaximumPieces)
            return {Decision::too_many_steps, {}};
        rules.insert(candidates[at.next].rule);
        pieces.clear();
        space.subtract(at.piece, *candidates[at.next].region, pieces);
        for (Region& piece : pieces)
            pending.push_back({std::move(piece), at.next + 1});
    }
    return {Decision::yes, {rules.begin(), rules.end()}};
}

std::vector<Candidate> without(std::span<const Candidate> candidates, std::uint32_t rule) {
    std::vector<Candidate> result;
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(result),
                 [&](const Candidate& candidate) { return candidate.rule != rule; });
    return result;
}

}  // namespace

Covering covering(const Space& space, const Region& region, std::span<const Candidate> candidates) {
    for (const Candidate& candidate : candidates)
        if (space.covers(*candidate.region, region))
            return {Decision::yes, {candidate.rule}};
    Covering result = cut(space, region, candidates);
    if (result.decision != Decision::yes)
        return result;
    // Those that only cut what others cover are not worth naming.
    constexpr std::size_t kWorthTrying = 16;
    std::vector<Candidate> needed;
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(needed),
                 [&](const Candidate& candidate) {
                     return std::binary_search(result.rules.begin(), result.rules.end(),
                                               candidate.rule);
                 });
    if (result.rules.size() > kWorthTrying)
        return result;
    for (const std::uint32_t rule : std::vector(result.rules)) {
        std::vector<Candidate> fewer = without(needed, rule);
        Covering by_fewer = cut(space, region, fewer);
        if (by_fewer.decision != Decision::yes)
            continue;
        needed = std::move(fewer);
        result = std::move(by_fewer);
    }
    return result;
}

std::optional<std::vector<Region>> rest_of(const Space& space, std::vector<Region> regions,
                                           std::span<const Candidate> candidates) {
    std::vector<Region> next;
    std::size_t steps = 0;
    for (const Candidate& candidate : candidates) {
        next.clear();
        for (const Region& region : regions)
            space.subtract(region, *candidate.region, next);
        std::swap(regions, next);
        steps += regions.size();
        if (steps > kMaximumPieces)
            return std::nullopt;
    }
    return regions;
}

}  // namespace sluice::analysis
