// Who is at the other end of a Unix socket.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

namespace sluice {

// Whether the process, whose credentials are `peer`, belongs to a group: as its own one or as one
// of the others.
bool peer_has_group(int socket, const ucred& peer, gid_t group);

}  // namespace sluice
