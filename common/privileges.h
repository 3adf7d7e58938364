// Giving rights up: another user, few capabilities, no way back.
//
// Linux keeps capabilities for each thread. A process that has threads already (DPDK starts its own
// before the ports are open) cannot give them up in one of them only, so `keep_only` interrupts
// each of them once with a signal and makes it do the same; then it looks, in /proc, whether all
// have. What can be done before there are threads (`become`, `forbid_new_privileges`) is done
// there, and threads inherit it.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace sluice {

// Bit N stands for capability N of linux/capability.h.
using Capabilities = std::uint64_t;

constexpr Capabilities capability(int number) {
    return Capabilities{1} << number;
}

// Becomes this user, with its group and its other groups, and keeps these capabilities of those
// that the process has. For a process that is this user already: only the capabilities.
// REQUIRES: the process has no other thread.
Result<Done> become(const std::string& user, Capabilities kept);

// Programs that are executed gain no rights by set-user-ID bits or file capabilities.
// REQUIRES: the process has no other thread.
Result<Done> forbid_new_privileges();

// The folder of the file `path`, for this user, if it is not there yet.
Result<Done> make_folder_for(const std::string& user, const std::string& path);

// The same for a folder that is for nobody else.
Result<Done> make_private_folder_for(const std::string& user, const std::string& folder);

// Every thread keeps these capabilities, if it has them, and no others.
Result<Done> keep_only(Capabilities kept);

// Of the calling thread.
Capabilities effective_capabilities();

// For the operator: `cap_net_admin, cap_bpf`, or `none`.
std::string names_of(Capabilities capabilities);

}  // namespace sluice
