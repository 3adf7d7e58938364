#include "controlplane/ruleset/canonical_text.h"

#include <string>
#include <vector>

#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/language/words.h"

namespace sluice::ruleset {

Result<language::Rule, language::ParseError> parse_canonical(std::string_view text) {
    std::vector<std::string> arguments;
    for (std::size_t at = text.find_first_not_of(' '); at != std::string_view::npos;) {
        const std::size_t end = text.find(' ', at);
        arguments.emplace_back(text.substr(at, end - at));
        at = end == std::string_view::npos ? end : text.find_first_not_of(' ', end);
    }
    const auto words = language::words_of(arguments);
    if (!words)
        return words.error();
    return language::parse_rule(*words, language::refusing_resolver());
}

}  // namespace sluice::ruleset
