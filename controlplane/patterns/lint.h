// What patterns cost, before they are turned on: how good each is, how much memory they take, and
// how fast a core looks for all of them.
//
// What decides is not how many they are but which bytes must be there for one to be found: its
// literal (expression_shape.h). Short ones and those that any text has make the search stop at each
// turn. The speed is measured, for a fifth of a second and in a process of its own, on text like
// that of HTTP which we make ourselves (corpus.h), with no other work beside it and no cold memory:
// a data plane that has more to do is slower, and so is one that somebody sends what is made for
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/patterns/database.h"

namespace sluice::patterns {

struct LintOrder {
    std::string name = {};  // of the object
    contract::PatternType type = contract::PatternType::bytes;
    DatabaseOrder database = {};   // of canonical patterns, also those that are names
    std::uint64_t flows = 100000;  // that are followed at once: payload_flows of the settings
};

enum class PatternFault : std::uint8_t {
    duplicate,       // the same is there before it
    covered,         // wherever it is found, so is another one, which is shorter
    no_literal,      // no bytes must be there for it to be found
    short_literal,   // too few
    common_literal,  // such as are in any text
    large_repeat,    // it counts far, in the state of each stream
    anchored,        // ^ or $ mean the packet, wherever it lies in its flow; or $ is in a stream,
                     // the end of which nobody knows
    count_
};

struct PatternFinding {
    PatternFault fault = PatternFault::duplicate;
    std::size_t pattern = 0;           // its place
    std::optional<std::size_t> other;  // duplicate, covered: of which one
    std::string literal;               // canonical: short, common
};

// The ratio of the worst traffic that we know of to what was measured.
inline constexpr unsigned kWorstTraffic = 3;

struct PatternCost {
    std::uint64_t database_bytes = 0;  // as it runs
    std::uint64_t scratch_bytes = 0;   // of each worker
    std::uint64_t stream_bytes = 0;    // of each side of each flow; 0: packet mode
    double large_gbit = 0;             // of payload in a second, by one core, 1460 bytes at a time
    double small_ns = 0;               // for a payload of 64 bytes
};

struct LintReport {
    std::size_t literals = 0;
    std::size_t expressions = 0;
    std::size_t names = 0;
    std::vector<PatternFinding> findings;  // in the order of patterns
    std::optional<PatternCost> cost;       // not of names, nor if it cannot be measured
    std::string no_cost;                   // why
};

LintReport lint(const LintOrder& order);

// For the operator: what it is, what it costs, then the findings; of each kind so many.
inline constexpr std::size_t kToldFindings = 10;
std::vector<std::string> lint_lines(const LintOrder& order, const LintReport& report);
std::vector<std::string> lint_lines(const LintOrder& order);

// The measurement alone.
Result<PatternCost, DatabaseError> measure_cost(const DatabaseOrder& order);

}  // namespace sluice::patterns
