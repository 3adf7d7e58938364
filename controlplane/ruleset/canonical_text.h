// Reads back what print_rule wrote.
//
// Canonical text is no line of a file: it may be longer, for lists are taken apart, and a `#` in it
// is an error, not the end of the line. Names have been resolved when it was written, so none are
// looked up.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "controlplane/language/model.h"
#include "controlplane/language/parse_error.h"

namespace sluice::ruleset {

// `text` is what follows `add`.
Result<language::Rule, language::ParseError> parse_canonical(std::string_view text);

// What stands in front of the rule's own text in `100 set 2 allow ip from any to any`.
struct CanonicalParts {
    std::uint16_t number = 0;  // 0: none
    std::uint8_t set = 0;
    std::string_view text;
};

// None: number and set are not written as they would be printed.
std::optional<CanonicalParts> split_canonical(std::string_view text);

}  // namespace sluice::ruleset
