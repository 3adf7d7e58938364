// A Linux interface whose packets a port reads by packet or XDP sockets (net_af_packet, net_af_xdp).
//
// The kernel still sees every packet that comes in by it. On a bridge that does no harm, since the
// interface has no addresses; on a gateway the kernel has the appliance's addresses, on the twins,
// and would answer everything a second time, past the rules. So a filter (tc, clsact, a classic BPF
// program of one instruction) drops what comes in, behind the packet sockets.
//
// Threads: the main thread.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice::host {

class CapturedLink {
  public:
    // In the network namespace of this process.
    explicit CapturedLink(std::string interface);

    // The kernel takes nothing more from the interface, until this object goes. A process that is
    // killed leaves the filter behind; the next one takes it over. Needs CAP_NET_ADMIN.
    Result<Done> keep_kernel_out();

    // Set up by the operator, and with a carrier; also where that cannot be found out. DPDK's drivers
    // do not tell.
    bool is_up() const;

    CapturedLink(CapturedLink&& other) noexcept;
    ~CapturedLink();

  private:
    UniqueFd control_;
    std::string interface_;
    bool keeps_kernel_out_ = false;  // false too when moved from
};

}  // namespace sluice::host
