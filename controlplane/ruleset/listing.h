// The lines of `ipfw list` and `ipfw show`, byte for byte: number, counters, time of the last
// match, set, rule; and, with `-d`, those of the states behind them.
//
// Counters are right aligned to the widest of the whole listing, one blank behind each. A rule that
// never matched shows blanks of the width of a date, or 0 with raw times. Rules of disabled sets
// are hidden, or marked where sets are shown. Nothing here knows where the numbers come from: the
// command line and `ipfw replay` both use it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "common/address.h"
#include "dataplane/contract/message.h"

namespace sluice::ruleset {

struct ListedRule {
    std::uint16_t number = 0;
    std::uint8_t set = 0;
    std::string text;  // as print_rule writes it
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_match_s = 0;  // seconds since 1970, 0: never
    bool disabled = false;           // its set is
    // When the counters began, since 1970. 0: nobody knows, or nobody has asked.
    std::uint64_t since_s = 0;
    bool operator==(const ListedRule&) const = default;
};

struct ListedState {
    std::uint16_t number = 0;  // of its rule
    contract::StateKind kind = contract::StateKind::state;
    std::uint8_t protocol = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint32_t expires_s = 0;  // from now; 0: its time is up
    std::uint32_t age_s = 0;
    std::uint32_t children = 0;  // kind parent: states that it counts
    std::variant<Ipv4, Ipv6> source, destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::string name;
    bool answered = false;  // a packet came back
    bool operator==(const ListedState&) const = default;
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

CounterWidths counter_widths(std::span<const ListedRule> rules,
                             std::span<const ListedState> states = {});

// Without a line feed. Empty for a rule that is hidden.
std::string format_rule(const ListedRule& rule, const ListingOptions& options,
                        CounterWidths widths);

// `00100 4 208 (299s) STATE tcp 10.0.0.1 1025 <-> 10.0.0.2 80 :default`, without a line feed. Times
// and sets of rules are not shown with states.
std::string format_state(const ListedState& state, const ListingOptions& options,
                         CounterWidths widths);

// The heading with count and size, and one line per state; nothing if there are none.
std::string format_states(std::span<const ListedState> states, const ListingOptions& options,
                          CounterWidths widths);

// One line per rule, each with a line feed, and the states behind them.
std::string format_listing(std::span<const ListedRule> rules, const ListingOptions& options,
                           std::span<const ListedState> states = {});

}  // namespace sluice::ruleset
