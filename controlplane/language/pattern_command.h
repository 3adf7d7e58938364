// `ipfw pattern …` as a value. Patterns are kept as they were typed: what they mean depends on the
// type of the object, which only the keeper of the objects knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::language {

enum class PatternType { bytes, names };
enum class PatternMode { packet, stream };
enum class PatternDirection { both, out, in };

struct PatternEntry {
    std::string pattern;                 // one word; with blanks only in quotes or as re:/…/
    std::optional<std::uint32_t> value;  // none given
    bool operator==(const PatternEntry&) const = default;
};

struct PatternCommand {
    enum class Verb {
        create,
        destroy,
        add,
        remove,  // `delete`
        load,
        list,
        info,
        show,
        swap,
        flush,
        lint
    } verb = Verb::list;

    std::string object;  // "all" for every object, where the verb allows it

    // create
    std::optional<PatternType> type;
    std::optional<PatternMode> mode;
    std::optional<std::uint32_t> depth;
    std::optional<PatternDirection> direction;
    bool ignore_case = false;
    bool missing = false;
    bool or_flush = false;

    std::vector<PatternEntry> entries;  // add, delete
    std::string other;                  // swap

    // load: the file, and, once it has been read, what is in it.
    std::string file;
    std::string content;

    bool operator==(const PatternCommand&) const = default;
};

}  // namespace sluice::language
