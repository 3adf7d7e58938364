// The lines of `ipfw list` and `ipfw show`, byte for byte: number, counters, time of the last
// match, set, rule.
//
// Counters are right aligned to the widest of the whole listing, one blank behind each. A rule that
// never matched shows blanks of the width of a date, or 0 with raw times. Nothing here knows where
// the numbers come from: the command line and `ipfw replay` both use it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sluice::ruleset {

struct ListedRule {
    std::uint16_t number = 0;
    std::uint8_t set = 0;
    std::string text;  // as print_rule writes it
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_match_s = 0;  // seconds since 1970, 0: never
    bool operator==(const ListedRule&) const = default;
};

struct ListingOptions {
    bool counters = false;        // -a, and the command `show`
    bool timestamps = false;      // -t
    bool raw_timestamps = false;  // -T, which wins over -t
    bool sets = false;            // -S
};

struct CounterWidths {
    int packets = 0;
    int bytes = 0;
};

CounterWidths counter_widths(std::span<const ListedRule> rules);

// Without a line feed.
std::string format_rule(const ListedRule& rule, const ListingOptions& options,
                        CounterWidths widths);

// One line per rule, each with a line feed.
std::string format_listing(std::span<const ListedRule> rules, const ListingOptions& options);

}  // namespace sluice::ruleset
