// The forwarding table: from an address to the next hop, by the longest prefix.
//
// Purpose. Workers ask it for each packet that they route; `verrevpath`, `versrcreach` and
// `antispoof` ask it about sources; `fwd ADDRESS` asks it about the address that it names. It is
// the main routing table and the only one: policy routing (ip rule) and other tables do not exist
// for it, so the fib number that `setfib` writes on a packet is seen by the rules' `fib N` and by
// nothing else.
// Data layout. A PrefixTable for each family (prefix_table.h) leads to a next hop, or to a path
// set: the next hops of a route with several paths, each in as many of its buckets as its weight
// says. Equal next hops are one. Neighbours that are known and lie in a connected network have
// routes of full length of their own, which the Fib makes by itself: a look-up tells all that a
// packet needs. Numbers and lengths are in host byte order, addresses in that of the wire. Threads.
// One writer, the main thread. Readers are the workers; what `find` gives is valid until the
// reader's next quiescent state. A reader that looks up while a route changes finds the old next
// hop or the new one; no destination is ever without a route because of a change of another.
// Memory. Reserved at the start, touched when used; removed things are used again after a grace
// period. Failure. What does not fit is refused with a sentence and counted; nothing else changes:
// the prefix keeps what it had.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/address.h"
#include "common/result.h"
#include "dataplane/packet/environment.h"
#include "dataplane/route/next_hop.h"
#include "dataplane/route/prefix_table.h"

namespace sluice::route {

using Address = std::variant<Ipv4, Ipv6>;

struct Prefix {
    Address address;  // bits behind the length are ignored
    unsigned length = 0;
};

struct Path {
    packet::InterfaceIndex interface = packet::kNoInterface;
    // None: the destination is the neighbour (a connected network).
    std::optional<Address> gateway = {};
    unsigned weight = 1;  // REQUIRES: > 0
};

struct Route {
    Kind kind = Kind::forward;  // not `none`
    // forward: at least one, at most kMaximumPaths. Others: at most one, of which only the
    // interface counts (NextHop::interface).
    std::vector<Path> paths = {};
    unsigned mtu = 0;  // 0: that of the interface
};

inline constexpr std::size_t kMaximumPaths = 63;

// In a word of the tables: the number of a path set follows, else that of a next hop.
inline constexpr Word kPathSet = Word{1} << 30;

// The next hops of one route; a flow always takes the same bucket.
struct alignas(64) PathSet {
    std::uint32_t bucket_count = 0;
    std::uint32_t buckets[kMaximumPaths]{};  // next hops by number

    std::uint32_t bucket(std::uint32_t flow_hash) const {
        return buckets[std::uint64_t{flow_hash} * bucket_count >> 32];
    }
    std::span<const std::uint32_t> all() const { return {buckets, bucket_count}; }
};

class Fib {
  public:
    struct Limits {
        // For both families; a kilobyte each. A full table takes about 300,000.
        std::size_t groups = std::size_t{1} << 20;
        std::size_t next_hops = std::size_t{1} << 19;
        std::size_t path_sets = std::size_t{1} << 15;
        std::size_t neighbours = std::size_t{1} << 18;
    };
    static Result<std::unique_ptr<Fib>> create(const Limits& limits);
    ~Fib();
    Fib(const Fib&) = delete;
    Fib& operator=(const Fib&) = delete;

    // -- readers: workers, and anybody in a thread that is online --

    // `flow_hash` chooses among several paths: all its bits should be as good as random, and it
    // should be the same for all packets of a flow.
    const NextHop& find(Ipv4 destination, std::uint32_t flow_hash) const {
        return hop(table4_.find(groups_, destination.value.bytes), default4_, flow_hash);
    }
    const NextHop& find(const Ipv6& destination, std::uint32_t flow_hash) const {
        return hop(table6_.find(groups_, destination.bytes.data()), default6_, flow_hash);
    }
    // A burst of one family. The next hops are on their way into the cache when it returns.
    // REQUIRES: the three have one size.
    void find(std::span<const Ipv4> destinations, std::span<const std::uint32_t> flow_hashes,
              std::span<const NextHop*> found) const;
    void find(std::span<const Ipv6> destinations, std::span<const std::uint32_t> flow_hashes,
              std::span<const NextHop*> found) const;
    // The same for `count` destinations, destination_at(0) …: `take(i, hop)` gets the next hop of
    // each, and `flow_hash_of(i)` is asked if its route has several paths.
    // REQUIRES: count <= kBurst; destination_at gives references that stay.
    template <typename DestinationAt, typename FlowHashOf, typename Take>
    void find_each(std::size_t count, DestinationAt destination_at, FlowHashOf flow_hash_of,
                   Take take) const {
        using Destination = std::remove_cvref_t<decltype(destination_at(0))>;
        if constexpr (std::is_same_v<Destination, Ipv4>)
            find_burst(table4_, default4_, count, destination_at, flow_hash_of, take);
        else
            find_burst(table6_, default6_, count, destination_at, flow_hash_of, take);
    }
    static constexpr std::size_t kBurst = 64;
    // One of the paths of the route is by this interface; a route that discards or is local counts
    // with its own interface.
    bool leads_to(Ipv4 destination, packet::InterfaceIndex interface) const;
    bool leads_to(const Ipv6& destination, packet::InterfaceIndex interface) const;

    // REQUIRES: index != kNoNeighbour, from a NextHop that is valid.
    const Neighbour& neighbour(NeighbourIndex index) const { return neighbours_[index]; }

    // -- main thread: routes --

    // Adds, or replaces what the prefix had, also by a route of another kind.
    Result<Done> set_route(const Prefix& prefix, const Route& route);
    // A prefix that has no route is left alone.
    void remove_route(const Prefix& prefix);

    // -- main thread: neighbours --

    // The MAC address of a neighbour is known, or is another one. All next hops through it are good
    // at once. `address` is a gateway or lies in a connected network of the interface; if neither,
    // it is kept for the time when it will be.
    Result<Done> set_neighbour(packet::InterfaceIndex interface, const Address& address,
                               const MacAddress& mac);
    // It has failed or is gone: next hops through it are unresolved again, and an address of a
    // connected network is gleaned again.
    void remove_neighbour(packet::InterfaceIndex interface, const Address& address);

    struct NeighbourInfo {
        packet::InterfaceIndex interface = packet::kNoInterface;
        Address address;
        bool resolved = false;
        bool used = false;  // some worker has sent to it since `clear_used`
    };
    // By number from 1 to neighbour_end() - 1; none: the place is free.
    std::optional<NeighbourInfo> neighbour_info(NeighbourIndex index) const;
    NeighbourIndex neighbour_end() const;
    void clear_used(NeighbourIndex index) { neighbours_[index].clear_used(); }

    // -- main thread: memory --

    struct Usage {
        std::size_t routes4 = 0;
        std::size_t routes6 = 0;
        std::size_t neighbours = 0;  // known ones and unresolved gateways
        std::size_t next_hops = 0;   // different ones
        std::size_t groups = 0;      // of `maximum_groups`
        std::size_t maximum_groups = 0;
        std::uint64_t bytes = 0;    // that readers use; what the writer remembers is apart
        std::uint64_t refused = 0;  // routes and neighbours, since the start
    };
    Usage usage() const;

    // Gives back what has been removed and what no reader can see any more; to be called now and
    // then, at least a few times a second while routes change. `Periods` is a worker::ActiveRuntime
    // or the like: `begin_period()` gives the number of a grace period that begins now,
    // `period_over(number)` tells whether it has passed.
    template <typename Periods>
    void reclaim(Periods& periods) {
        if (waiting_ && periods.period_over(*waiting_)) {
            give_back_waiting();
            waiting_.reset();
        }
        if (!waiting_ && gather_retired())
            waiting_ = periods.begin_period();
    }
    // The same where nobody is reading.
    void reclaim_all();

  private:
    struct Writer;

    Fib(const Limits& limits);
    Result<Done> refuse(const std::string& what);
    bool gather_retired();
    void give_back_waiting();

    static const std::uint8_t* bytes_of(const Ipv4& address) { return address.value.bytes; }
    static const std::uint8_t* bytes_of(const Ipv6& address) { return address.bytes.data(); }

    const NextHop& hop(Word word, const Word& fallback, std::uint32_t flow_hash) const {
        if (word == 0)
            word = load(&fallback);
        if ((word & kPathSet) != 0)
            return next_hops_[path_sets_[word & kIndexMask].bucket(flow_hash)];
        return next_hops_[word];  // number 0 is the one of kind `none`
    }
    bool has_path(Word word, const Word& fallback, packet::InterfaceIndex interface) const;
    template <typename Table, typename DestinationAt, typename FlowHashOf, typename Take>
    void find_burst(const Table& table, const Word& fallback, std::size_t count,
                    DestinationAt destination_at, FlowHashOf flow_hash_of, Take take) const;
    template <typename DestinationAt>
    void descend(std::span<Word> words, DestinationAt destination_at) const;
    template <typename Destination>
    void find_span(std::span<const Destination> destinations,
                   std::span<const std::uint32_t> flow_hashes,
                   std::span<const NextHop*> found) const;

    GroupPool groups_;
    PrefixTable<4> table4_;
    PrefixTable<16> table6_;
    Word default4_ = 0;
    Word default6_ = 0;
    ReservedMemory next_hop_memory_;
    ReservedMemory path_set_memory_;
    ReservedMemory neighbour_memory_;
    NextHop* next_hops_ = nullptr;
    PathSet* path_sets_ = nullptr;
    Neighbour* neighbours_ = nullptr;
    std::optional<std::uint64_t> waiting_;
    std::unique_ptr<Writer> writer_;
};

// No load waits for another one, so that the cache misses of a burst overlap.
template <typename Table, typename DestinationAt, typename FlowHashOf, typename Take>
void Fib::find_burst(const Table& table, const Word& fallback, std::size_t count,
                     DestinationAt destination_at, FlowHashOf flow_hash_of, Take take) const {
    std::array<Word, kBurst> words;
    Word all = 0;
    const Word* root = table.root();
    if (table.is_large())
        for (std::size_t i = 0; i < count; ++i)
            __builtin_prefetch(root + table.root_index(bytes_of(destination_at(i))));
    for (std::size_t i = 0; i < count; ++i) {
        words[i] = load(root + table.root_index(bytes_of(destination_at(i))));
        all |= words[i];
    }
    if ((all & kChild) != 0)
        descend(std::span(words).first(count), destination_at);
    const Word otherwise = load(&fallback);
    const NextHop* hops = next_hops_;
    for (std::size_t i = 0; i < count; ++i) {
        Word word = words[i] & ~kDepthMask;
        word = word == 0 ? otherwise : word;
        if ((word & kPathSet) != 0) [[unlikely]]
            word = path_sets_[word & kIndexMask].bucket(flow_hash_of(i));
        take(i, hops[word]);  // number 0 is the one of kind `none`
    }
}

// From the words of the root on: one level for all of them at a time.
template <typename DestinationAt>
void Fib::descend(std::span<Word> words, DestinationAt destination_at) const {
    std::array<std::uint8_t, kBurst> open;  // those that lead to a group
    std::size_t open_count = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        open[open_count] = static_cast<std::uint8_t>(i);
        open_count += words[i] / kChild;
    }
    for (unsigned byte = kRootBytes; open_count != 0; ++byte) {
        const auto slot = [&](std::size_t i) {
            return groups_.at(words[i] & kIndexMask) + bytes_of(destination_at(i))[byte];
        };
        for (std::size_t at = 0; at < open_count; ++at)
            __builtin_prefetch(slot(open[at]));
        const std::size_t above = std::exchange(open_count, 0);
        for (std::size_t at = 0; at < above; ++at) {
            const std::size_t i = open[at];
            words[i] = load(slot(i));
            open[open_count] = static_cast<std::uint8_t>(i);
            open_count += words[i] / kChild;
        }
    }
}

}  // namespace sluice::route
