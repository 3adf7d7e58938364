// What the kernel does with packets that come in by an interface, before its network stack sees
// them: a BPF program on tc's clsact. Packet sockets see the packets before that.
#pragma once

#include <libmnl/libmnl.h>

namespace sluice::host {

// Interfaces are named by their index. All return 0 or an errno; a filter of ours that is there is
// replaced.

// `program`: descriptor of a BPF_PROG_TYPE_SCHED_CLS program that says what becomes of the packet.
int filter_ingress(mnl_socket* socket, int interface, int program);

// Drops everything.
int drop_ingress(mnl_socket* socket, int interface);

// Takes our filter away.
int unfilter_ingress(mnl_socket* socket, int interface);

}  // namespace sluice::host
