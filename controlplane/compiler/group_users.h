// `gid`: the kernel of Linux does not tell the groups of a socket's owner, so a group stands for
// the users that belong to it, as /etc/passwd and /etc/group say when the rule is compiled.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace sluice::compiler {

struct UserFiles {
    std::string users = "/etc/passwd";
    std::string groups = "/etc/group";
};

// Ids of the users whose primary group it is, or who are listed as its members; ascending. A group
// that nobody belongs to, or that there is not, has none. More than a hundred thousand are refused.
Result<std::vector<std::uint32_t>> users_of_group(std::uint32_t group, const UserFiles& files = {});

}  // namespace sluice::compiler
