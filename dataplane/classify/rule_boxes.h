// The header tests of a rule as boxes: for each lane of the key a first and a last value.
//
// Lists and alternatives give several boxes; what a box cannot express exactly (an address mask
// with gaps, `iplen`, TCP options, alternatives of fields that have no lane) widens it and marks it
// unverified: then the rule's tests are run on the packets that it lets through.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "dataplane/classify/attributes.h"
#include "dataplane/classify/header_key.h"
#include "dataplane/classify/header_tests.h"
#include "dataplane/contract/snapshot_view.h"

namespace sluice::classify {

struct Interval {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool operator==(const Interval&) const = default;
};

// Values that a lane can have.
inline constexpr std::uint32_t kFullLane = 0xffffffff;

struct Box {
    std::array<Interval, lane::boxed> lanes;
    std::array<Condition, kDomains> conditions{};  // by domain; 0: none
    std::uint32_t rule = 0;
    // A match ends the list: the rule's action does, for every packet of the family.
    bool terminal = false;
    bool unverified = false;
    // The lanes alone say all that the conditions say.
    bool lanes_suffice = true;
};

// A list that would need more boxes is only narrowed down to a few, and verified; so is any list
// once the rules together have used up what they may have beyond a box each.
inline constexpr std::size_t kMaximumBoxes = 256;
constexpr std::size_t boxes_to_spare(std::size_t rules) {
    return 4 * rules + 65536;
}

class BoxMaker {
  public:
    // All must outlive it.
    BoxMaker(const contract::SnapshotView& view, const packet::Environment& environment,
             const HeaderTests& tests, Family family, Conditions& conditions);

    // Appends the boxes of the rule with that index. None: no packet of the family can match it.
    void append_boxes(std::uint32_t rule, std::vector<Box>& boxes);

  private:
    // Intervals of some lanes that follow each other, one of which a packet must be in. There is
    // mostly one.
    using LaneIntervals = std::array<Interval, 4>;
    class Alternatives {
      public:
        void push_back(const LaneIntervals& next) {
            if (size_++ == 0)
                first_ = next;
            else
                others_.push_back(next);
        }
        std::size_t size() const { return size_; }
        bool empty() const { return size_ == 0; }
        const LaneIntervals& operator[](std::size_t i) const {
            return i == 0 ? first_ : others_[i - 1];
        }

      private:
        std::size_t size_ = 0;
        LaneIntervals first_{};
        std::vector<LaneIntervals> others_;
    };
    // What one test asks: values of one domain, or intervals of lanes, or both (a port test asks
    // for a packet with ports as well).
    struct Demand {
        enum class Kind : std::uint8_t { always, never, values, intervals, unknown };
        Kind kind = Kind::unknown;
        bool exact = true;  // nothing else passes
        Domain domain = Domain::count_;
        ValueSet values{};
        unsigned lane = 0;
        unsigned lanes = 1;  // 4: an IPv6 address
        Alternatives intervals{};
    };
    // A box while the tests of its rule are being added.
    struct Partial {
        std::array<Interval, lane::boxed> lanes;
        std::uint32_t domains = 0;  // bit d: `values` of domain d counts
        std::array<ValueSet, kDomains> values;
        bool unverified = false;
    };

    const Demand& values_demand(const contract::Instruction& test, Domain domain);
    Demand networks_demand(const contract::Instruction& test, unsigned lane) const;
    Demand networks6_demand(const contract::Instruction& test, unsigned lane) const;
    Demand set_demand(const contract::Instruction& test, unsigned lane) const;
    void append_port_demands(const contract::Instruction& test, unsigned lane);
    void merge_demands();
    bool belongs_elsewhere(std::span<const contract::Instruction> tests) const;
    static bool restrict_values(const Demand& demand, Partial& partial);
    static bool restrict_lanes(const Demand& demand, std::size_t alternative, Partial& partial);
    bool apply(const Demand& demand, const Partial& partial, std::vector<Partial>& result);
    std::optional<Demand> coarse_demand(std::size_t most) const;
    void narrow_down();
    static void apply_alone(const Demand& demand, std::vector<Partial>& partials);
    void find_demands(std::span<const contract::Instruction> block);
    // What a set of values of a domain is in a box.
    struct Restriction {
        ValueSet values{};
        Interval interval{};
        bool in_lane = false;  // the interval says all
        std::optional<Condition> condition;
    };
    const Restriction& restriction_of(Domain domain, const ValueSet& values);
    Box finish(const Partial& partial, const contract::RuleRecord& rule, std::uint32_t index);

    const contract::SnapshotView& view_;
    const packet::Environment& environment_;
    const HeaderTests& tests_;
    const Family family_;
    std::size_t spare_boxes_;
    std::size_t most_boxes_ = kMaximumBoxes;  // of the rule that is being made
    Conditions& conditions_;
    // Sets of values by the test that they belong to: rules say the same over and over.
    using TestBytes = std::array<std::uint64_t, 2>;
    static_assert(sizeof(TestBytes) == sizeof(contract::Instruction));
    struct HashTest {
        std::size_t operator()(const TestBytes& bytes) const {
            return (bytes[0] ^ bytes[1] * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu >> 7;
        }
    };
    std::unordered_map<TestBytes, Demand, HashTest> known_;
    // Of the block and the rule that are being looked at.
    std::vector<Demand> demands_;
    std::vector<Partial> partials_, next_partials_;
    // By domain, the last one: neighbours are often alike.
    std::array<std::optional<Restriction>, kDomains> last_restrictions_;
    std::array<ValueSet, kDomains> all_values_;
};

}  // namespace sluice::classify
