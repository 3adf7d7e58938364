#include "controlplane/cli/pattern_difference.h"

#include <optional>
#include <set>
#include <string_view>

namespace sluice::cli {
namespace {

using ruleset::PatternCatalogue;
using ruleset::PatternObject;
using Kind = PatternDifference::Kind;

// An order of patterns is no difference: nobody can tell it from what is found.
PatternDifference difference(const PatternObject& before, const PatternObject& after) {
    PatternDifference result{.kind = Kind::changed,
                             .name = after.name,
                             .settings = ruleset::settings_text(after.settings),
                             .previous_settings = {}};
    if (!(before.settings == after.settings))
        result.previous_settings = ruleset::settings_text(before.settings);
    for (const patterns::Pattern& pattern : after.patterns) {
        const auto there = before.places.find(pattern.text);
        if (there == before.places.end())
            ++result.added;
        else if (before.patterns[there->second].value != pattern.value)
            ++result.changed;
    }
    result.removed = before.patterns.size() + result.added - after.patterns.size();
    return result;
}

std::optional<PatternDifference> difference(const PatternObject* before,
                                            const PatternObject* after) {
    if (before != nullptr && after != nullptr) {
        PatternDifference result = difference(*before, *after);
        const bool same =
            result.previous_settings.empty() && result.added + result.removed + result.changed == 0;
        return same ? std::nullopt : std::optional(std::move(result));
    }
    const PatternObject& only = before != nullptr ? *before : *after;
    PatternDifference result{.kind = before != nullptr ? Kind::removed : Kind::added,
                             .name = only.name,
                             .settings = ruleset::settings_text(only.settings),
                             .previous_settings = {}};
    (before != nullptr ? result.removed : result.added) = only.patterns.size();
    return result;
}

constexpr std::string_view word_of(Kind kind) {
    return kind == Kind::added ? "added" : kind == Kind::removed ? "removed" : "changed";
}

}  // namespace

std::vector<PatternDifference> differences(const PatternCatalogue& before,
                                           const PatternCatalogue& after) {
    std::set<std::string> names;
    for (const PatternCatalogue* each : {&before, &after})
        for (const PatternCatalogue::Pointer& object : each->named())
            names.insert(object->name);
    std::vector<PatternDifference> result;
    for (const std::string& name : names)
        if (auto found = difference(before.find(name), after.find(name)))
            result.push_back(std::move(*found));
    return result;
}

std::string line_of(const PatternDifference& difference) {
    const char sign = difference.kind == Kind::added     ? '+'
                      : difference.kind == Kind::removed ? '-'
                                                         : '~';
    std::string line = std::string(1, sign) + " pattern " + difference.name + " " +
                       difference.settings + ": patterns +" + std::to_string(difference.added) +
                       " -" + std::to_string(difference.removed) + " ~" +
                       std::to_string(difference.changed);
    if (!difference.previous_settings.empty())
        line += "  (was: " + difference.previous_settings + ")";
    return line + "\n";
}

nlohmann::ordered_json json_of(const PatternDifference& difference) {
    nlohmann::ordered_json json = {
        {"change", word_of(difference.kind)}, {"name", difference.name},
        {"settings", difference.settings},    {"added", difference.added},
        {"removed", difference.removed},      {"changed", difference.changed}};
    if (!difference.previous_settings.empty())
        json["previous_settings"] = difference.previous_settings;
    return json;
}

}  // namespace sluice::cli
