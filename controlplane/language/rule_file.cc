#include "controlplane/language/rule_file.h"

namespace sluice::language {

std::string FileError::text() const {
    return "Line " + std::to_string(line) + ": " + error.text();
}

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
        if (invocation)
            file.lines.push_back({number, std::move(*invocation)});
        else
            file.errors.push_back({number, invocation.error()});
    }
    return file;
}

}  // namespace sluice::language
