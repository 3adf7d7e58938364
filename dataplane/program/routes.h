// The routes that `verrevpath`, `versrcreach` and `antispoof` ask, taken from the environment.
// Longest prefix first, searched in order: a bridge and a replay have a handful.
#pragma once

#include <vector>

#include "dataplane/packet/packet.h"

namespace sluice::program {

class Routes {
  public:
    explicit Routes(const packet::Environment& environment);

    // The route back to the source leaves by the interface that the packet came in by.
    bool reverse_path_ok(const packet::Packet& packet) const;
    // There is a route to the source that is not the default and does not discard.
    bool source_reachable(const packet::Packet& packet) const;
    // A source in a directly connected network came in by that network's interface.
    bool not_spoofed(const packet::Packet& packet) const;

  private:
    struct Entry {
        unsigned version = 4;
        Ipv6 prefix{};
        Ipv6 mask{};
        unsigned length = 0;
        bool discards = false;
        bool connected = false;
        packet::InterfaceIndex interface = packet::kNoInterface;
    };

    const Entry* find(const packet::Headers& headers) const;
    void add(const std::variant<Ipv4, Ipv6>& prefix, unsigned length, Entry entry);

    std::vector<Entry> entries_;
    bool has_ipv6_address_ = false;
};

}  // namespace sluice::program
