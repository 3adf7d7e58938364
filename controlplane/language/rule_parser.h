// Text → Rule: what follows `add`.
//
//     [N] [set S] [prob P] action [log …] [altq Q] [tag N] [proto from S to D] [options] [// text]
//
// Both eras of ipfw(8) are read: the page of 2003 and today's. What cannot be represented is
// refused, never cut to size: port 65536, `skipto 70000` and rule 88888 are errors (65). Host,
// service, user and group names become numbers here, once. The result is canonical (see
// canonical.h): printing it and reading the print gives an equal Rule.
//
// Nothing is said here about what the engine can carry out; see construct.h.
#pragma once

#include <span>
#include <string_view>

#include "controlplane/language/model.h"
#include "controlplane/language/names.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/language/words.h"

namespace sluice::language {

// `words` begin after `add`. `first_word` is the index of words[0] in the command, for
// ParseError::word; `end_column` is where a missing word would stand if `words` is empty.
Result<Rule, ParseError> parse_rule(std::span<const Word> words, const NameResolver& resolver,
                                    std::size_t first_word = 0, std::size_t end_column = 1);

// The same for a text without the word `add`.
// Why a rule cannot have both: a jump to it would lead nowhere one day.
inline constexpr char kLabelledRuleExpires[] =
    "a rule with a label cannot expire; put the label in front of another rule";

Result<Rule, ParseError> parse_rule(std::string_view text, const NameResolver& resolver);

}  // namespace sluice::language
