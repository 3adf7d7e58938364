// The environment file of a replay. One statement a line, `#` starts a comment:
//
//     default accept|deny
//     if NAME ADDRESS/LENGTH…
//     route PREFIX INTERFACE|blackhole|reject
//     sysctl NAME=VALUE
//     seed N
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/packet/environment.h"

namespace sluice::replay {

struct SysctlSetting {
    std::string name;
    std::string value;
};

struct EnvironmentFile {
    packet::Environment environment;
    bool default_accept = false;
    std::vector<SysctlSetting> sysctls;
    std::uint64_t seed = 0;
};

// Errors name the line. `origin` is the file's name, for them.
Result<EnvironmentFile> parse_environment(std::string_view text, const std::string& origin);

// Index of the interface; none if the environment does not name it.
packet::InterfaceIndex find_interface(const packet::Environment& environment,
                                      std::string_view name);

}  // namespace sluice::replay
