// What workers ask the main thread for: neighbours that they have packets for and do not know.
//
// A ring for each worker and one bell. A ring that is full forgets the request: the worker asks
// again as long as the packet waits.
//
// Threads: `ask` belongs to the worker whose number it is given, the rest to the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/address.h"
#include "common/result.h"
#include "dataplane/packet/environment.h"
#include "dataplane/worker/bell.h"

struct rte_ring;

namespace sluice::worker {

struct Solicitation {
    Ipv6 address;  // IPv4: the first four bytes
    packet::InterfaceIndex interface = packet::kNoInterface;
    std::uint16_t version = 0;  // 4 or 6
    bool operator==(const Solicitation&) const = default;
};

class Solicitations {
  public:
    static Result<Solicitations> create(unsigned workers);

    // A system call only if nobody has rung since the main thread looked.
    void ask(unsigned worker, const Solicitation& wanted);

    // Readable when there is something to take.
    int bell() const { return bell_.descriptor(); }
    // Takes at most `maximum` requests.
    std::vector<Solicitation> take(std::size_t maximum);

  private:
    struct Free {
        void operator()(rte_ring* ring) const;
    };

    Solicitations(unsigned workers, Bell bell);

    std::vector<std::unique_ptr<rte_ring, Free>> rings_;
    Bell bell_;
};

}  // namespace sluice::worker
