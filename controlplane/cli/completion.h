// What may stand next on the command line, for shells: `ipfw --complete [WORD …] PART` prints one
// candidate a line. The words are those of the language's own tables, so that a new option is
// offered without anybody thinking of it. No daemon is asked.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace sluice::cli {

inline constexpr char kCompleteFlag[] = "--complete";

// Sorted, each once. The last word is the part that has been typed, perhaps empty; those before it
// are complete. None: nothing is known, or a file name stands there.
std::vector<std::string> completions(std::span<const std::string> words);

}  // namespace sluice::cli
