#include "controlplane/service/roles.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include "common/peer.h"

namespace sluice::service {
namespace {

bool is_for_operators(const Operation& operation) {
    return std::holds_alternative<language::ZeroCommand>(operation.what) ||
           std::holds_alternative<StateOperation>(operation.what) ||
           std::holds_alternative<FollowOperation>(operation.what) ||
           std::holds_alternative<TableOperation>(operation.what) ||
           std::holds_alternative<PatternOperation>(operation.what);
}

}  // namespace

Role needed_for(const Operation& operation) {
    // Nothing that runs changes, but what the appliance boots with.
    const auto* history = std::get_if<HistoryOperation>(&operation.what);
    if (history != nullptr && history->kind == HistoryOperation::Kind::save)
        return Role::admin;
    if (!changes_something(operation))
        return Role::read;
    return is_for_operators(operation) ? Role::operate : Role::admin;
}

Role needed_for(const Request& request) {
    // A file without rules replaces all of them, too.
    Role needed = request.apply ? Role::admin : Role::read;
    for (const Operation& operation : request.operations)
        needed = std::max(needed, needed_for(operation));
    return needed;
}

Result<Roles> Roles::resolve(const config::Control& settings) {
    Roles roles;
    const auto give = [&](const std::vector<std::string>& names, Role role) -> Result<Done> {
        for (const std::string& name : names) {
            const bool is_group = name.front() == '@';
            const group* found_group = is_group ? getgrnam(name.c_str() + 1) : nullptr;
            const passwd* found_user = is_group ? nullptr : getpwnam(name.c_str());
            if (found_group != nullptr)
                roles.groups_.push_back({found_group->gr_gid, role});
            else if (found_user != nullptr)
                roles.users_.push_back({found_user->pw_uid, role});
            else
                return Error{ExitStatus::data,
                             std::string("there is no ") + (is_group ? "group " : "user ") +
                                 (is_group ? name.substr(1) : name) +
                                 "; create it, or take it out of " + std::string(name_of(role)) +
                                 " in [control] of sluice.toml"};
        }
        return Done{};
    };
    for (const auto& [names, role] :
         {std::pair{&settings.read, Role::read}, std::pair{&settings.operate, Role::operate},
          std::pair{&settings.admin, Role::admin}})
        if (const Result<Done> given = give(*names, role); !given)
            return given.error();
    return roles;
}

Peer Roles::peer(int connection, gid_t group) const {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return {.user = static_cast<uid_t>(-1), .process = 0, .role = Role::none};
    Peer peer{.user = credentials.uid, .process = credentials.pid, .role = Role::none};
    if (peer.user == 0 || peer.user == geteuid() ||
        peer_has_group(connection, credentials, group)) {
        peer.role = Role::admin;
        return peer;
    }
    for (const auto& [id, role] : users_)
        if (id == peer.user)
            peer.role = std::max(peer.role, role);
    for (const auto& [id, role] : groups_)
        if (role > peer.role && peer_has_group(connection, credentials, id))
            peer.role = role;
    return peer;
}

Error permission_denied(const Peer& peer, const Request& request) {
    return {ExitStatus::no_permission,
            "permission denied: that needs the role " + std::string(name_of(needed_for(request))) +
                ", and user " + std::to_string(peer.user) + " has the role " +
                std::string(name_of(peer.role)) + " ([control] in sluice.toml)"};
}

}  // namespace sluice::service
