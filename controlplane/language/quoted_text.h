// Bytes as a word in double quotes, with the escapes of C: `"GET /\x00"`.
//
// Words that may hold blanks and `#` are kept together by what they begin with: a double quote, or
// `re:/` of a regular expression, which goes on to the slash that ends it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "controlplane/language/values.h"

namespace sluice::language {

// `"…"` and what stands for it: \n \r \t \0 \\ \" \xHH. REQUIRES: `word` begins with a quote.
Value<std::string> parse_quoted(std::string_view word);

// The one word for these bytes: what is not printable ASCII is escaped.
std::string quoted_text(std::string_view bytes);

// `text` in quotes, with the escapes that it has: what a shell was given in quotes that it took.
std::string in_quotes(std::string_view text);

inline bool begins_quoted(std::string_view text) {
    return text.starts_with('"');
}
inline bool begins_expression(std::string_view text) {
    return text.starts_with("re:/");
}

// How long the word is that begins `text`, with its blanks; npos: its end is missing. REQUIRES: one
// of the two holds for `text`.
std::size_t spaced_word_length(std::string_view text);

}  // namespace sluice::language
