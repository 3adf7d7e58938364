// Random rules, as text: every construct that the engine carries out comes up sooner or later, the
// addresses, ports and numbers are from a small world so that packets do hit them.
#pragma once

#include <string>
#include <vector>

#include "controlplane/language/model.h"
#include "controlplane/language/table_command.h"
#include "dataplane/packet/environment.h"
#include "tests/reference/random_source.h"

namespace sluice::reference {

// What follows `add`, without a number.
std::string random_rule_text(Random& random);

// `NUMBER RULE` lines with ascending numbers, some of them equal.
std::vector<std::string> random_ruleset(Random& random, unsigned rule_count);

// Commands that fill the tables which random rules name; some fail, as that of a key that is there.
std::vector<std::string> random_tables(Random& random, unsigned command_count);
std::vector<language::TableCommand> parse_tables(const std::vector<std::string>& commands);

// Interfaces, addresses and routes of that world; `variant` 0, 1, …
packet::Environment world(unsigned variant);

// Reads the lines. Aborts on a line that does not parse: the generator or the parser is wrong.
std::vector<language::Rule> parse_rules(const std::vector<std::string>& lines);

}  // namespace sluice::reference
