// The one place that knows how the text of 2014 differs from ours. Whatever is not named here must
// be equal.
#pragma once

#include <string>
#include <vector>

namespace sluice::conformance {

// A line of `ipfw list` or, with counters in front, `ipfw show`.
std::string normalised_rule(const std::string& line);

// Lines of a log, each with the index of its packet in front.
std::vector<std::string> normalised_log(const std::vector<std::string>& lines);

}  // namespace sluice::conformance
