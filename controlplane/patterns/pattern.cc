#include "controlplane/patterns/pattern.h"

#include <algorithm>
#include <array>

#include "common/hex_digit.h"

namespace sluice::patterns {
namespace {

using Text = Result<std::string, PatternError>;

constexpr std::string_view kHex = "hex:";
constexpr std::string_view kExpression = "re:";
constexpr std::string_view kLetters = "ims";
constexpr std::size_t kLongestName = 253;
constexpr std::size_t kLongestLabel = 63;

PatternError wrong(std::size_t column, std::string message) {
    return {.column = column, .message = std::move(message)};
}

bool is_printable(char c) {
    return c >= 0x20 && c < 0x7f;
}

// -1: these are not two digits.
int hex_byte(std::string_view text) {
    if (text.size() < 2 || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
        return -1;
    return hex_digit(text[0]) * 16 + hex_digit(text[1]);
}

// What stands behind the backslash at `at`, which is moved behind it; -1: nothing that we know.
int escaped_byte(std::string_view text, std::size_t& at) {
    const char kind = at + 1 < text.size() ? text[at + 1] : '\0';
    at += 2;
    switch (kind) {
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case '\\':
        case '"':
            return kind;
        case '0':
            // C reads the digits behind it as part of the number.
            return at < text.size() && text[at] >= '0' && text[at] <= '9' ? -1 : 0;
        case 'x': {
            const int byte = hex_byte(text.substr(std::min(at, text.size())));
            at += 2;
            return byte;
        }
        default:
            return -1;
    }
}

Text literal_of(std::string_view bytes, std::size_t column) {
    if (bytes.empty())
        return wrong(column, "the pattern is empty, so it would be found in each packet");
    if (bytes.size() > kLongestLiteral)
        return wrong(column, "the pattern has " + std::to_string(bytes.size()) +
                                 " bytes, and may have " + std::to_string(kLongestLiteral));
    return literal_text(bytes);
}

Text read_quoted(std::string_view typed) {
    std::string bytes;
    for (std::size_t at = 1; at < typed.size();) {
        const char c = typed[at];
        if (c == '"') {
            if (at + 1 != typed.size())
                return wrong(at + 1, "there is more behind the closing quote");
            return literal_of(bytes, 0);
        }
        if (c != '\\') {
            bytes += c;
            ++at;
            continue;
        }
        const std::size_t column = at;
        const int byte = escaped_byte(typed, at);
        if (byte < 0)
            return wrong(column,
                         "behind a backslash stands one of n r t \\ \" 0 (and no digit behind "
                         "that) or x with two hexadecimal digits");
        bytes += static_cast<char>(byte);
    }
    return wrong(typed.size(), "the closing quote is missing");
}

Text read_hex(std::string_view typed) {
    std::string bytes;
    for (std::size_t at = kHex.size(); at < typed.size(); at += 2) {
        const int byte = hex_byte(typed.substr(at));
        if (byte < 0)
            return wrong(at,
                         "here are no two hexadecimal digits: `hex:` is followed by two for "
                         "each byte");
        bytes += static_cast<char>(byte);
    }
    return literal_of(bytes, kHex.size());
}

Text read_word(std::string_view typed) {
    for (std::size_t at = 0; at < typed.size(); ++at)
        if (typed[at] == ' ' || typed[at] == '"' || typed[at] == '\\' || !is_printable(typed[at]))
            return wrong(at,
                         "a pattern with blanks, quotes, backslashes or bytes that are not "
                         "printable ASCII is written in quotes: \"…\"");
    return literal_of(typed, 0);
}

// The last slash without a backslash in front of it that counts.
std::size_t closing_slash(std::string_view typed, std::size_t begin) {
    for (std::size_t at = typed.size(); at-- > begin;) {
        if (typed[at] != '/')
            continue;
        std::size_t backslashes = 0;
        while (at - backslashes > begin && typed[at - backslashes - 1] == '\\')
            ++backslashes;
        if (backslashes % 2 == 0)
            return at;
    }
    return std::string_view::npos;
}

Text read_expression(std::string_view typed) {
    if (typed.size() <= kExpression.size() || typed[kExpression.size()] != '/')
        return wrong(kExpression.size(),
                     "an expression is written re:/EXPRESSION/, with any of "
                     "i m s behind it");
    const std::size_t end = closing_slash(typed, kExpressionColumn);
    if (end == std::string_view::npos)
        return wrong(typed.size(), "the slash that closes the expression is missing");
    const std::string_view expression = typed.substr(kExpressionColumn, end - kExpressionColumn);
    if (expression.empty())
        return wrong(end, "the expression is empty, so it would be found in each packet");
    if (expression.size() > kLongestExpression)
        return wrong(kExpressionColumn, "the expression has " + std::to_string(expression.size()) +
                                            " characters, and may have " +
                                            std::to_string(kLongestExpression));
    for (std::size_t at = 0; at < expression.size(); ++at)
        if (!is_printable(expression[at]))
            return wrong(kExpressionColumn + at,
                         "in an expression, a byte that is not printable "
                         "ASCII is written \\xHH");
    std::array<bool, kLetters.size()> given = {};
    for (std::size_t at = end + 1; at < typed.size(); ++at) {
        const std::size_t letter = kLetters.find(typed[at]);
        if (letter == std::string_view::npos)
            return wrong(at, std::string("behind the expression stand letters of i m s, not `") +
                                 (is_printable(typed[at]) ? typed[at] : '?') + "`");
        if (given[letter])
            return wrong(at, std::string("the letter ") + typed[at] + " is there twice");
        given[letter] = true;
    }
    std::string canonical(typed.substr(0, end + 1));
    for (std::size_t letter = 0; letter < kLetters.size(); ++letter)
        if (given[letter])
            canonical += kLetters[letter];
    return canonical;
}

Text read_name(std::string_view typed) {
    const std::size_t begin = typed.starts_with('=') ? 1 : 0;
    std::string_view name = typed.substr(begin);
    if (name.ends_with('.'))
        name.remove_suffix(1);
    if (name.empty())
        return wrong(begin, "a domain name is missing");
    if (name.size() > kLongestName)
        return wrong(begin + kLongestName,
                     "the name is longer than " + std::to_string(kLongestName) + " characters");
    std::string canonical(typed.substr(0, begin));
    std::size_t label = 0;  // length so far
    for (std::size_t at = 0; at < name.size(); ++at) {
        char c = name[at];
        if (c == '.') {
            if (label == 0 || at + 1 == name.size())
                return wrong(begin + at, "there is nothing between two dots of the name");
            label = 0;
            canonical += c;
            continue;
        }
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (c == '*')
            return wrong(begin + at,
                         "a name counts for all below it without a `*`: write "
                         "example.com, or =example.com for it alone");
        if (!plain)
            return wrong(begin + at,
                         "a name consists of letters, digits, `-`, `_` and dots; one of "
                         "another script is written in its ASCII form, xn--…");
        if (++label > kLongestLabel)
            return wrong(begin + at, "between two dots of a name are at most " +
                                         std::to_string(kLongestLabel) + " characters");
        canonical += c;
    }
    return canonical;
}

}  // namespace

Text read_pattern(contract::PatternType type, std::string_view typed) {
    if (typed.empty())
        return wrong(0, "a pattern is missing");
    if (type == contract::PatternType::names)
        return read_name(typed);
    if (typed.starts_with('"'))
        return read_quoted(typed);
    if (typed.starts_with(kHex))
        return read_hex(typed);
    if (typed.starts_with(kExpression))
        return read_expression(typed);
    return read_word(typed);
}

std::string literal_text(std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text = "\"";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            text += {'\\', c};
        else if (is_printable(c))
            text += c;
        else if (c == '\n')
            text += "\\n";
        else if (c == '\r')
            text += "\\r";
        else if (c == '\t')
            text += "\\t";
        else
            text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return text + '"';
}

bool is_expression(std::string_view canonical) {
    return canonical.starts_with(kExpression);
}

std::string literal_bytes(std::string_view canonical) {
    std::string bytes;
    for (std::size_t at = 1; at + 1 < canonical.size();) {
        if (canonical[at] == '\\')
            bytes += static_cast<char>(escaped_byte(canonical, at));
        else
            bytes += canonical[at++];
    }
    return bytes;
}

Expression expression_of(std::string_view canonical) {
    const std::size_t end = canonical.rfind('/');
    return {.text = canonical.substr(kExpressionColumn, end - kExpressionColumn),
            .letters = canonical.substr(end + 1)};
}

}  // namespace sluice::patterns
