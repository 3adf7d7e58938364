#include "controlplane/language/words.h"

#include <optional>

#include "controlplane/language/quoted_text.h"

namespace sluice::language {

namespace {

bool is_spaced(std::string_view text) {
    return begins_quoted(text) || begins_expression(text);
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

// Most rules have no more; only saves time.
constexpr std::size_t kUsualWords = 16;

struct BadCharacter {
    std::size_t offset;
    std::string_view what;
};

// The length of the UTF-8 character at `offset`; 0: there is none. Overlong forms, surrogates and
// what lies beyond U+10FFFF are none.
std::size_t character_length(std::string_view text, std::size_t offset) {
    auto byte = [&](std::size_t i) {
        return offset + i < text.size() ? static_cast<unsigned char>(text[offset + i]) : 0u;
    };
    const unsigned lead = byte(0);
    if (lead < 0x80)
        return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool no_character = (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf4 && byte(1) > 0x8f);
    return overlong || no_character ? 0 : length;
}

// A rule is stored and sent as UTF-8 and shown on terminals: nothing else may be in it.
std::optional<BadCharacter> find_bad_character(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] >= 0x20 && text[i] < 0x7f) {
            ++i;
            continue;
        }
        const std::size_t length = character_length(text, i);
        if (length == 0)
            return BadCharacter{i, "a byte that is no UTF-8"};
        const auto first = static_cast<unsigned char>(text[i]);
        // U+0080 to U+009f are control characters, too.
        if (first < 0x20 || first == 0x7f ||
            (first == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0))
            return BadCharacter{i, "control character"};
        i += length;
    }
    return std::nullopt;
}

ParseError error_at(std::size_t column, std::size_t word, std::string message) {
    return {ExitStatus::usage, column, word, std::move(message), {}};
}

}  // namespace

std::size_t Word::column_of(std::size_t offset) const {
    std::size_t base_offset = 0, base_column = column;
    for (const Jump& jump : jumps)
        if (jump.offset <= offset) {
            base_offset = jump.offset;
            base_column = jump.column;
        }
    return base_column + (offset - base_offset);
}

Result<std::vector<Word>, ParseError> split_line(std::string_view line) {
    // The line end belongs to the file, not to the line.
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
        line.remove_suffix(1);
    if (line.size() > kMaximumLineLength)
        return error_at(kMaximumLineLength + 1, 0,
                        "the line has " + std::to_string(line.size()) + " characters; at most " +
                            std::to_string(kMaximumLineLength) + " are read");
    std::vector<Word> words;
    words.reserve(kUsualWords);
    bool joining = false;     // the last word ended in a comma
    bool in_comment = false;  // prose: its commas are no lists
    for (std::size_t i = 0; i < line.size();) {
        if (line[i] == '#')
            break;
        if (is_blank(line[i])) {
            ++i;
            continue;
        }
        std::size_t start = i;
        if (!in_comment && is_spaced(line.substr(i))) {
            const std::size_t length = spaced_word_length(line.substr(i));
            if (length == line.npos)
                return error_at(start + 1, words.size(),
                                line[i] == '"'
                                    ? "the quote that begins here is not closed"
                                    : "the expression that begins here does not end in a slash");
            i += length;
        }
        while (i < line.size() && !is_blank(line[i]) && line[i] != '#')
            ++i;
        std::string_view text = line.substr(start, i - start);
        if (auto bad = find_bad_character(text))
            return error_at(start + bad->offset + 1, words.size(),
                            std::string(bad->what) + " in the line");
        in_comment = in_comment || (!joining && text.starts_with("//"));
        if (joining) {
            words.back().jumps.push_back({words.back().text.size(), start + 1});
            words.back().text += text;
        } else {
            if (!in_comment && text.front() == ',')
                return error_at(start + 1, words.size(),
                                "blank before a comma; write lists as 1,2 or 1, 2");
            words.push_back({std::string(text), start + 1, {}, false});
        }
        joining = !in_comment && text.back() == ',';
    }
    return words;
}

Result<std::vector<Word>, ParseError> words_of(std::span<const std::string> arguments) {
    std::vector<Word> words;
    words.reserve(arguments.size());
    std::size_t column = 1;
    bool joining = false, in_comment = false;
    for (const std::string& argument : arguments) {
        if (auto bad = find_bad_character(argument))
            return error_at(column + bad->offset, words.size(),
                            std::string(bad->what) + " in the command");
        if (std::size_t hash = argument.find('#');
            hash != argument.npos && (in_comment || !is_spaced(argument)))
            return error_at(column + hash, words.size(),
                            "\"#\" would end the line in a rule file; leave it out, or, in a "
                            "pattern, keep the quotes: '\"a#b\"'");
        if (argument.empty())
            return error_at(column, words.size(), "empty word in the command");
        in_comment = in_comment || (!joining && argument.starts_with("//"));
        if (joining) {
            words.back().jumps.push_back({words.back().text.size(), column});
            words.back().text += argument;
        } else {
            if (!in_comment && argument.front() == ',')
                return error_at(column, words.size(),
                                "blank before a comma; write lists as 1,2 or 1, 2");
            words.push_back({argument, column, {}, true});
        }
        joining = !in_comment && argument.back() == ',';
        column += argument.size() + 1;
    }
    return words;
}

}  // namespace sluice::language
