#include "controlplane/language/rule_file.h"

#include <algorithm>
#include <map>
#include <optional>

#include "controlplane/language/rule_parser.h"
#include "controlplane/language/values.h"

namespace sluice::language {

std::string FileError::text() const {
    return "Line " + std::to_string(line) + ": " + error.text();
}

namespace {

ParseError help_error(const Word& word) {
    return {ExitStatus::usage, word.column, 0, "help cannot be asked for in a rule file", {}};
}

ParseError label_error(std::size_t column, std::string message) {
    return {ExitStatus::data, column, 0, std::move(message), {}};
}

// The labels of a file: where they stand, and who jumps to them.
class Labels {
  public:
    explicit Labels(std::vector<FileError>& errors) : errors_(errors) {}

    // A line that is a label.
    void stand_alone(std::size_t line, const std::vector<Word>& words) {
        const std::string name = words.front().text.substr(1);
        if (words.size() > 1)
            return fail(line, words[1].column, "a label stands alone on its line");
        if (!is_valid_name(name))
            return fail(line, words.front().column,
                        "bad label " + quote(words.front().text) +
                            "; expected \":\" and letters, digits, \"_\", \"-\" or \".\", at most "
                            "63 of them");
        if (waiting_)
            return fail(
                line, words.front().column,
                "a rule has one label, and the next one has :" + waiting_->name + " already");
        waiting_ = Place{name, line, words.front().column};
        define(*waiting_);
    }

    // A rule that is added, and the words of its line.
    void added(std::size_t line, const std::vector<Word>& words, Rule& rule) {
        if (!rule.action.label.empty())
            uses_.push_back({rule.action.label, line, column_of_jump(words)});
        if (!rule.label.empty())
            define({rule.label, line, column_of(words, ":" + rule.label)});
        if (!waiting_)
            return;
        if (!rule.label.empty())
            fail(line, column_of(words, ":" + rule.label),
                 "a rule has one label, and this has :" + waiting_->name + " already");
        else if (rule.expires_s)
            fail(line, column_of(words, "expires"), kLabelledRuleExpires);
        rule.label = waiting_->name;
        waiting_.reset();
    }

    void finish() {
        if (waiting_)
            fail(waiting_->line, waiting_->column,
                 "label :" + waiting_->name + " stands in front of no rule");
        for (const Place& use : uses_)
            if (!defined_.contains(use.name))
                fail(use.line, use.column,
                     "there is no label :" + use.name + " in this file; expected a line :" +
                         use.name + " in front of the rule to go to");
    }

  private:
    struct Place {
        std::string name;
        std::size_t line = 1;
        std::size_t column = 1;
    };

    void define(const Place& place) {
        const auto [first, is_new] = defined_.emplace(place.name, place.line);
        if (!is_new)
            fail(place.line, place.column,
                 "label :" + place.name + " stands in line " + std::to_string(first->second) +
                     " already");
    }

    static std::size_t column_of(const std::vector<Word>& words, std::string_view text) {
        const auto found = std::find_if(words.begin(), words.end(),
                                        [&](const Word& word) { return word.text == text; });
        return found != words.end() ? found->column : 1;
    }

    static std::size_t column_of_jump(const std::vector<Word>& words) {
        for (std::size_t i = 1; i < words.size(); ++i)
            if (words[i].text.starts_with(':') &&
                (words[i - 1].text == "skipto" || words[i - 1].text == "call"))
                return words[i].column;
        return 1;
    }

    void fail(std::size_t line, std::size_t column, std::string message) {
        errors_.push_back({line, label_error(column, std::move(message))});
    }

    std::vector<FileError>& errors_;
    std::optional<Place> waiting_;                // for the next rule
    std::map<std::string, std::size_t> defined_;  // and the line
    std::vector<Place> uses_;
};

}  // namespace

RuleFile parse_file(std::string_view text, const NameResolver& resolver) {
    RuleFile file;
    // Lines are large once they are parsed, and costly to move; a file of empty ones has none.
    constexpr std::size_t kShortest = 8;
    file.lines.reserve(
        std::min(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1,
                 text.size() / kShortest));
    file.errors = read_file_lines(text, resolver,
                                  [&](FileLine&& line) { file.lines.push_back(std::move(line)); });
    return file;
}

std::vector<FileError> read_file_lines(std::string_view text, const NameResolver& resolver,
                                       const std::function<void(FileLine&&)>& take) {
    std::vector<FileError> errors;
    Labels labels(errors);
    std::size_t number = 0;
    while (!text.empty() && errors.size() < kMaximumFileErrors) {
        std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == text.npos ? std::string_view{} : text.substr(end + 1);
        ++number;
        auto words = split_line(line);
        if (!words) {
            errors.push_back({number, words.error()});
            continue;
        }
        if (words->empty())
            continue;
        if (words->front().text.starts_with(':')) {
            labels.stand_alone(number, *words);
            continue;
        }
        auto invocation = parse_command(*words, resolver);
        if (!invocation) {
            errors.push_back({number, invocation.error()});
            continue;
        }
        // Help would be shown in place of what the line asks for.
        if (std::holds_alternative<HelpCommand>(invocation->command)) {
            errors.push_back({number, help_error(words->front())});
            continue;
        }
        if (auto* add = std::get_if<AddCommand>(&invocation->command))
            labels.added(number, *words, add->rule);
        take({number, std::move(*invocation)});
    }
    labels.finish();
    std::stable_sort(errors.begin(), errors.end(),
                     [](const FileError& a, const FileError& b) { return a.line < b.line; });
    if (errors.size() > kMaximumFileErrors)
        errors.resize(kMaximumFileErrors);
    return errors;
}

}  // namespace sluice::language
