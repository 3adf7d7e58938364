#include "dataplane/route/next_hop_store.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <tuple>

namespace sluice::route {

namespace {

// As many buckets for each path as its weight says, exactly if there are enough.
std::vector<std::uint32_t> share_buckets(const std::vector<Path>& paths) {
    std::uint64_t divisor = 0;
    for (const Path& path : paths)
        divisor = std::gcd(divisor, std::uint64_t{std::max(path.weight, 1U)});
    std::uint64_t total = 0;
    for (const Path& path : paths)
        total += std::max(path.weight, 1U) / divisor;
    std::vector<std::uint32_t> shares;
    std::vector<std::uint64_t> rests;
    std::size_t given = 0;
    const std::uint64_t buckets = std::min<std::uint64_t>(total, kMaximumPaths);
    for (const Path& path : paths) {
        const std::uint64_t wanted = std::max(path.weight, 1U) / divisor * buckets;
        shares.push_back(std::max(static_cast<std::uint32_t>(wanted / total), 1U));
        rests.push_back(wanted / total == 0 ? 0 : wanted % total);
        given += shares.back();
    }
    for (; given < buckets; ++given) {
        const auto largest = std::max_element(rests.begin(), rests.end());
        ++shares[static_cast<std::size_t>(largest - rests.begin())];
        *largest = 0;
    }
    // The light paths have got more than their part: the heaviest give it.
    for (; given > kMaximumPaths; --given)
        --*std::max_element(shares.begin(), shares.end());
    return shares;
}

auto order_of(const NextHop& hop) {
    return std::tie(hop.gateway.bytes, hop.neighbour, hop.mtu, hop.interface, hop.kind,
                    hop.gateway_version, hop.connected, hop.is_default);
}

}  // namespace

bool NeighbourKey::operator<(const NeighbourKey& other) const {
    return std::tie(version, address.bytes, interface) <
           std::tie(other.version, other.address.bytes, other.interface);
}

NeighbourKey neighbour_key(packet::InterfaceIndex interface, const Address& address) {
    NeighbourKey key{.interface = interface};
    if (const auto* v4 = std::get_if<Ipv4>(&address)) {
        std::memcpy(key.address.bytes.data(), v4, sizeof *v4);
    } else {
        key.version = 6;
        key.address = std::get<Ipv6>(address);
    }
    return key;
}

std::size_t NextHopStore::NextHopHash::operator()(const NextHop& hop) const {
    constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
    std::uint64_t halves[2];
    std::memcpy(halves, hop.gateway.bytes.data(), sizeof halves);
    std::uint64_t hash = std::uint64_t{hop.neighbour} << 32 | hop.mtu;
    for (const std::uint64_t part :
         {halves[0], halves[1],
          std::uint64_t{hop.interface} << 32 | std::uint64_t{hop.gateway_version} << 16 |
              static_cast<std::uint64_t>(hop.kind) << 8 | (hop.connected ? 2U : 0U) |
              (hop.is_default ? 1U : 0U)}) {
        hash = (hash ^ part) * kFactor;
        hash ^= hash >> 32;
    }
    return hash;
}

bool NextHopStore::NextHopEqual::operator()(const NextHop& a, const NextHop& b) const {
    return order_of(a) == order_of(b);
}

NextHopStore::NextHopStore(const Memory& memory, const Fib::Limits& limits)
    : memory_(memory),
      next_hop_numbers_(limits.next_hops),
      path_set_numbers_(limits.path_sets),
      neighbour_numbers_(limits.neighbours) {}

Word NextHopStore::hold_next_hop(const NextHop& next_hop) {
    const auto found = next_hops_.find(next_hop);
    if (found != next_hops_.end()) {
        ++next_hop_holders_[found->second];
        return found->second;
    }
    const std::uint32_t number = next_hop_numbers_.take();
    if (number == 0)
        return 0;
    memory_.next_hops[number] = next_hop;
    next_hops_.emplace(next_hop, number);
    if (next_hop_holders_.size() <= number)
        next_hop_holders_.resize(number + 1);
    next_hop_holders_[number] = 1;
    if (next_hop.neighbour != kNoNeighbour)
        ++places_[next_hop.neighbour].next_hops;
    return number;
}

Word NextHopStore::hold_path(const Route& route, const Path& path, bool is_default) {
    NextHop hop{.mtu = route.mtu,
                .interface = path.interface,
                .kind = route.kind,
                .is_default = is_default};
    if (route.kind != Kind::forward)
        return hold_next_hop(hop);
    if (!path.gateway) {
        hop.connected = true;
        return hold_next_hop(hop);
    }
    const NeighbourKey key = neighbour_key(path.interface, *path.gateway);
    hop.gateway = key.address;
    hop.gateway_version = key.version;
    hop.neighbour = neighbour(key);
    if (hop.neighbour == kNoNeighbour)
        return 0;
    const Word word = hold_next_hop(hop);
    if (word == 0)
        drop_if_unused(hop.neighbour);
    return word;
}

Word NextHopStore::hold_path_set(const std::vector<std::uint32_t>& buckets) {
    const auto found = path_sets_.find(buckets);
    if (found != path_sets_.end()) {
        ++path_set_holders_[found->second];
        return kPathSet | found->second;
    }
    const std::uint32_t number = path_set_numbers_.take();
    if (number == 0)
        return 0;
    PathSet& set = memory_.path_sets[number];
    set.bucket_count = static_cast<std::uint32_t>(buckets.size());
    std::copy(buckets.begin(), buckets.end(), set.buckets);
    // The set holds each of its next hops once for each bucket.
    for (const std::uint32_t next_hop : buckets)
        ++next_hop_holders_[next_hop];
    path_sets_.emplace(buckets, number);
    if (path_set_holders_.size() <= number)
        path_set_holders_.resize(number + 1);
    path_set_holders_[number] = 1;
    return kPathSet | number;
}

Word NextHopStore::hold_route(const Route& route, bool is_default) {
    if (route.kind != Kind::forward || route.paths.size() == 1)
        return hold_path(route, route.paths.empty() ? Path{} : route.paths.front(), is_default);
    const std::vector<std::uint32_t> shares = share_buckets(route.paths);
    std::vector<Word> held;
    std::vector<std::uint32_t> buckets;
    Word word = 0;
    for (std::size_t i = 0; i < route.paths.size(); ++i) {
        const Word path = hold_path(route, route.paths[i], is_default);
        if (path == 0)
            break;
        held.push_back(path);
        buckets.insert(buckets.end(), shares[i], path);
    }
    if (held.size() == route.paths.size())
        word = hold_path_set(buckets);
    for (const Word path : held)
        release(path);
    return word;
}

void NextHopStore::release(Word word) {
    if (word == 0)
        return;
    const std::uint32_t number = word & kIndexMask;
    if ((word & kPathSet) != 0) {
        if (--path_set_holders_[number] != 0)
            return;
        const auto all = memory_.path_sets[number].all();
        const std::vector<std::uint32_t> buckets(all.begin(), all.end());
        path_sets_.erase(buckets);
        path_set_numbers_.retire(number);
        for (const std::uint32_t next_hop : buckets)
            release(next_hop);
        return;
    }
    if (--next_hop_holders_[number] != 0)
        return;
    const NextHop& hop = memory_.next_hops[number];
    next_hops_.erase(hop);
    next_hop_numbers_.retire(number);
    if (hop.neighbour == kNoNeighbour)
        return;
    --places_[hop.neighbour].next_hops;
    drop_if_unused(hop.neighbour);
}

std::span<const std::uint32_t> NextHopStore::next_hops(const Word& word) const {
    if ((word & kPathSet) != 0)
        return memory_.path_sets[word & kIndexMask].all();
    return {&word, 1};
}

NeighbourIndex NextHopStore::neighbour(const NeighbourKey& key) {
    const auto found = neighbours_.find(key);
    if (found != neighbours_.end())
        return found->second;
    const NeighbourIndex index = neighbour_numbers_.take();
    if (index == kNoNeighbour)
        return kNoNeighbour;
    memory_.neighbours[index].forget();
    memory_.neighbours[index].clear_used();
    neighbours_.emplace(key, index);
    if (places_.size() <= index)
        places_.resize(index + 1);
    places_[index] = {.key = key, .in_use = true};
    return index;
}

std::optional<NeighbourIndex> NextHopStore::find_neighbour(const NeighbourKey& key) const {
    const auto found = neighbours_.find(key);
    if (found == neighbours_.end())
        return std::nullopt;
    return found->second;
}

void NextHopStore::drop_if_unused(NeighbourIndex index) {
    NeighbourPlace& place = places_[index];
    if (place.known || place.next_hops != 0)
        return;
    neighbours_.erase(place.key);
    neighbour_numbers_.retire(index);
    place = {};
}

}  // namespace sluice::route
