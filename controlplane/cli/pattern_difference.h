// What tells the pattern objects of two rulesets apart.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/ruleset/pattern_catalogue.h"

namespace sluice::cli {

struct PatternDifference {
    enum class Kind { added, removed, changed } kind = Kind::changed;
    std::string name;
    std::string settings;           // of the object that is there, or was
    std::string previous_settings;  // if they are others now
    std::size_t added = 0;          // patterns
    std::size_t removed = 0;
    std::size_t changed = 0;  // that have another value
    bool operator==(const PatternDifference&) const = default;
};

// In the order of their names.
std::vector<PatternDifference> differences(const ruleset::PatternCatalogue& before,
                                           const ruleset::PatternCatalogue& after);

std::string line_of(const PatternDifference& difference);
nlohmann::ordered_json json_of(const PatternDifference& difference);

}  // namespace sluice::cli
