// The file of `table T load FILE`: a prefix and perhaps a value a line, `#` starts a comment.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace sluice::service {

// The file with its comments and needless blanks left out; lines keep their numbers. Errors name
// file, line and column.
Result<std::string> parse_table_file(std::string_view text, const std::string& name);

Result<std::string> read_table_file(const std::string& path);

}  // namespace sluice::service
