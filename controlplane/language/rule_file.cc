#include "controlplane/language/rule_file.h"

namespace sluice::language {

std::string FileError::text() const {
    return "Line " + std::to_string(line) + ": " + error.text();
}

namespace {

ParseError help_error(const Word& word) {
    return {ExitStatus::usage, word.column, 0, "help cannot be asked for in a rule file", {}};
}

}  // namespace

RuleFile parse_file(std::string_view text, const NameResolver& resolver) {
    RuleFile file;
    std::size_t number = 0;
    while (!text.empty() && file.errors.size() < kMaximumFileErrors) {
        std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == text.npos ? std::string_view{} : text.substr(end + 1);
        ++number;
        auto words = split_line(line);
        if (!words) {
            file.errors.push_back({number, words.error()});
            continue;
        }
        if (words->empty())
            continue;
        auto invocation = parse_command(*words, resolver);
        // Help would be shown in place of what the line asks for.
        if (invocation && std::holds_alternative<HelpCommand>(invocation->command))
            file.errors.push_back({number, help_error(words->front())});
        else if (invocation)
            file.lines.push_back({number, std::move(*invocation)});
        else
            file.errors.push_back({number, invocation.error()});
    }
    return file;
}

}  // namespace sluice::language
