#include "dataplane/route/fib.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "dataplane/route/next_hop_store.h"
#include "dataplane/route/rib.h"

namespace sluice::route {

namespace {

// From so many routes of a family on, large pages are worth their memory.
constexpr std::size_t kLargeTable = 8192;

std::string text_of(const Prefix& prefix) {
    return std::visit([](const auto& address) { return to_string(address); }, prefix.address) +
           "/" + std::to_string(prefix.length);
}

bool covers(const std::uint8_t* prefix, unsigned length, const std::uint8_t* address) {
    if (std::memcmp(prefix, address, length / 8) != 0)
        return false;
    const unsigned rest = length % 8;
    return rest == 0 || ((prefix[length / 8] ^ address[length / 8]) & (0xff00 >> rest) & 0xff) == 0;
}

}  // namespace

// One family of the writer's memory.
template <unsigned kBytes>
struct Family {
    static constexpr std::uint8_t kVersion = kBytes == 4 ? 4 : 6;

    PrefixTable<kBytes>& table;
    Word& fallback;
    Rib<kBytes> rib = {};
    // The routes of full length that neighbours have got, by address.
    Rib<kBytes> hosts = {};
};

struct Fib::Writer {
    Writer(Fib& fib, const NextHopStore::Memory& memory, const Limits& limits)
        : groups(fib.groups_),
          store(memory, limits),
          family4{.table = fib.table4_, .fallback = fib.default4_},
          family6{.table = fib.table6_, .fallback = fib.default6_} {}

    template <unsigned kBytes>
    bool set(Family<kBytes>& family, const std::uint8_t* prefix, unsigned length, Word word);
    template <unsigned kBytes>
    bool remove(Family<kBytes>& family, const std::uint8_t* prefix, unsigned length);
    template <unsigned kBytes>
    bool settle_covered(Family<kBytes>& family, const std::uint8_t* prefix, unsigned length);
    template <unsigned kBytes>
    bool settle(Family<kBytes>& family, const std::uint8_t* address);
    template <unsigned kBytes>
    void drop_host_route(Family<kBytes>& family, const typename Rib<kBytes>::Key& key);
    Word hold_host_route(Word cover, const std::uint8_t* address, unsigned bytes,
                         std::uint8_t version);
    bool settle(const Address& address) {
        if (const auto* v4 = std::get_if<Ipv4>(&address))
            return settle(family4, bytes_of(*v4));
        return settle(family6, bytes_of(std::get<Ipv6>(address)));
    }

    GroupPool& groups;
    NextHopStore store;
    Family<4> family4;
    Family<16> family6;
    std::uint64_t refused = 0;
};

// Takes over the caller's hold of `word`.
template <unsigned kBytes>
bool Fib::Writer::set(Family<kBytes>& family, const std::uint8_t* prefix, unsigned length,
                      Word word) {
    const auto key = Rib<kBytes>::key(prefix, length);
    const Word before = family.rib.find(key);
    if (before == word) {
        store.release(word);
        return true;
    }
    if (length == 0) {
        route::store(&family.fallback, word);
    } else if (!family.table.set(groups, key.bytes.data(), length, word)) {
        store.release(word);
        return false;
    }
    family.rib.set(key, word);
    drop_host_route(family, key);
    store.release(before);
    return true;
}

template <unsigned kBytes>
bool Fib::Writer::remove(Family<kBytes>& family, const std::uint8_t* prefix, unsigned length) {
    const auto key = Rib<kBytes>::key(prefix, length);
    const Word before = family.rib.find(key);
    if (before == 0)
        return false;
    if (length == 0) {
        route::store(&family.fallback, Word{0});
    } else {
        const auto cover = family.rib.cover(key.bytes.data(), length);
        family.table.remove(groups, key.bytes.data(), length, cover.length == 0 ? 0 : cover.word,
                            cover.length);
    }
    family.rib.remove(key);
    drop_host_route(family, key);
    store.release(before);
    return true;
}

// Brings the routes of neighbours in line with the routes that cover them. False: there was no
// memory for one.
template <unsigned kBytes>
bool Fib::Writer::settle_covered(Family<kBytes>& family, const std::uint8_t* prefix,
                                 unsigned length) {
    const auto first = Rib<kBytes>::key(prefix, length);
    NeighbourKey from{.version = family.kVersion, .interface = 0};
    std::memcpy(from.address.bytes.data(), first.bytes.data(), kBytes);
    bool done = true;
    for (auto at = store.neighbours().lower_bound(from); at != store.neighbours().end();) {
        // A copy: settling may drop the neighbour.
        const NeighbourKey key = at->first;
        if (key.version != family.kVersion ||
            !covers(first.bytes.data(), length, key.address.bytes.data()))
            break;
        done = settle(family, key.address.bytes.data()) && done;
        at = store.neighbours().upper_bound(key);
    }
    return done;
}

// The next hop of a known neighbour that the covering route leads to directly; 0: there is none.
Word Fib::Writer::hold_host_route(Word cover, const std::uint8_t* address, unsigned bytes,
                                  std::uint8_t version) {
    if (cover == 0)
        return 0;
    for (const std::uint32_t number : store.next_hops(cover)) {
        const NextHop& above = store.next_hop(number);
        if (!above.connected)
            continue;
        NeighbourKey key{.version = version, .interface = above.interface};
        std::memcpy(key.address.bytes.data(), address, bytes);
        const auto neighbour = store.find_neighbour(key);
        if (!neighbour || !store.place(*neighbour).known)
            continue;
        NextHop hop = above;
        hop.neighbour = *neighbour;
        return store.hold_next_hop(hop);
    }
    return 0;
}

template <unsigned kBytes>
bool Fib::Writer::settle(Family<kBytes>& family, const std::uint8_t* address) {
    constexpr unsigned kFull = kBytes * 8;
    const auto key = Rib<kBytes>::key(address, kFull);
    const Word before = family.hosts.find(key);
    const auto route = family.rib.cover(address, kFull + 1);
    const Word wanted = hold_host_route(route.word, address, kBytes, family.kVersion);
    if (wanted == before) {
        store.release(wanted);
        return true;
    }
    if (wanted != 0) {
        if (!family.table.set(groups, address, kFull, wanted)) {
            store.release(wanted);
            return false;
        }
        family.hosts.set(key, wanted);
    } else {
        if (route.length == kFull)  // the slot is there: this cannot fail
            family.table.set(groups, address, kFull, route.word);
        else
            family.table.remove(groups, address, kFull, route.length == 0 ? 0 : route.word,
                                route.length);
        family.hosts.remove(key);
    }
    store.release(before);
    return true;
}

// The slot of a full length is about to get another value: what a neighbour had put there is gone.
template <unsigned kBytes>
void Fib::Writer::drop_host_route(Family<kBytes>& family, const typename Rib<kBytes>::Key& key) {
    if (key.length != kBytes * 8)
        return;
    const Word before = family.hosts.find(key);
    family.hosts.remove(key);
    store.release(before);
}

Result<std::unique_ptr<Fib>> Fib::create(const Limits& limits) {
    std::unique_ptr<Fib> fib(new Fib(limits));
    if (!fib->groups_.ready() || !fib->table4_.ready() || !fib->table6_.ready() ||
        fib->next_hops_ == nullptr || fib->path_sets_ == nullptr || fib->neighbours_ == nullptr)
        return Error{ExitStatus::unavailable,
                     "there is no address space for the forwarding table: " +
                         std::to_string(limits.groups) + " groups of a kilobyte"};
    return fib;
}

Fib::Fib(const Limits& limits)
    : groups_(limits.groups),
      next_hop_memory_(limits.next_hops * sizeof(NextHop)),
      path_set_memory_(limits.path_sets * sizeof(PathSet)),
      neighbour_memory_(limits.neighbours * sizeof(Neighbour)),
      next_hops_(next_hop_memory_.as<NextHop>()),
      path_sets_(path_set_memory_.as<PathSet>()),
      neighbours_(neighbour_memory_.as<Neighbour>()) {
    if (next_hops_ != nullptr)
        next_hops_[0] = {};
    writer_ = std::make_unique<Writer>(
        *this, NextHopStore::Memory{next_hops_, path_sets_, neighbours_}, limits);
}

Fib::~Fib() = default;

Result<Done> Fib::refuse(const std::string& what) {
    ++writer_->refused;
    return Error{ExitStatus::unavailable, what};
}

Result<Done> Fib::set_route(const Prefix& prefix, const Route& route) {
    const bool is_v4 = std::holds_alternative<Ipv4>(prefix.address);
    const unsigned full = is_v4 ? 32 : 128;
    if (prefix.length > full)
        return refuse("route to " + text_of(prefix) + ": the length is more than " +
                      std::to_string(full));
    if (route.kind == Kind::none || (route.kind == Kind::forward && route.paths.empty()))
        return refuse("route to " + text_of(prefix) + " leads nowhere: it has no path");
    const std::size_t most = route.kind == Kind::forward ? kMaximumPaths : 1;
    if (route.paths.size() > most)
        return refuse("route to " + text_of(prefix) + " has " + std::to_string(route.paths.size()) +
                      " paths, more than " + std::to_string(most));
    const Word word = writer_->store.hold_route(route, prefix.length == 0);
    if (word == 0)
        return refuse("route to " + text_of(prefix) +
                      ": the places for next hops or neighbours are used up");
    const auto set = [&](auto& family, const std::uint8_t* bytes) {
        if (!writer_->set(family, bytes, prefix.length, word))
            return false;
        if (!family.table.is_large() && family.rib.size() >= kLargeTable) {
            family.table.set_large();
            family.table.memory().prefer_huge_pages();
            groups_.memory().prefer_huge_pages();
        }
        if (!writer_->settle_covered(family, bytes, prefix.length))
            ++writer_->refused;
        return true;
    };
    const bool done = is_v4 ? set(writer_->family4, bytes_of(std::get<Ipv4>(prefix.address)))
                            : set(writer_->family6, bytes_of(std::get<Ipv6>(prefix.address)));
    if (!done)
        return refuse("route to " + text_of(prefix) + ": the memory of the forwarding table, " +
                      std::to_string(groups_.maximum()) + " groups of a kilobyte, is used up");
    return Done{};
}

void Fib::remove_route(const Prefix& prefix) {
    const auto remove = [&](auto& family, const std::uint8_t* bytes) {
        if (writer_->remove(family, bytes, prefix.length) &&
            !writer_->settle_covered(family, bytes, prefix.length))
            ++writer_->refused;
    };
    if (const auto* v4 = std::get_if<Ipv4>(&prefix.address); v4 != nullptr) {
        if (prefix.length <= 32)
            remove(writer_->family4, bytes_of(*v4));
    } else if (prefix.length <= 128) {
        remove(writer_->family6, bytes_of(std::get<Ipv6>(prefix.address)));
    }
}

Result<Done> Fib::set_neighbour(packet::InterfaceIndex interface, const Address& address,
                                const MacAddress& mac) {
    const NeighbourIndex index = writer_->store.neighbour(neighbour_key(interface, address));
    const auto text = [&] {
        return "neighbour " +
               std::visit([](const auto& value) { return to_string(value); }, address);
    };
    if (index == kNoNeighbour)
        return refuse(text() + ": the places for neighbours are used up");
    neighbours_[index].resolve(mac);
    if (writer_->store.place(index).known)
        return Done{};
    writer_->store.place(index).known = true;
    if (!writer_->settle(address))
        return refuse(text() + ": the memory of the forwarding table is used up");
    return Done{};
}

void Fib::remove_neighbour(packet::InterfaceIndex interface, const Address& address) {
    const auto index = writer_->store.find_neighbour(neighbour_key(interface, address));
    if (!index || !writer_->store.place(*index).known)
        return;
    neighbours_[*index].forget();
    writer_->store.place(*index).known = false;
    // Held, so that settling does not drop it under our hands.
    ++writer_->store.place(*index).next_hops;
    writer_->settle(address);
    --writer_->store.place(*index).next_hops;
    writer_->store.drop_if_unused(*index);
}

std::optional<Fib::NeighbourInfo> Fib::neighbour_info(NeighbourIndex index) const {
    if (index == kNoNeighbour || index >= neighbour_end())
        return std::nullopt;
    const NextHopStore::NeighbourPlace& place = writer_->store.place(index);
    if (!place.in_use)
        return std::nullopt;
    NeighbourInfo info{.interface = place.key.interface,
                       .address = place.key.address,
                       .resolved = (neighbours_[index].word() & Neighbour::kResolved) != 0,
                       .used = neighbours_[index].used()};
    if (place.key.version == 4) {
        Ipv4 address;
        std::memcpy(&address, place.key.address.bytes.data(), sizeof address);
        info.address = address;
    }
    return info;
}

NeighbourIndex Fib::neighbour_end() const {
    return writer_->store.neighbour_numbers().end();
}

bool Fib::has_path(Word word, const Word& fallback, packet::InterfaceIndex interface) const {
    if (word == 0)
        word = load(&fallback);
    if ((word & kPathSet) == 0)
        return next_hops_[word].interface == interface && next_hops_[word].kind != Kind::none;
    const auto paths = path_sets_[word & kIndexMask].all();
    return std::any_of(paths.begin(), paths.end(), [&](std::uint32_t next_hop) {
        return next_hops_[next_hop].interface == interface;
    });
}

bool Fib::leads_to(Ipv4 destination, packet::InterfaceIndex interface) const {
    return has_path(table4_.find(groups_, bytes_of(destination)), default4_, interface);
}

bool Fib::leads_to(const Ipv6& destination, packet::InterfaceIndex interface) const {
    return has_path(table6_.find(groups_, bytes_of(destination)), default6_, interface);
}

template <typename Destination>
void Fib::find_span(std::span<const Destination> destinations,
                    std::span<const std::uint32_t> flow_hashes,
                    std::span<const NextHop*> found) const {
    for (std::size_t from = 0; from < destinations.size(); from += kBurst)
        find_each(
            std::min(kBurst, destinations.size() - from),
            [&](std::size_t i) -> const Destination& { return destinations[from + i]; },
            [&](std::size_t i) { return flow_hashes[from + i]; },
            [&](std::size_t i, const NextHop& hop) {
                __builtin_prefetch(&hop);
                found[from + i] = &hop;
            });
}

void Fib::find(std::span<const Ipv4> destinations, std::span<const std::uint32_t> flow_hashes,
               std::span<const NextHop*> found) const {
    find_span(destinations, flow_hashes, found);
}

void Fib::find(std::span<const Ipv6> destinations, std::span<const std::uint32_t> flow_hashes,
               std::span<const NextHop*> found) const {
    find_span(destinations, flow_hashes, found);
}

Fib::Usage Fib::usage() const {
    return {.routes4 = writer_->family4.rib.size(),
            .routes6 = writer_->family6.rib.size(),
            .neighbours = writer_->store.neighbour_numbers().used(),
            .next_hops = writer_->store.next_hop_numbers().used(),
            .groups = groups_.numbers().used(),
            .maximum_groups = groups_.maximum(),
            .bytes = table4_.memory().resident() + table6_.memory().resident() +
                     groups_.memory().resident() + next_hop_memory_.resident() +
                     path_set_memory_.resident() + neighbour_memory_.resident(),
            .refused = writer_->refused};
}

bool Fib::gather_retired() {
    bool any = groups_.numbers().gather();
    any = writer_->store.next_hop_numbers().gather() || any;
    any = writer_->store.path_set_numbers().gather() || any;
    return writer_->store.neighbour_numbers().gather() || any;
}

void Fib::give_back_waiting() {
    groups_.numbers().give_back_waiting();
    writer_->store.next_hop_numbers().give_back_waiting();
    writer_->store.path_set_numbers().give_back_waiting();
    writer_->store.neighbour_numbers().give_back_waiting();
}

void Fib::reclaim_all() {
    // What has been waiting, and then what has been retired since.
    give_back_waiting();
    if (gather_retired())
        give_back_waiting();
    waiting_.reset();
}

}  // namespace sluice::route
