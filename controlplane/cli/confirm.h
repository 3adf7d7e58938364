// `Are you sure? [yn]`
#pragma once

namespace sluice::cli {

// Asks on standard output until the answer begins with y or n; the end of the input is a no.
bool confirmed();

// ipfw(8): nobody can be asked when standard input is no terminal.
bool can_ask();

}  // namespace sluice::cli
