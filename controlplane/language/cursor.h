// Where a parser stands in the words of a command, and the first error it met.
//
// The parsing functions return false after `fail`; the error is fetched once, at the end. Internal
// to this folder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "controlplane/language/parse_error.h"
#include "controlplane/language/values.h"
#include "controlplane/language/words.h"

namespace sluice::language {

class Cursor {
  public:
    Cursor(std::span<const Word> words, std::size_t first_word, std::size_t end_column)
        : words_(words), first_word_(first_word), end_column_(end_column) {
        if (!words.empty())
            end_column_ = words.back().column_of(words.back().text.size()) + 1;
    }

    bool at_end() const { return at_ >= words_.size(); }
    std::size_t position() const { return at_; }
    std::size_t remaining() const { return words_.size() - at_; }

    // The current word, empty at the end.
    std::string_view word() const {
        return at_end() ? std::string_view{} : std::string_view(words_[at_].text).substr(skipped_);
    }

    // Whether it comes from a shell, which takes quotes away.
    bool is_argument() const { return !at_end() && words_[at_].is_argument; }

    // The word `ahead` places further on, empty beyond the end.
    std::string_view peek(std::size_t ahead) const {
        return at_ + ahead < words_.size() ? std::string_view(words_[at_ + ahead].text)
                                           : std::string_view{};
    }

    void advance() {
        ++at_;
        skipped_ = 0;
    }

    // Goes on behind the first character of the current word: `{tcp`.
    void advance_character() {
        if (++skipped_ >= words_[at_].text.size())
            advance();
    }

    bool take(std::string_view text) {
        if (at_end() || word() != text)
            return false;
        advance();
        return true;
    }

    // Always false, so that `return cursor.fail(…)` reads well.
    bool fail(ExitStatus status, std::string message, std::string suggestion = {},
              std::size_t offset = 0) {
        return fail_at(at_, status, std::move(message), std::move(suggestion), offset + skipped_);
    }

    bool fail(const ValueError& error) {
        return fail(error.status, error.message, error.suggestion, error.offset);
    }

    bool fail_at(std::size_t position, ExitStatus status, std::string message,
                 std::string suggestion = {}, std::size_t offset = 0) {
        std::size_t column =
            position < words_.size() ? words_[position].column_of(offset) : end_column_;
        error_ = ParseError{status, column, first_word_ + position, std::move(message),
                            std::move(suggestion)};
        return false;
    }

    // Takes over what another parser found; always false.
    bool set_error(ParseError error) {
        error_ = std::move(error);
        return false;
    }

    // `missing WHAT`, at the end of the command or before the word found instead. `keyword` is the
    // word that is missing, if it is one: a misspelling of it is pointed out.
    bool fail_missing(std::string_view what, std::string_view keyword = {}) {
        std::string message = "missing " + std::string(what);
        message += at_end() ? " at the end of the command" : "; found " + quote(word());
        std::string_view candidates[] = {keyword};
        return fail(ExitStatus::usage, message, std::string(nearest(word(), candidates)));
    }

    // REQUIRES: fail was called.
    const ParseError& error() const { return *error_; }

  private:
    std::span<const Word> words_;
    std::size_t first_word_;
    std::size_t end_column_;
    std::size_t at_ = 0;
    std::size_t skipped_ = 0;
    std::optional<ParseError> error_;
};

}  // namespace sluice::language
