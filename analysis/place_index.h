// Finds, among many items in an order, those whose addresses may have something in common with
// some addresses, without looking at all: most rules are about one small network on one side, and
// most of the others have nothing to do with it.
//
// An item is *narrow* on a side if its addresses there have the upper 16 bits in common; narrow
// ones are found by these, wide ones are always looked at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "analysis/region.h"

namespace sluice::analysis {

class PlaceIndex {
  public:
    // Items ascend.
    void add(const Interval& source, const Interval& destination, std::uint32_t item) {
        all_.push_back(item);
        source_.add(source, item);
        destination_.add(destination, item);
    }
    void add_wide(std::uint32_t item) { add({}, {}, item); }

    // Tells of items in [first, end), ascending, until `tell` says false.
    template <typename Tell>
    void visit(const Interval& source, const Interval& destination, std::uint32_t first,
               std::uint32_t end, Tell tell) const {
        if (is_narrow(source))
            merge(source_.narrow_with(source), source_.wide, first, end, tell);
        else if (is_narrow(destination))
            merge(destination_.narrow_with(destination), destination_.wide, first, end, tell);
        else
            merge(all_, kNothing, first, end, tell);
    }

  private:
    using Items = std::vector<std::uint32_t>;
    static inline const Items kNothing{};
    static std::uint32_t key_of(const Interval& interval) { return interval.first >> 16; }
    static bool is_narrow(const Interval& interval) {
        return interval.first >> 16 == interval.last >> 16;
    }

    struct Side {
        Items wide;
        std::unordered_map<std::uint32_t, Items> narrow;
        void add(const Interval& interval, std::uint32_t item) {
            (is_narrow(interval) ? narrow[key_of(interval)] : wide).push_back(item);
        }
        const Items& narrow_with(const Interval& interval) const {
            const auto found = narrow.find(key_of(interval));
            return found != narrow.end() ? found->second : kNothing;
        }
    };

    template <typename Tell>
    static void merge(const Items& a, const Items& b, std::uint32_t first, std::uint32_t end,
                      Tell tell) {
        auto at_a = std::lower_bound(a.begin(), a.end(), first),
             at_b = std::lower_bound(b.begin(), b.end(), first);
        while (at_a != a.end() || at_b != b.end()) {
            auto& at = at_b == b.end() || (at_a != a.end() && *at_a < *at_b) ? at_a : at_b;
            if (*at >= end || !tell(*at))
                return;
            ++at;
        }
    }

    Items all_;
    Side source_, destination_;
};

}  // namespace sluice::analysis
