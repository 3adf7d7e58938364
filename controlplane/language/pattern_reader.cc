// `pattern …`
#include <utility>

#include "controlplane/language/command_reader.h"
#include "controlplane/language/quoted_text.h"
#include "dataplane/contract/pattern.h"

namespace sluice::language {

namespace {

using PatternVerb = PatternCommand::Verb;

bool may_be_all(PatternVerb verb) {
    return verb == PatternVerb::list || verb == PatternVerb::info || verb == PatternVerb::destroy;
}

// Whether the word is the value of the pattern in front of it. A pattern of digits stands in
// quotes.
bool is_value(std::string_view word) {
    return is_number(word) || (word.starts_with("0x") && parse_integer(word));
}

// A shell has taken the quotes away that kept the blanks together.
std::string pattern_word(const Cursor& cursor) {
    const std::string_view word = cursor.word();
    const bool was_quoted = cursor.is_argument() && word.find_first_of(" \t") != word.npos &&
                            !begins_quoted(word) && !begins_expression(word);
    return was_quoted ? in_quotes(word) : std::string(word);
}

}  // namespace

bool CommandReader::read_pattern_name(std::string& name) {
    if (cursor_.at_end())
        return cursor_.fail_missing("name of a pattern object");
    std::string_view word = cursor_.word();
    if (!is_valid_name(word))
        return cursor_.fail(ExitStatus::usage,
                            "bad name " + quote(word) +
                                " of a pattern object; expected letters, digits, \"_\", \"-\" or "
                                "\".\", at most 63");
    name = word;
    cursor_.advance();
    return true;
}

bool CommandReader::read_pattern() {
    PatternCommand pattern;
    const std::size_t name_position = cursor_.position();
    if (in_set_)
        return cursor_.fail(ExitStatus::usage, "pattern objects are in no set; leave out \"set " +
                                                   std::to_string(*in_set_) + "\"");
    if (!read_pattern_name(pattern.object))
        return false;
    if (cursor_.at_end())
        return cursor_.fail_missing("pattern command");
    const auto* verb = find_keyword(kPatternVerbTable, cursor_.word());
    if (verb == nullptr)
        return cursor_.fail(ExitStatus::usage,
                            "unknown pattern command " + quote(cursor_.word()) +
                                "; expected create, add, delete, load, list, info, show, swap, "
                                "flush, destroy or lint",
                            std::string(nearest_keyword(cursor_.word(), kPatternVerbTable)));
    pattern.verb = verb->value;
    if (pattern.object == "all" && !may_be_all(pattern.verb))
        return cursor_.fail_at(name_position, ExitStatus::usage,
                               "\"all\" is no pattern object; expected the name of one");
    cursor_.advance();
    bool read = true;
    switch (pattern.verb) {
        case PatternVerb::create:
            read = read_pattern_create(pattern);
            break;
        case PatternVerb::add:
        case PatternVerb::remove:
            read = read_pattern_entries(pattern);
            break;
        case PatternVerb::swap: {
            const std::size_t other_position = cursor_.position();
            read = read_pattern_name(pattern.other);
            if (read && pattern.other == "all")
                return cursor_.fail_at(other_position, ExitStatus::usage,
                                       "\"all\" is no pattern object; expected the name of one");
            break;
        }
        case PatternVerb::load:
            if (cursor_.at_end())
                return cursor_.fail_missing("name of the file");
            pattern.file = cursor_.word();
            cursor_.advance();
            break;
        case PatternVerb::destroy:
        case PatternVerb::list:
        case PatternVerb::info:
        case PatternVerb::show:
        case PatternVerb::flush:
        case PatternVerb::lint:
            break;
    }
    if (!read || !read_end())
        return false;
    set_command(std::move(pattern));
    return true;
}

template <typename Value>
bool CommandReader::read_pattern_choice(std::string_view what,
                                        std::span<const Keyword<Value>> table,
                                        std::optional<Value>& choice) {
    std::string names;
    for (std::size_t i = 0; i < table.size(); ++i)
        names += (i == 0 ? "" : i + 1 == table.size() ? " or " : ", ") + std::string(table[i].name);
    if (cursor_.at_end())
        return cursor_.fail_missing(std::string(what) + " (" + names + ")");
    const auto* found = find_keyword(table, cursor_.word());
    if (found == nullptr)
        return cursor_.fail(
            ExitStatus::usage,
            "unknown " + std::string(what) + " " + quote(cursor_.word()) + "; expected " + names,
            std::string(nearest_keyword(cursor_.word(), table)));
    choice = found->value;
    cursor_.advance();
    return true;
}

bool CommandReader::read_pattern_create(PatternCommand& pattern) {
    while (!cursor_.at_end()) {
        bool read = true;
        if (cursor_.take("type")) {
            read = read_pattern_choice("type of patterns", kPatternTypeTable, pattern.type);
        } else if (cursor_.take("mode")) {
            read = read_pattern_choice("mode of patterns", kPatternModeTable, pattern.mode);
        } else if (cursor_.take("dir")) {
            read = read_pattern_choice("direction", kPatternDirectionTable, pattern.direction);
        } else if (cursor_.take("depth")) {
            if (cursor_.at_end())
                return cursor_.fail_missing("depth in bytes");
            const auto depth = parse_number(cursor_.word(), 1, contract::kMaximumDepth, "depth");
            if (!depth)
                return cursor_.fail(depth.error());
            pattern.depth = *depth;
            cursor_.advance();
        } else if (cursor_.take("nocase")) {
            pattern.ignore_case = true;
        } else if (cursor_.take("missing")) {
            pattern.missing = true;
        } else if (cursor_.take("or-flush")) {
            pattern.missing = pattern.or_flush = true;
        } else {
            constexpr std::string_view kWords[] = {"type",   "mode",    "depth",   "dir",
                                                   "nocase", "missing", "or-flush"};
            return cursor_.fail(ExitStatus::usage,
                                "unknown option " + quote(cursor_.word()) +
                                    " of pattern create; expected type, mode, depth, dir, nocase, "
                                    "missing or or-flush",
                                std::string(nearest(cursor_.word(), kWords)));
        }
        if (!read)
            return false;
    }
    return true;
}

// `add P [V] [P [V]]…`, `delete P…`
bool CommandReader::read_pattern_entries(PatternCommand& pattern) {
    if (cursor_.at_end())
        return cursor_.fail_missing("pattern");
    while (!cursor_.at_end()) {
        PatternEntry entry;
        entry.pattern = pattern_word(cursor_);
        cursor_.advance();
        if (pattern.verb == PatternVerb::add && is_value(cursor_.word())) {
            const auto value = parse_number(cursor_.word(), 0, UINT32_MAX, "value");
            if (!value)
                return cursor_.fail(value.error());
            entry.value = *value;
            cursor_.advance();
        }
        pattern.entries.push_back(std::move(entry));
    }
    return true;
}

}  // namespace sluice::language
