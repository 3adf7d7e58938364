#include "controlplane/ruleset/canonical_text.h"

#include <charconv>
#include <string>
#include <vector>

#include "controlplane/language/names.h"
#include "controlplane/language/quoted_text.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/language/words.h"

namespace sluice::ruleset {
namespace {

constexpr std::size_t kUsualWords = 16;  // only saves time

// A number that begins with another digit than 0, and the blank behind it. 0: there is none.
unsigned take_number(std::string_view& text, unsigned maximum) {
    unsigned number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error != std::errc() || end == last || *end != ' ' || text.front() == '0' ||
        number > maximum)
        return 0;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    return number;
}

}  // namespace

std::optional<CanonicalParts> split_canonical(std::string_view text) {
    constexpr std::string_view kSet = "set ";
    CanonicalParts parts;
    parts.number = static_cast<std::uint16_t>(take_number(text, language::kDefaultRuleNumber));
    if (text.starts_with(kSet)) {
        text.remove_prefix(kSet.size());
        parts.set = static_cast<std::uint8_t>(take_number(text, language::kSetCount - 1));
        if (parts.set == 0)
            return std::nullopt;
    }
    parts.text = text;
    return parts;
}

Result<language::Rule, language::ParseError> parse_canonical(std::string_view text) {
    std::vector<std::string> arguments;
    arguments.reserve(kUsualWords);
    for (std::size_t at = text.find_first_not_of(' '); at != std::string_view::npos;) {
        const std::string_view rest = text.substr(at);
        const std::size_t length =
            language::begins_quoted(rest) ? language::spaced_word_length(rest) : rest.npos;
        const std::size_t end = length != rest.npos ? at + length : text.find(' ', at);
        arguments.emplace_back(text.substr(at, end - at));
        at = end == std::string_view::npos ? end : text.find_first_not_of(' ', end);
    }
    const auto words = language::words_of(arguments);
    if (!words)
        return words.error();
    return language::parse_rule(*words, language::refusing_resolver());
}

}  // namespace sluice::ruleset
