// The words of a command line, one after the other: what the parsers of our own commands begin
// with.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "common/exit_status.h"
#include "controlplane/language/parse_error.h"

namespace sluice::cli {

inline bool is_short_flag(std::string_view word) {
    return word.size() > 1 && word.front() == '-' && word[1] != '-';
}

class CommandWords {
  protected:
    explicit CommandWords(std::span<const std::string> arguments) : arguments_(arguments) {}

    // Empty behind the last one.
    std::string word() const { return at_ < arguments_.size() ? arguments_[at_] : std::string(); }
    bool at_end() const { return at_ >= arguments_.size(); }

    // The word here is wrong; always false.
    bool fail(std::string message, ExitStatus status = ExitStatus::usage) {
        std::size_t column = 1;
        for (std::size_t i = 0; i < at_ && i < arguments_.size(); ++i)
            column += arguments_[i].size() + 1;
        error_ = language::ParseError{status, column, at_, std::move(message), {}};
        return false;
    }

    std::span<const std::string> arguments_;
    std::size_t at_ = 0;
    language::ParseError error_;
};

}  // namespace sluice::cli
