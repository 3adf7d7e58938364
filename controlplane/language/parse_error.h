// What is wrong with a command or a rule, and where.
//
// `column` counts characters of the line from 1, as it was typed; for a command that came as
// separate words it is the column in those words joined by one blank. `word` counts words from 0.
// `message` says what was found and what was expected and has no position in it; `suggestion` is
// the keyword that was probably meant, or empty. Text that came from the user is quoted with
// control characters escaped, so that a message may be logged.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/exit_status.h"
#include "common/result.h"

namespace sluice::language {

struct ParseError {
    ExitStatus status = ExitStatus::usage;
    std::size_t column = 1;
    std::size_t word = 0;
    std::string message;
    std::string suggestion;

    // `column 15: unknown option "estblished"; expected …; did you mean "established"?`
    std::string text() const;

    // The same without the column.
    std::string sentence() const;

    // The same as the error type of the rest of the program.
    Error to_error() const { return {status, text()}; }
};

// `text` in double quotes, control characters and quotes escaped, cut when very long.
std::string quote(std::string_view text);

}  // namespace sluice::language
