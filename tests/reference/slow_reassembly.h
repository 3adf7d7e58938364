// Fragments of IPv4 put together, as `reass` does it, in the plainest way: a list of datagrams,
// each with its pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/packet/packet.h"
#include "tests/reference/frame.h"
#include "tests/reference/slow_packet.h"

namespace sluice::reference {

class SlowReassembly {
  public:
    struct Result {
        bool refused = false;
        std::optional<Frame> whole;
    };
    // `frame` is what `packet` was decoded from; what rules have changed is in the latter.
    Result add(const Frame& frame, const SlowPacket& packet, packet::InterfaceIndex interface,
               std::uint64_t now_s);

    void advance_to(std::uint64_t now_s);

  private:
    struct Datagram {
        std::vector<std::uint8_t> key;
        std::uint64_t since_s = 0;
        std::map<unsigned, std::vector<std::uint8_t>> pieces;  // by offset
        std::optional<unsigned> total;
        Frame link;                        // in front of the IP header of the first fragment
        std::vector<std::uint8_t> header;  // of IP
    };

    static std::optional<Frame> whole(const Datagram& datagram);

    std::list<Datagram> datagrams_;  // the oldest first
};

}  // namespace sluice::reference
