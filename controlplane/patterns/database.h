// Databases of Hyperscan: what the patterns of an object are compiled to.
//
// Nothing is compiled in the own process, which need not even be linked with Hyperscan: expressions
// come from users, and a compiler of 5 MB that is fed with them may take any time, any memory, or a
// wrong turn. The program sluice-patterns is started once, waits, and forks a child for each order,
// with limits for time and memory and no system calls but those for memory (compiler_process.h).
//
// What was compiled once is not again: databases that somebody still has are found by the hash of
// their content, and with a folder for them others are too, after a restart (database_folder.h).
//
// Threads: any of them may call any of this; one order is compiled at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/pattern.h"

namespace sluice::patterns {

struct DatabaseOrder {
    contract::PatternMode mode = contract::PatternMode::packet;
    bool ignore_case = false;
    std::vector<std::string> patterns = {};  // canonical, of type bytes; at least one
};

// Of all that the database depends on, the version of Hyperscan too, so that it may start
// sluice-patterns.
std::uint64_t content_hash(const DatabaseOrder& order);

struct Database {
    std::uint64_t content = 0;
    std::vector<std::byte> bytes;  // of hs_serialize_database
};

struct DatabaseError {
    static constexpr std::size_t npos = static_cast<std::size_t>(-1);

    std::size_t pattern = npos;  // its place in the order; npos: none in particular
    std::string message;
    std::size_t column = npos;  // from 0 on, in its text; npos: none in particular
};

// Blocks until it is done: seconds, for ten thousand expressions.
Result<std::shared_ptr<const Database>, DatabaseError> make_database(const DatabaseOrder& order);

// Starts sluice-patterns now, for a process that will not be allowed to later; another one need
// not. An error is told again by each `make_database`.
Result<Done> start_compiler();

// Where databases are kept. It is made if it is not there; empty, as it is at first: nowhere.
void set_database_folder(std::string folder);

}  // namespace sluice::patterns
