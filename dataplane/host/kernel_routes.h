// The routes of the kernel's tables, the choice among those to one prefix, and what becomes of it
// in the Fib.
//
// Layout. Each prefix has candidates: table, metric and *shape* (kind, paths by link, MTU). Few
// shapes serve very many prefixes, so each is kept once, with what it means for the Fib at present.
// Changes mark a prefix; `flush` brings the Fib in line, so that what is replaced twice in one
// batch is written once and is never missing in between. Dumps. A dump confirms candidates; those
// that no message has confirmed since `begin_dump` stand behind confirmed ones of the same metric,
// and a sweep takes them away after the dump. Work that concerns all prefixes — the sweep, links
// that look at something else — is done by `scan`, a bounded number at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dataplane/host/interfaces.h"
#include "dataplane/host/messages.h"
#include "dataplane/route/fib.h"

namespace sluice::host {

class KernelRoutes {
  public:
    KernelRoutes(const Interfaces& interfaces, route::Fib& fib);

    // False: a route was removed that is not known like this; something has been missed.
    bool apply(const RouteMessage& message);
    // A message out of a dump.
    void confirm(const RouteMessage& message);
    // Prefixes that these things led to look for their routes again.
    void touch(const Interfaces::Touched& links);
    // Some route uses this next hop object.
    bool uses(std::uint32_t next_hop_object) const;

    void begin_dump() { ++epoch_; }
    void end_dump();

    // At most `most` prefixes are looked at. True: there is more to do.
    bool scan(std::size_t most);
    bool scanning() const { return cursor_ < entries_.size(); }
    // Brings the Fib in line with what has been marked.
    void flush();
    // Up to `most` of the routes that were refused are tried again at the next flush.
    void retry_refused(std::size_t most);

    struct Counters {
        std::uint64_t withdrawn = 0;
        std::uint64_t refused = 0;
    };
    const Counters& counters() const { return counters_; }
    // The sentence of the last route that was refused; empty: none since the last call.
    std::string take_refusal() { return std::exchange(refusal_, {}); }
    std::size_t size() const { return numbers_.size(); }

  private:
    struct Shape {
        route::Kind kind = route::Kind::forward;
        std::vector<RoutePath> paths;
        unsigned mtu = 0;
        std::uint32_t next_hop_object = 0;

        bool operator<(const Shape& other) const;
    };
    using ShapeNumber = std::uint32_t;  // 0: none
    struct ShapePlace {
        const Shape* shape = nullptr;  // null: free
        std::uint32_t candidates = 0;
        bool touched = false;
        // What it is for the Fib; none: no path of it is usable.
        std::optional<route::Route> meaning;
    };
    struct Candidate {
        ShapeNumber shape = 0;
        std::uint32_t metric = 0;
        TableRank table = TableRank::main;
        std::uint8_t epoch = 0;
    };
    struct Entry {
        route::Prefix prefix;
        std::vector<Candidate> candidates;
        bool in_use = false;
        bool marked = false;
        bool installed = false;
        bool refused = false;
    };
    struct PrefixHash {
        std::size_t operator()(const route::Prefix& prefix) const;
    };
    struct PrefixEqual {
        bool operator()(const route::Prefix& a, const route::Prefix& b) const {
            return a.length == b.length && a.address == b.address;
        }
    };

    void add_built_in();
    std::uint32_t entry_of(const route::Prefix& prefix);
    ShapeNumber hold(const RouteMessage& message);
    void release(ShapeNumber number);
    std::optional<route::Route> meaning_of(const Shape& shape) const;
    const Shape& shape(const Candidate& candidate) const { return *shapes_[candidate.shape].shape; }
    static bool alike(const Candidate& candidate, const RouteMessage& message) {
        return candidate.table == message.table && candidate.metric == message.metric;
    }
    // False: it is there already, the only one.
    bool put(Entry& entry, const RouteMessage& message);
    bool drop(Entry& entry, const RouteMessage& message);
    bool drop_paths(Entry& entry, const RouteMessage& message);
    void erase(Entry& entry, std::size_t candidate);
    void replace(Candidate& candidate, ShapeNumber shape);
    const route::Route* chosen(const Entry& entry) const;
    void mark(std::uint32_t number);
    void settle(std::uint32_t number);

    const Interfaces& interfaces_;
    route::Fib& fib_;
    std::map<Shape, ShapeNumber> shape_numbers_;
    std::vector<ShapePlace> shapes_;
    std::vector<ShapeNumber> free_shapes_;
    std::unordered_map<route::Prefix, std::uint32_t, PrefixHash, PrefixEqual> numbers_;
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> free_entries_;
    std::vector<std::uint32_t> marked_;
    std::deque<std::uint32_t> refused_;
    std::size_t cursor_ = 0;
    bool sweeping_ = false;
    std::uint8_t epoch_ = 0;
    Counters counters_;
    std::string refusal_;
};

}  // namespace sluice::host
