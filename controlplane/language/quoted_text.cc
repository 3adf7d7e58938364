#include "controlplane/language/quoted_text.h"

#include <array>
#include <cstdio>
#include <utility>

namespace sluice::language {

namespace {

constexpr std::array<std::pair<char, char>, 6> kEscapes = {
    {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'0', '\0'}, {'\\', '\\'}, {'"', '"'}}};

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

int hexadecimal_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

ValueError bad(std::size_t offset, std::string message) {
    return {ExitStatus::data, offset, std::move(message), {}};
}

// Reads what stands behind a backslash at `at`, and goes on behind it.
Value<char> parse_escape(std::string_view word, std::size_t& at) {
    const std::size_t start = at++;
    if (at >= word.size())
        return bad(start,
                   "a backslash at the end; expected one of \\n \\r \\t \\0 \\\\ \\\" \\xHH");
    const char letter = word[at++];
    if (letter == 'x') {
        const int high = at < word.size() ? hexadecimal_digit(word[at]) : -1;
        const int low = at + 1 < word.size() ? hexadecimal_digit(word[at + 1]) : -1;
        if (high < 0 || low < 0)
            return bad(start, "\\x without its digits; expected two, as in \\x0a");
        at += 2;
        return static_cast<char>(high * 16 + low);
    }
    // C reads the digits behind \0 as part of the number.
    const bool octal = letter == '0' && at < word.size() && word[at] >= '0' && word[at] <= '9';
    for (const auto& [name, byte] : kEscapes)
        if (letter == name && !octal)
            return byte;
    return bad(start, "unknown escape " + quote(word.substr(start, 2)) +
                          "; expected one of \\n \\r \\t \\0 \\\\ \\\" \\xHH");
}

}  // namespace

Value<std::string> parse_quoted(std::string_view word) {
    std::string bytes;
    for (std::size_t at = 1; at < word.size();) {
        if (word[at] == '"') {
            if (at + 1 != word.size())
                return bad(at + 1, "found " + quote(word.substr(at + 1)) +
                                       " behind the closing quote; expected a blank");
            return bytes;
        }
        if (word[at] != '\\') {
            bytes += word[at++];
            continue;
        }
        const Value<char> byte = parse_escape(word, at);
        if (!byte)
            return byte.error();
        bytes += *byte;
    }
    return bad(0, "the quote that begins here is not closed");
}

std::string quoted_text(std::string_view bytes) {
    std::string text = "\"";
    for (const char byte : bytes) {
        bool escaped = false;
        for (const auto& [name, value] : kEscapes)
            if (byte == value && byte != '\0') {  // a digit may follow
                text += '\\';
                text += name;
                escaped = true;
            }
        if (escaped)
            continue;
        if (byte >= 0x20 && byte < 0x7f) {
            text += byte;
            continue;
        }
        char hexadecimal[8];
        std::snprintf(hexadecimal, sizeof hexadecimal, "\\x%02x",
                      static_cast<unsigned>(static_cast<unsigned char>(byte)));
        text += hexadecimal;
    }
    return text + "\"";
}

std::string in_quotes(std::string_view text) {
    std::string result = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"')
            result += '\\';
        result += text[i];
        if (text[i] == '\\' && i + 1 < text.size())
            result += text[++i];
    }
    return result + "\"";
}

std::size_t spaced_word_length(std::string_view text) {
    constexpr std::size_t kBeginning = 4;  // re:/
    const bool expression = begins_expression(text);
    for (std::size_t i = expression ? kBeginning : 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
            continue;
        }
        if (text[i] != (expression ? '/' : '"'))
            continue;
        // Letters behind the slash are flags; a slash with anything else behind it is none that
        // ends.
        std::size_t end = i + 1;
        if (!expression) {
            while (end < text.size() && !is_blank(text[end]))
                ++end;
            return end;
        }
        while (end < text.size() && text[end] >= 'a' && text[end] <= 'z')
            ++end;
        if (end == text.size() || is_blank(text[end]))
            return end;
    }
    return std::string_view::npos;
}

}  // namespace sluice::language
