// The one place that knows how the text of 2014 differs from ours. Whatever is not named here must
// be equal.
#pragma once

#include <string>
#include <vector>

namespace sluice::conformance {

// A line of `ipfw list` or, with counters in front, `ipfw show`.
std::string normalised_rule(const std::string& line);

// Lines of a listing in which sets are disabled: in place of a hidden rule the original prints the
// line before once more.
std::vector<std::string> without_repeats(const std::vector<std::string>& lines);

// A line of an expected.csv or of a replay's verdicts.
std::string normalised_verdict(const std::string& line);

// Lines of a log, each with the index of its packet in front.
std::vector<std::string> normalised_log(const std::vector<std::string>& lines);

// What stands below `## Dynamic rules` in lines of `ipfw -d show`, and the number of entries that
// this heading gives, sorted: the order is that of a hash table.
std::vector<std::string> normalised_states(const std::vector<std::string>& lines);

// The keepalives among lines of an events.csv, sorted: within a second their order is that of a
// hash table.
std::vector<std::string> keepalives_of(const std::vector<std::string>& lines);

}  // namespace sluice::conformance
