// Reads back what print_rule wrote.
//
// Canonical text is no line of a file: a comment that was typed in a shell may hold a `#`, which
// would end a line. Names have been resolved when it was written, so none are looked up.
#pragma once

#include <string_view>

#include "controlplane/language/model.h"
#include "controlplane/language/parse_error.h"

namespace sluice::ruleset {

// `text` is what follows `add`.
Result<language::Rule, language::ParseError> parse_canonical(std::string_view text);

}  // namespace sluice::ruleset
