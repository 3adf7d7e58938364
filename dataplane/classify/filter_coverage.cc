#include "dataplane/classify/filter_coverage.h"

#include <algorithm>

namespace sluice::classify {

namespace {

constexpr Interval kAll{0, Forest::kFilterIndices - 1};

// Mixed indices of neighbours are not neighbours, so in IPv6 short prefixes are put down word by
// word. Beyond so many of all boxes together the filter would be full anyway.
constexpr std::size_t kMostWords = Forest::kFilterIndices / 2;

// False: there are too many.
bool append_words(const Interval& words, Family family, Coverage& parts) {
    if (words.last - words.first >= kMostWords - std::min(parts.size(), kMostWords))
        return false;
    for (std::uint32_t word = words.first;; ++word) {
        const std::uint32_t index = Forest::filter_index(family, word);
        parts.push_back({index, index});
        if (word == words.last)
            return true;
    }
}

}  // namespace

Coverage coverage_of(const Items& items, Family family, unsigned where) {
    Coverage parts;
    parts.reserve(items.size());
    for (const Item* item : items) {
        const Interval& words = item->box->lanes[where];
        if (family != Family::v6)
            parts.push_back({Forest::filter_index(family, words.first),
                             Forest::filter_index(family, words.last)});
        else if (!append_words(words, family, parts))
            return {kAll};
    }
    std::sort(parts.begin(), parts.end(),
              [](const Interval& a, const Interval& b) { return a.first < b.first; });
    Coverage apart;
    for (const Interval& part : parts) {
        if (!apart.empty() && part.first <= apart.back().last + 1)
            apart.back().last = std::max(apart.back().last, part.last);
        else
            apart.push_back(part);
    }
    return apart;
}

bool contains(const Coverage& coverage, std::uint32_t index) {
    const auto behind = std::upper_bound(
        coverage.begin(), coverage.end(), index,
        [](std::uint32_t value, const Interval& part) { return value < part.first; });
    return behind != coverage.begin() && index <= std::prev(behind)->last;
}

void fill_filter(std::vector<std::uint8_t>& filter, const Coverage& coverage, unsigned tree) {
    for (const Interval& part : coverage)
        for (std::uint32_t i = part.first; i <= part.last; ++i)
            filter[i / 2] |=
                static_cast<std::uint8_t>(1u << (tree + i % 2 * Forest::kMaximumTrees));
}

}  // namespace sluice::classify
