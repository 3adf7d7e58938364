// The header tests of a rule as regions.
//
// What a test of a small field means is not said here: it is run on sample packets
// (classify/attributes.h), as for the search trees. `me` is a field of its own, apart from the
// addresses, and interfaces are literals, since nobody knows them offline; so are tests that no box
// can say (`mac`, TCP options, masks with gaps). Regions are exact but for that.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/region.h"
#include "dataplane/classify/header_tests.h"
#include "dataplane/contract/snapshot_view.h"

namespace sluice::analysis {

// A rule with more of them is not looked at.
inline constexpr std::size_t kMaximumRegions = 512;

class RuleRegions {
  public:
    // All must outlive it.
    RuleRegions(const contract::SnapshotView& view, Family family, Vocabulary& vocabulary);

    // What the header tests of a live rule let through, without what no rule can judge: empty, if
    // nothing. None: that would be too many regions.
    std::optional<std::vector<Region>> of(std::uint32_t rule);

    const Space& space() const { return space_; }

  private:
    using Block = std::vector<Region>;  // alternatives

    bool append(const contract::Instruction& test, Block& block);
    bool append_address(const contract::Instruction& test, Block& block);
    void append_networks(const contract::Instruction& test, unsigned where, Block& positive);
    void append_networks6(const contract::Instruction& test, unsigned where, Block& positive);
    bool append_ports(const contract::Instruction& test, unsigned where, Block& block);
    bool append_number(const contract::Instruction& test, unsigned where, const Region& condition,
                       std::span<const Interval> intervals, Block& block);
    void append_literal(const contract::Instruction& test, Literal literal, const Region& condition,
                        Block& block);
    // Everything that is in none of `positive`. False: too many regions.
    bool append_complement(const Block& positive, Block& block) const;
    const ValueSet& values_of(const contract::Instruction& test, Domain domain);
    std::vector<Interval> ranges_of(const contract::Instruction& test) const;
    Literal literal_of(const contract::Instruction& test);
    static void merge(Block& block);

    const contract::SnapshotView& view_;
    packet::Environment environment_;  // of a machine with one address of each version
    classify::LocalAddresses local_;
    classify::HeaderTests tests_;
    Family family_;
    Vocabulary& vocabulary_;
    Space space_;
    std::map<std::string, ValueSet> known_values_;
};

}  // namespace sluice::analysis
