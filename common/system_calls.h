// Which system calls the process may still make (seccomp).
//
// A list of numbers becomes a filter for all threads that the kernel runs before each system call.
// A call that is not on the list, and not one that every process makes (memory, clocks, signals,
// its own end), is not made. What happens instead is the caller's choice:
//
//   Otherwise::refuse  it fails with EPERM, and the process goes on
//   Otherwise::end     the process ends at once, by SIGSYS
//
// Either way a line on the standard error names the call; the first kLongestReport times, so that a
// loop fills no disk. There is no way back, and a second filter only narrows the first one.
//
// The filter is written out here rather than by libseccomp: it is a list of comparisons, and the
// data plane links as little as it can. It knows x86-64 and AArch64; calls of another instruction
// set of the same kernel (32 bits, x32) end the process. Sanitizers need calls of their own that
// differ from version to version, so programs that are built with them have no filter.
#pragma once

#include <span>

#include "common/result.h"

namespace sluice {

enum class Otherwise { refuse, end };

inline constexpr int kLongestReport = 16;

// False: a sanitizer is built in, or nobody has written down the numbers of this processor.
bool can_restrict_system_calls();

// `program`: how it begins its messages. Threads may be made as long as clone is on the list;
// processes may not. clone3, whose flags no filter can see, fails as if the kernel did not have it.
// REQUIRES: can_restrict_system_calls(), and no_new_privs is set.
Result<Done> restrict_system_calls(std::span<const int> allowed, Otherwise otherwise,
                                   const char* program);

}  // namespace sluice
