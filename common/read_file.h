// Whole files as text. A folder, a failing disk or an endless pipe is an error like any other.
#pragma once

#include <cstddef>
#include <string>

#include "common/result.h"

namespace sluice {

// Fails with 64 if the file cannot be opened, with 69 if it cannot be read, with 65 if there are
// more than `maximum` bytes.
Result<std::string> read_file(const std::string& path, std::size_t maximum);

// What `fd`, which stays open, still holds. `name` is what messages call it.
Result<std::string> read_all(int fd, const std::string& name, std::size_t maximum);

}  // namespace sluice
