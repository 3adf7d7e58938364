// Which constructs of the language the engine carries out. The one table of that kind: the parser
// reads everything, this says what may run.
#pragma once

#include <optional>
#include <string>

#include "controlplane/language/construct.h"
#include "controlplane/language/model.h"

namespace sluice::compiler {

bool is_carried_out(language::Construct construct);

// None: the rule is carried out. Otherwise the sentence "not supported yet: NAME: REASON", or
// "cannot be carried out: …" if it never will be, about the first construct of the rule that is
// not.
std::optional<std::string> unsupported(const language::Rule& rule);

}  // namespace sluice::compiler
