// Reads the text format of Prometheus, version 0.0.4, and finds fault with it: a strict test for
// machines on which there is no promtool. What it insists on beyond the format is what `promtool
// check metrics` does: help for every family, names that follow the conventions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::metrics {

struct Sample {
    std::string name;
    std::map<std::string, std::string> labels;
    double value = 0;
    bool operator==(const Sample&) const = default;
};

struct Exposition {
    std::map<std::string, std::string> types;  // by family
    std::vector<Sample> samples;
    std::vector<std::string> complaints;

    // Of the one sample with this name and exactly these labels; NaN if there is none.
    double value(const std::string& name,
                 const std::map<std::string, std::string>& labels = {}) const;
    std::vector<Sample> all(const std::string& name) const;
};

Exposition read_exposition(std::string_view text);

}  // namespace sluice::metrics
