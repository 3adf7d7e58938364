// Patterns of payload rules as text: what a user types, and the one way in which each is written.
//
// Of type bytes:
//     "GET \x00"         a literal, with \n \r \t \0 \\ \" \xHH
//     cmd.exe            the same, for a word without blanks, quotes and backslashes
//     hex:9090cd80       the same, for bytes
//     re:/union.+all/is  an expression of Hyperscan's, with i: letter case does not matter,
//                        m: ^ and $ are true at lines, s: . is also a newline
//
// Canonical are the first and the last form. An expression is printable ASCII and is kept as it is
// typed; what follows its last slash that no backslash stands in front of are the letters, in the
// order i m s. Whether Hyperscan takes it is found out when it is compiled (database.h).
//
// Of type names:
//     example.com        this domain and all below it
//     =example.com       it alone
//
// Letters are lower case, there is no dot at the end, names of other scripts are written as xn--.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "dataplane/contract/pattern.h"

namespace sluice::patterns {

inline constexpr std::size_t kLongestLiteral = 4000;      // bytes
inline constexpr std::size_t kLongestExpression = 16000;  // Hyperscan's own limit

struct Pattern {
    std::string text;  // canonical
    std::uint32_t value = 0;
};

struct PatternError {
    std::size_t column = 0;  // from 0 on, in the text
    std::string message;
};

// The canonical text of what a user has typed.
Result<std::string, PatternError> read_pattern(contract::PatternType type, std::string_view typed);

// The canonical text of a literal.
std::string literal_text(std::string_view bytes);

bool is_expression(std::string_view canonical);

// REQUIRES: a canonical literal.
std::string literal_bytes(std::string_view canonical);

struct Expression {
    std::string_view text;     // what stands between the slashes
    std::string_view letters;  // of i m s
};
inline constexpr std::size_t kExpressionColumn = 4;  // where it begins, behind `re:/`

// REQUIRES: is_expression(canonical).
Expression expression_of(std::string_view canonical);

}  // namespace sluice::patterns
