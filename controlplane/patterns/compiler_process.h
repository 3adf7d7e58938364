// The process of sluice-patterns, from the side of who asks it.
//
// They share a socket of packets. Its first packet is the version of its Hyperscan. A request is a
// CompileRequest with two files: the order, to read, and one for the answer. It forks a child,
// which confines itself, compiles and writes; when that has ended, a ChildEnded comes back. When
// the socket is closed both end. Waiting for it takes no system call but those for sockets: who
// asks may have given up the one for waiting for processes, and the one for making them.
//
// It is one for each process, and started once: if it ends, it stays away.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace sluice::patterns {

inline constexpr int kCompilerSocket = 3;  // its number in sluice-patterns

struct CompileLimits {
    std::uint64_t cpu_s = 45;
    // By the clock: whoever waits may have a service manager that waits for it.
    std::uint64_t time_s = 50;
    std::uint64_t memory = std::uint64_t{4} << 30;
};

enum class CompilerTask : std::uint32_t {
    compile,  // a DatabaseOrder, to a database
    measure,  // a Subject, to a PatternCost
};

struct CompileRequest {
    CompilerTask task = CompilerTask::compile;
    std::uint32_t reserved = 0;
    CompileLimits limits;
};

struct ChildEnded {
    std::int32_t status = 0;  // of waitpid
    std::uint32_t late = 0;   // it was ended because of time_s
};

inline constexpr std::uint64_t kLongestAnswer = std::uint64_t{1} << 30;

Result<Done> start_compiler_process();

// Of Hyperscan in sluice-patterns; empty: it cannot be started.
std::string compiler_version();

// An order as bytes; the answer as bytes. The error is a sentence for an operator.
Result<std::string> ask_compiler(std::string_view order, const CompileLimits& limits = {},
                                 CompilerTask task = CompilerTask::compile);

}  // namespace sluice::patterns
