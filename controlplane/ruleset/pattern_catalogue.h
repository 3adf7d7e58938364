// Pattern objects: which there are, their patterns, and the databases made of them.
//
// Part of a Ruleset, so that a script changes them on a copy together with the rules. An object is
// shared by the copies until one of them changes it. What changes has no database until
// `make_databases`, so that a script of a thousand commands compiles each object once.
//
// Patterns that stand in rules are in objects without a name, one for each type, sorted; the value
// of each is its place, from 1 on, by which the test of the rule knows it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "controlplane/language/model.h"
#include "controlplane/language/pattern_command.h"
#include "controlplane/patterns/database.h"
#include "controlplane/patterns/pattern.h"
#include "dataplane/contract/pattern.h"

namespace sluice::ruleset {

struct PatternSettings {
    contract::PatternType type = contract::PatternType::bytes;
    contract::PatternMode mode = contract::PatternMode::packet;
    contract::PatternDirection direction = contract::PatternDirection::both;
    std::uint32_t depth = contract::kPacketDepth;
    bool ignore_case = false;
    bool operator==(const PatternSettings&) const = default;
};

struct PatternObject {
    std::string name;
    PatternSettings settings;
    std::vector<patterns::Pattern> patterns;
    std::unordered_map<std::string, std::uint32_t> places;  // of each, by its text
    // Of the patterns; none is made of names, or of none. `content` 0: not yet.
    std::uint64_t content = 0;
    std::shared_ptr<const patterns::Database> database;
};

// What a rule looks for in a pattern object, or by itself.
std::vector<const language::PayloadMatch*> payload_matches(const language::Rule& rule);

// `literal` in the form that objects have it in.
Result<std::string> literal_pattern(language::PayloadPart part,
                                    const language::PayloadLiteral& literal);

// The type of the objects that hold such literals.
contract::PatternType literal_type(language::PayloadPart part);

// The settings as they are typed, `type bytes mode packet depth 1460 dir both`.
std::string settings_text(const PatternSettings& settings);

class PatternCatalogue {
  public:
    using Pointer = std::shared_ptr<const PatternObject>;
    enum class Change : std::uint8_t { done, updated, exists, not_found };

    struct LoadCounts {
        std::size_t patterns = 0, added = 0, changed = 0, removed = 0;
    };

    PatternCatalogue() : objects_(std::make_shared<Objects>()) {}

    // Those without a name first, then in the order of their names.
    std::vector<Pointer> all() const;
    // Null: there is none of that name.
    const PatternObject* find(std::string_view name) const;
    // Of `all`, without those that have no name.
    std::vector<Pointer> named() const;

    // What `create` asks for.
    static PatternSettings settings_of(const language::PatternCommand& command);
    // REQUIRES: there is none of that name.
    Result<Done> create(const std::string& name, const PatternSettings& settings);
    // Takes an object over as it is, with its database.
    void adopt(PatternObject object);

    // REQUIRES of all that follow: the objects are there.

    // Canonical text of what was typed for the object.
    Result<std::string, patterns::PatternError> read(std::string_view name,
                                                     std::string_view typed) const;
    // `update`: a pattern that is there gets the value.
    Change add(std::string_view name, const std::string& text, std::uint32_t value, bool update);
    // For each of the texts whether it was there.
    std::vector<Change> remove(std::string_view name, const std::vector<std::string>& texts);
    // The patterns of a file, one a line, in place of those that are there. An error says where.
    Result<LoadCounts> load(std::string_view name, const std::string& file,
                            std::string_view content);
    // Empties it and gives it those settings.
    void reset(std::string_view name, const PatternSettings& settings);
    void destroy(std::string_view name);
    // Exchanges all but the names.
    void swap(std::string_view first, std::string_view second);

    // Whether what the rule names is there and of the right type.
    Result<Done> check(const language::Rule& rule) const;

    // The patterns that stand in rules; not sorted, with doubles.
    void set_literals(contract::PatternType type, std::vector<std::string> texts);
    // By which value one of them is known.
    std::optional<std::uint32_t> literal_value(contract::PatternType type,
                                               const std::string& text) const;

    // Where an object stands among `all`.
    std::optional<std::uint32_t> place(std::string_view name) const;
    std::optional<std::uint32_t> literal_place(contract::PatternType type) const;

    // Gets what is missing. An error: a pattern cannot be compiled, or there are too many. What
    // `source` does not have yet is in `missing` afterwards, and missing still.
    Result<Done> make_databases(const patterns::DatabaseSource& source,
                                std::vector<patterns::DatabaseOrder>& missing);
    // After an error: the pattern that is to blame, if it is known.
    struct Blame {
        std::string object;
        std::string pattern;
        std::size_t column = 0;  // in the pattern, from 0
        std::string why;
    };
    const std::optional<Blame>& blame() const { return blame_; }

    // The pattern in a file for `load`, and where it begins. None: it is not there.
    struct Place {
        std::size_t line = 0, column = 0;  // from 1, from 0
    };
    static std::optional<Place> place_in_file(contract::PatternType type, std::string_view content,
                                              std::string_view pattern);

  private:
    using Objects = std::map<std::string, std::shared_ptr<PatternObject>, std::less<>>;

    Objects& writable();
    // Of which the database will not be the same any more.
    PatternObject& changing(std::string_view name);
    void keep_database(const PatternObject& object);
    Result<Done> finish(PatternObject& object, const patterns::DatabaseSource& source,
                        std::vector<patterns::DatabaseOrder>& missing);

    std::shared_ptr<Objects> objects_;
    std::array<Pointer, static_cast<std::size_t>(contract::PatternType::count_)> literals_;
    // Of objects that have changed since `make_databases`: they may become what they were.
    std::vector<std::shared_ptr<const patterns::Database>> spare_;
    bool complete_ = true;  // nothing is missing
    std::optional<Blame> blame_;
};

}  // namespace sluice::ruleset
