// Databases as files, so that a restart compiles nothing: `CONTENT.db` in one folder.
//
// A file is a header, with a checksum, and the database. It is for its owner alone, comes into
// being under another name, and is believed only if it belongs to us or root and nobody else can
// write it: what it holds is executed, in a way, by the data plane. One that does not fit is as
// good as none, and is replaced. The oldest go when there are too many.
//
// Failures are not told: it is a cache.
#pragma once

#include <optional>
#include <string>

#include "controlplane/patterns/database.h"

namespace sluice::patterns {

inline constexpr std::size_t kKeptDatabases = 64;
inline constexpr std::uint64_t kKeptBytes = std::uint64_t{512} << 20;

std::optional<Database> read_database(const std::string& folder, std::uint64_t content);
void keep_database(const std::string& folder, const Database& database);

}  // namespace sluice::patterns
