// parse_command_line: argv, with or without a rule file.
#include <algorithm>

#include "controlplane/language/command.h"
#include "controlplane/language/command_reader.h"

namespace sluice::language {

namespace {

constexpr std::size_t kMaximumPreprocessorArguments = 32;

// Enough for any command that a shell builds, little enough not to be a way to fill memory.
constexpr std::size_t kMaximumArgumentsLength = 65536;

ParseError argument_error(std::span<const std::string> arguments, std::size_t index,
                          std::string message) {
    ParseError error;
    error.word = index;
    for (std::size_t i = 0; i < index && i < arguments.size(); ++i)
        error.column += arguments[i].size() + 1;
    error.message = std::move(message);
    return error;
}

// Whether the word is a command or short for one.
bool begins_verb(std::string_view word) {
    return std::any_of(kVerbTable.begin(), kVerbTable.end(),
                       [word](const auto& verb) { return verb.name.starts_with(word); });
}

// Whether the arguments are `[flags] [-p preproc …] /path` rather than a command.
bool is_file_command(std::span<const std::string> arguments) {
    if (!arguments.back().starts_with('/') || arguments.back().starts_with("//"))
        return false;
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        if (argument == "-p" || (argument.starts_with('-') && argument.ends_with('p')))
            return true;
        if (is_flag_word(argument))
            continue;
        // `100 add …` is a command, too.
        const std::string& verb = is_number(argument) ? arguments[i + 1] : argument;
        return !begins_verb(verb);
    }
    return true;
}

Result<Invocation, ParseError> parse_file_command(std::span<const std::string> arguments) {
    constexpr std::string_view kFileFlags = "cfnNqSv";
    Invocation invocation;
    FileCommand file;
    std::size_t last = arguments.size() - 1;
    file.path = arguments[last];
    for (std::size_t i = 0; i < last; ++i) {
        const std::string& word = arguments[i];
        if (!is_flag_word(word))
            return argument_error(
                arguments, i,
                "extraneous filename arguments: " + quote(word) + " before " + quote(file.path));
        for (std::size_t at = 1; at < word.size(); ++at) {
            char letter = word[at];
            if (letter == 'p') {
                file.preprocessor = word.substr(at + 1);
                if (file.preprocessor.empty() && i + 1 < last)
                    file.preprocessor = arguments[++i];
                if (file.preprocessor.empty())
                    return argument_error(arguments, i, "missing preprocessor after -p");
                // What stands between it and the file is for the preprocessor.
                for (++i; i < last; ++i)
                    file.preprocessor_arguments.push_back(arguments[i]);
                if (file.preprocessor_arguments.size() > kMaximumPreprocessorArguments)
                    return argument_error(arguments, last,
                                          "too many arguments for the preprocessor; at most 32 are "
                                          "passed on");
                break;
            }
            if (letter == 'D' || letter == 'U')
                return argument_error(arguments, i,
                                      "-" + std::string(1, letter) +
                                          " before a file is for the preprocessor and stands after "
                                          "-p");
            if (kFileFlags.find(letter) == kFileFlags.npos ||
                !CommandReader::set_flag(invocation.flags, letter))
                return argument_error(
                    arguments, i,
                    "unknown flag \"-" + std::string(1, letter) + "\" with a file; see ipfw -h");
        }
    }
    invocation.command = std::move(file);
    return invocation;
}

}  // namespace

Result<Invocation, ParseError> parse_command_line(std::span<const std::string> arguments,
                                                  const NameResolver& resolver) {
    if (arguments.empty())
        return ParseError{ExitStatus::usage, 1, 0, "missing command; see ipfw -h", {}};
    if (is_file_command(arguments))
        return parse_file_command(arguments);
    std::size_t length = 0;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        length += arguments[i].size() + 1;
        if (length > kMaximumArgumentsLength)
            return argument_error(arguments, i, "the command is too long");
    }
    auto words = arguments.size() == 1 ? split_line(arguments.front()) : words_of(arguments);
    if (!words)
        return words.error();
    if (words->empty())
        return ParseError{ExitStatus::usage, 1, 0, "missing command; see ipfw -h", {}};
    return parse_command(*words, resolver);
}

}  // namespace sluice::language
