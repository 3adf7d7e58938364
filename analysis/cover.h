// Whether the regions of some rules together cover another one.
//
// The region is cut by one cover after the other; a piece that none is left for is the proof that
// it is not covered. That is exact, and the number of pieces is bounded: what needs more steps is
// not decided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "analysis/region.h"

namespace sluice::analysis {

// A region of a rule, and at hand what tells most regions apart.
struct Candidate {
    const Region* region = nullptr;
    std::uint32_t rule = 0;
    Interval source, destination, destination_port;

    Candidate(const Region& of, std::uint32_t of_rule)
        : region(&of),
          rule(of_rule),
          source(of.lanes[lane::source]),
          destination(of.lanes[lane::destination]),
          destination_port(of.lanes[lane::destination_port]) {}
    bool is_apart(const Candidate& other) const {
        const auto apart = [](const Interval& a, const Interval& b) {
            return a.first > b.last || b.first > a.last;
        };
        return apart(source, other.source) || apart(destination, other.destination) ||
               apart(destination_port, other.destination_port);
    }
};

enum class Decision : std::uint8_t { yes, no, too_many_steps };

struct Covering {
    Decision decision = Decision::no;
    std::vector<std::uint32_t> rules;  // yes: that it takes, ascending
};

inline constexpr std::size_t kMaximumSteps = 5000;
inline constexpr std::size_t kMaximumPieces = 20000;

// Candidates that surely have nothing in common with the region should not be among them.
Covering covering(const Space& space, const Region& region, std::span<const Candidate> candidates);

// What of the regions is not covered; none: that takes too many steps.
std::optional<std::vector<Region>> rest_of(const Space& space, std::vector<Region> regions,
                                           std::span<const Candidate> candidates);

}  // namespace sluice::analysis
