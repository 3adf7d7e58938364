// Who may ask for what on the control socket.
//
// Roles are given in [control] of sluice.toml by names of users and groups, which are looked up
// once, when the daemon starts; a name that nobody has is an error there. Root, the user that the
// control plane runs as, and members of the socket's group have every right. The peer's user and
// groups are those that the kernel tells; nothing that a client says counts. What no list says is
// for admins: an operation that somebody adds and forgets here is not open to everybody.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "config/settings.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

enum class Role : std::uint8_t {
    none,
    read,     // lists
    operate,  // counters, tables and states as well
    admin,    // everything
};
inline constexpr std::array<std::string_view, 4> kRoleNames = {"none", "read", "operate", "admin"};
constexpr std::string_view name_of(Role role) {
    return kRoleNames[static_cast<std::size_t>(role)];
}

// The least role that may ask for it.
Role needed_for(const Operation& operation);
Role needed_for(const Request& request);

// Who asks.
struct Peer {
    uid_t user = 0;
    pid_t process = 0;
    Role role = Role::none;
};

class Roles {
  public:
    Roles() = default;  // nobody has one but root, our own user and the group
    static Result<Roles> resolve(const config::Control& settings);

    // Somebody is named, who need not be in the group of the socket.
    bool names_anybody() const { return !users_.empty() || !groups_.empty(); }

    // `group`: that of the socket.
    Peer peer(int connection, gid_t group) const;

  private:
    template <typename Id>
    struct Given {
        Id id;
        Role role;
    };
    std::vector<Given<uid_t>> users_;
    std::vector<Given<gid_t>> groups_;
};

// The request is refused: the sentence says why.
Error permission_denied(const Peer& peer, const Request& request);

}  // namespace sluice::service
