// A rule file as a whole: every line read and checked before anything is done.
//
// Each line is a command without the word `ipfw`. Empty lines and comments are skipped. A line that
// is a label, `:NAME`, gives it to the rule that the file adds next. A label that a file jumps to
// must be in the file, and in it once: what else the ruleset has is not known here. All errors
// of the file are collected (up to a limit), so that one run shows them all; if there is any, the
// caller carries out nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/language/command.h"

namespace sluice::language {

struct FileLine {
    std::size_t line = 1;  // from 1
    Invocation invocation;
};

struct FileError {
    std::size_t line = 1;
    ParseError error;

    // `Line 3: column 15: …`
    std::string text() const;
};

struct RuleFile {
    std::vector<FileLine> lines;
    std::vector<FileError> errors;  // at most kMaximumFileErrors
};

inline constexpr std::size_t kMaximumFileErrors = 20;

RuleFile parse_file(std::string_view text, const NameResolver& resolver);

// The same for whoever keeps of a line what he needs: a rule takes much more memory than its text.
// `take` is given the lines in order, also those in front of an error; the errors come back.
std::vector<FileError> read_file_lines(std::string_view text, const NameResolver& resolver,
                                       const std::function<void(FileLine&&)>& take);

}  // namespace sluice::language
