// The writer's side of what lookups lead to: next hops and path sets, each kept once and counted,
// and neighbours.
//
// Threads. The main thread's alone; it fills places that no reader knows yet and leaves those alone
// that a reader may know, until a grace period has passed.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "dataplane/route/fib.h"
#include "dataplane/route/pool.h"

namespace sluice::route {

struct NeighbourKey {
    std::uint8_t version = 4;
    Ipv6 address{};  // IPv4 in the first four bytes
    packet::InterfaceIndex interface = packet::kNoInterface;

    // The addresses of a prefix follow each other.
    bool operator<(const NeighbourKey& other) const;
};

NeighbourKey neighbour_key(packet::InterfaceIndex interface, const Address& address);

class NextHopStore {
  public:
    struct Memory {
        NextHop* next_hops;
        PathSet* path_sets;
        Neighbour* neighbours;
    };
    NextHopStore(const Memory& memory, const Fib::Limits& limits);

    // The word of a route, held once more; 0: there is no place for what it needs.
    Word hold_route(const Route& route, bool is_default);
    // The word of one next hop, held once more; 0: as above.
    Word hold_next_hop(const NextHop& next_hop);
    void release(Word word);
    // The next hops of a word; a single one, or one for each bucket.
    std::span<const std::uint32_t> next_hops(const Word& word) const;
    const NextHop& next_hop(std::uint32_t number) const { return memory_.next_hops[number]; }

    struct NeighbourPlace {
        NeighbourKey key;
        std::uint32_t next_hops = 0;  // that lead to it
        bool known = false;           // the host has its MAC address
        bool in_use = false;
    };
    using NeighbourMap = std::map<NeighbourKey, NeighbourIndex>;

    // A new one is not resolved. kNoNeighbour: there is no place.
    NeighbourIndex neighbour(const NeighbourKey& key);
    std::optional<NeighbourIndex> find_neighbour(const NeighbourKey& key) const;
    const NeighbourMap& neighbours() const { return neighbours_; }
    NeighbourPlace& place(NeighbourIndex index) { return places_[index]; }
    // Gives the place back if the neighbour is neither known nor anybody's gateway.
    void drop_if_unused(NeighbourIndex index);

    Pool& next_hop_numbers() { return next_hop_numbers_; }
    Pool& path_set_numbers() { return path_set_numbers_; }
    Pool& neighbour_numbers() { return neighbour_numbers_; }

  private:
    struct NextHopHash {
        std::size_t operator()(const NextHop& next_hop) const;
    };
    struct NextHopEqual {
        bool operator()(const NextHop& a, const NextHop& b) const;
    };

    Word hold_path(const Route& route, const Path& path, bool is_default);
    Word hold_path_set(const std::vector<std::uint32_t>& buckets);

    Memory memory_;
    Pool next_hop_numbers_;
    Pool path_set_numbers_;
    Pool neighbour_numbers_;
    std::unordered_map<NextHop, std::uint32_t, NextHopHash, NextHopEqual> next_hops_;
    std::vector<std::uint32_t> next_hop_holders_;
    std::map<std::vector<std::uint32_t>, std::uint32_t> path_sets_;
    std::vector<std::uint32_t> path_set_holders_;
    NeighbourMap neighbours_;
    std::vector<NeighbourPlace> places_;
};

}  // namespace sluice::route
