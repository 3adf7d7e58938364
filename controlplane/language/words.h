// A line cut into words, each with the place it came from.
//
// The line rules are those of ipfw(8): a `#` ends the line wherever it stands, words are separated
// by blanks, blanks after a comma are dropped (so `1, 2` is one word), and there is no backslash
// continuation. A word that ends in a comma is joined with the next one. A blank before a comma is
// an error. From `//` on it is prose and commas are left alone (ipfw eats the blank there, too).
//
// Ours: a word that begins with a double quote goes on to the closing one, and one that begins with
// `re:/` to the slash that ends the expression, whatever is between (see quoted_text.h); not in a
// comment.
// Control characters other than blanks and bytes that are no UTF-8 are refused (not behind a `#`),
// as are lines of more than kMaximumLineLength characters.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "controlplane/language/parse_error.h"

namespace sluice::language {

inline constexpr std::size_t kMaximumLineLength = 32768;  // of the longest pattern, twice

struct Word {
    std::string text;
    std::size_t column = 1;  // of the first character, from 1

    // Where blanks were dropped inside the word: text[offset] stood in that column.
    struct Jump {
        std::size_t offset;
        std::size_t column;
    };
    std::vector<Jump> jumps;

    // An argument of a shell, which may have taken quotes away that stood around it.
    bool is_argument = false;

    // The column of text[offset].
    std::size_t column_of(std::size_t offset) const;
};

// Cuts a line. An empty result is a line without a command.
Result<std::vector<Word>, ParseError> split_line(std::string_view line);

// Words that are separate already (argv). Columns are those of the words joined by one blank.
// A word is never cut; words that end in a comma are joined with the next. A `#` is refused but in
// quotes: what is printed would mean something else in a rule file. Any number of words is taken,
// for a rule may print much longer than it was typed.
Result<std::vector<Word>, ParseError> words_of(std::span<const std::string> arguments);

}  // namespace sluice::language
