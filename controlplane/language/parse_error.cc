#include "controlplane/language/parse_error.h"

#include <cstdio>

namespace sluice::language {

std::string quote(std::string_view text) {
    constexpr std::size_t kLongest = 80;
    std::string result = "\"";
    for (char c : text.substr(0, kLongest)) {
        unsigned char byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            result += escaped;
        } else {
            if (c == '"' || c == '\\')
                result += '\\';
            result += c;
        }
    }
    if (text.size() > kLongest)
        result += "...";
    return result + '"';
}

std::string ParseError::text() const {
    return "column " + std::to_string(column) + ": " + sentence();
}

std::string ParseError::sentence() const {
    std::string result = message;
    if (!suggestion.empty())
        result += "; did you mean \"" + suggestion + "\"?";
    return result;
}

}  // namespace sluice::language
