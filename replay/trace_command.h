// `ipfw trace --rules FILE [--env ENV] [--prob-as match|skip] PACKET`: which way a packet would
// take through the rules of a file, without a daemon.
#pragma once

namespace sluice::replay {

// `arguments` behind the word `trace`. Returns the exit status.
int run_trace(int argument_count, char** arguments);

}  // namespace sluice::replay
