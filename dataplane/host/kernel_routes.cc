#include "dataplane/host/kernel_routes.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice::host {

namespace {

bool has_gateways(const std::vector<RoutePath>& paths) {
    return std::all_of(paths.begin(), paths.end(),
                       [](const RoutePath& path) { return path.gateway.has_value(); });
}

bool same_way(const RoutePath& a, const RoutePath& b) {
    return a.link == b.link && a.gateway == b.gateway;
}

bool same_ways(const std::vector<RoutePath>& a, const std::vector<RoutePath>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_way);
}

bool is_v6(const route::Prefix& prefix) {
    return std::holds_alternative<Ipv6>(prefix.address);
}

// Nobody forwards what has link-local addresses.
bool is_link_local(const route::Prefix& prefix) {
    const auto* address = std::get_if<Ipv6>(&prefix.address);
    return address != nullptr && prefix.length >= 10 && address->bytes[0] == 0xfe &&
           (address->bytes[1] & 0xc0) == 0x80;
}

auto order_of(const RoutePath& path) {
    return std::tuple(path.link, path.gateway ? address_bytes(*path.gateway) : Ipv6{}.bytes,
                      path.gateway ? path.gateway->index() + 1 : 0, path.weight, path.dead);
}

}  // namespace

bool KernelRoutes::Shape::operator<(const Shape& other) const {
    if (std::tie(kind, mtu, next_hop_object) !=
        std::tie(other.kind, other.mtu, other.next_hop_object))
        return std::tie(kind, mtu, next_hop_object) <
               std::tie(other.kind, other.mtu, other.next_hop_object);
    return std::lexicographical_compare(
        paths.begin(), paths.end(), other.paths.begin(), other.paths.end(),
        [](const RoutePath& a, const RoutePath& b) { return order_of(a) < order_of(b); });
}

std::size_t KernelRoutes::PrefixHash::operator()(const route::Prefix& prefix) const {
    constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
    std::uint64_t hash = prefix.length * 2 + prefix.address.index();
    const auto bytes = address_bytes(prefix.address);
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        std::uint64_t part = 0;
        std::memcpy(&part, bytes.data() + i, sizeof part);
        hash = (hash ^ part) * kFactor;
        hash ^= hash >> 32;
    }
    return hash;
}

KernelRoutes::KernelRoutes(const Interfaces& interfaces, route::Fib& fib)
    : interfaces_(interfaces), fib_(fib), shapes_(1) {
    add_built_in();
}

// What is for the host whatever its tables say.
void KernelRoutes::add_built_in() {
    const auto v4 = [](std::uint32_t address, unsigned length) {
        return route::Prefix{Ipv4::from_host(address), length};
    };
    const auto v6 = [](std::uint8_t first, std::uint8_t second, std::uint8_t last,
                       unsigned length) {
        Ipv6 address;
        address.bytes[0] = first;
        address.bytes[1] = second;
        address.bytes[15] = last;
        return route::Prefix{address, length};
    };
    for (const route::Prefix& prefix :
         {v4(0, 8), v4(0x7f000000, 8), v4(0xe0000000, 4), v4(0xffffffff, 32), v6(0, 0, 0, 128),
          v6(0, 0, 1, 128), v6(0xfe, 0x80, 0, 10), v6(0xff, 0, 0, 8)}) {
        RouteMessage message;
        message.prefix = prefix;
        message.table = TableRank::built_in;
        message.kind = route::Kind::local;
        apply(message);
    }
    flush();
}

std::uint32_t KernelRoutes::entry_of(const route::Prefix& prefix) {
    const auto [at, is_new] = numbers_.try_emplace(prefix, 0);
    if (!is_new)
        return at->second;
    if (free_entries_.empty()) {
        at->second = static_cast<std::uint32_t>(entries_.size());
        // A scan that has come to the end stays there.
        if (cursor_ == entries_.size())
            ++cursor_;
        entries_.emplace_back();
    } else {
        at->second = free_entries_.back();
        free_entries_.pop_back();
    }
    entries_[at->second] = {.prefix = prefix, .candidates = {}, .in_use = true};
    return at->second;
}

std::optional<route::Route> KernelRoutes::meaning_of(const Shape& shape) const {
    route::Route route{.kind = shape.kind, .mtu = shape.mtu};
    if (shape.kind != route::Kind::forward) {
        if (!shape.paths.empty())
            if (const auto* link = interfaces_.find(shape.paths.front().link))
                route.paths.push_back({.interface = link->interface});
        return route;
    }
    bool elsewhere = false;
    for (const RoutePath& path : shape.paths) {
        const Interfaces::Link* link = interfaces_.find(path.link);
        if (link == nullptr || path.dead || !link->seen.up)
            continue;
        if (link->interface == packet::kNoInterface)
            elsewhere = true;
        else
            route.paths.push_back(
                {.interface = link->interface, .gateway = path.gateway, .weight = path.weight});
    }
    if (!route.paths.empty())
        return route;
    if (elsewhere)
        return route::Route{.kind = route::Kind::local, .mtu = shape.mtu};
    return std::nullopt;
}

KernelRoutes::ShapeNumber KernelRoutes::hold(const RouteMessage& message) {
    const auto [at, is_new] = shape_numbers_.try_emplace(
        Shape{message.kind, message.paths, message.mtu, message.next_hop_object}, 0);
    if (is_new) {
        if (free_shapes_.empty()) {
            at->second = static_cast<ShapeNumber>(shapes_.size());
            shapes_.emplace_back();
        } else {
            at->second = free_shapes_.back();
            free_shapes_.pop_back();
        }
        shapes_[at->second] = {.shape = &at->first,
                               .candidates = 0,
                               .touched = false,
                               .meaning = meaning_of(at->first)};
    }
    ++shapes_[at->second].candidates;
    return at->second;
}

void KernelRoutes::release(ShapeNumber number) {
    ShapePlace& place = shapes_[number];
    if (--place.candidates != 0)
        return;
    shape_numbers_.erase(shape_numbers_.find(*place.shape));
    place = {};
    free_shapes_.push_back(number);
}

void KernelRoutes::erase(Entry& entry, std::size_t candidate) {
    release(entry.candidates[candidate].shape);
    entry.candidates.erase(entry.candidates.begin() + static_cast<std::ptrdiff_t>(candidate));
}

void KernelRoutes::replace(Candidate& candidate, ShapeNumber shape) {
    release(candidate.shape);
    candidate.shape = shape;
    candidate.epoch = epoch_;
}

// Candidates stand in the order in which the kernel would take them, tables and metrics apart.
bool KernelRoutes::put(Entry& entry, const RouteMessage& message) {
    const ShapeNumber number = hold(message);
    for (Candidate& candidate : entry.candidates)
        if (alike(candidate, message) && candidate.shape == number) {
            candidate.epoch = epoch_;
            release(number);
            return entry.candidates.size() > 1;
        }
    for (Candidate& candidate : entry.candidates) {
        if (!alike(candidate, message))
            continue;
        // The paths of an IPv6 route come one by one, and each message tells all of them.
        const bool grows = is_v6(entry.prefix) && !message.paths.empty() &&
                           has_gateways(message.paths) && !shape(candidate).paths.empty() &&
                           has_gateways(shape(candidate).paths);
        if (message.replaces || grows ||
            (shape(candidate).kind == message.kind &&
             same_ways(shape(candidate).paths, message.paths))) {
            replace(candidate, number);
            return true;
        }
    }
    const Candidate fresh{
        .shape = number, .metric = message.metric, .table = message.table, .epoch = epoch_};
    entry.candidates.insert(message.appended ? entry.candidates.end() : entry.candidates.begin(),
                            fresh);
    return true;
}

bool KernelRoutes::drop(Entry& entry, const RouteMessage& message) {
    for (std::size_t i = 0; i < entry.candidates.size(); ++i) {
        const Candidate& candidate = entry.candidates[i];
        if (alike(candidate, message) && shape(candidate).kind == message.kind &&
            same_ways(shape(candidate).paths, message.paths)) {
            erase(entry, i);
            return true;
        }
    }
    return is_v6(entry.prefix) && drop_paths(entry, message);
}

// Some paths of an IPv6 route have gone, or all of them in another order.
bool KernelRoutes::drop_paths(Entry& entry, const RouteMessage& message) {
    for (std::size_t i = 0; i < entry.candidates.size(); ++i) {
        Candidate& candidate = entry.candidates[i];
        if (!alike(candidate, message) || shape(candidate).kind != message.kind)
            continue;
        RouteMessage rest = message;
        rest.paths = shape(candidate).paths;
        rest.mtu = shape(candidate).mtu;
        rest.next_hop_object = shape(candidate).next_hop_object;
        const std::size_t gone = std::erase_if(rest.paths, [&](const RoutePath& path) {
            return std::any_of(message.paths.begin(), message.paths.end(),
                               [&](const RoutePath& other) { return same_way(path, other); });
        });
        if (gone == 0)
            continue;
        if (rest.paths.empty())
            erase(entry, i);
        else
            replace(candidate, hold(rest));
        return true;
    }
    return false;
}

bool KernelRoutes::apply(const RouteMessage& message) {
    if (message.change == Change::set) {
        const std::uint32_t number = entry_of(message.prefix);
        if (put(entries_[number], message))
            mark(number);
        return true;
    }
    const auto found = numbers_.find(message.prefix);
    if (found == numbers_.end())
        return true;
    Entry& entry = entries_[found->second];
    const bool known =
        std::any_of(entry.candidates.begin(), entry.candidates.end(),
                    [&](const auto& candidate) { return alike(candidate, message); });
    const bool dropped = drop(entry, message);
    mark(found->second);
    return dropped || !known;
}

void KernelRoutes::confirm(const RouteMessage& message) {
    RouteMessage dumped = message;
    dumped.change = Change::set;
    dumped.replaces = false;
    dumped.appended = true;
    const std::uint32_t number = entry_of(dumped.prefix);
    if (put(entries_[number], dumped))
        mark(number);
}

bool KernelRoutes::uses(std::uint32_t next_hop_object) const {
    return std::any_of(shapes_.begin(), shapes_.end(), [&](const ShapePlace& place) {
        return place.shape != nullptr && place.shape->next_hop_object == next_hop_object;
    });
}

void KernelRoutes::touch(const Interfaces::Touched& links) {
    bool any = false;
    for (ShapePlace& place : shapes_) {
        if (place.shape == nullptr)
            continue;
        const auto& paths = place.shape->paths;
        if (std::none_of(paths.begin(), paths.end(), [&](const RoutePath& path) {
                return std::find(links.begin(), links.end(), path.link) != links.end();
            }))
            continue;
        place.meaning = meaning_of(*place.shape);
        place.touched = true;
        any = true;
    }
    if (any)
        cursor_ = 0;
}

void KernelRoutes::end_dump() {
    sweeping_ = true;
    cursor_ = 0;
}

bool KernelRoutes::scan(std::size_t most) {
    if (!scanning())
        return false;
    for (std::size_t i = 0; i < most && cursor_ < entries_.size(); ++i, ++cursor_) {
        Entry& entry = entries_[cursor_];
        if (!entry.in_use)
            continue;
        bool touched = false;
        for (std::size_t at = entry.candidates.size(); at-- > 0;) {
            const Candidate& candidate = entry.candidates[at];
            touched |= shapes_[candidate.shape].touched;
            if (sweeping_ && candidate.epoch != epoch_ && candidate.table != TableRank::built_in) {
                erase(entry, at);
                ++counters_.withdrawn;
                touched = true;
            }
        }
        if (touched)
            mark(static_cast<std::uint32_t>(cursor_));
    }
    if (scanning())
        return true;
    sweeping_ = false;
    for (ShapePlace& place : shapes_)
        place.touched = false;
    return false;
}

// The local table, then main, then default; there the lowest metric; there what the dump has
// confirmed. Candidates without a usable path do not count.
const route::Route* KernelRoutes::chosen(const Entry& entry) const {
    const Candidate* best = nullptr;
    const auto rank = [&](const Candidate& candidate) {
        return std::tuple(candidate.table, candidate.metric,
                          candidate.epoch != epoch_ && candidate.table != TableRank::built_in);
    };
    for (const Candidate& candidate : entry.candidates)
        if (shapes_[candidate.shape].meaning && (best == nullptr || rank(candidate) < rank(*best)))
            best = &candidate;
    return best == nullptr ? nullptr : &*shapes_[best->shape].meaning;
}

void KernelRoutes::mark(std::uint32_t number) {
    if (std::exchange(entries_[number].marked, true))
        return;
    marked_.push_back(number);
}

void KernelRoutes::settle(std::uint32_t number) {
    Entry& entry = entries_[number];
    if (const route::Route* route = chosen(entry)) {
        const bool stays_on_link =
            route->kind == route::Kind::forward && is_link_local(entry.prefix);
        const auto done = fib_.set_route(
            entry.prefix, stays_on_link ? route::Route{.kind = route::Kind::local,
                                                       .paths = {route->paths.front()}}
                                        : *route);
        entry.installed = entry.installed || done;
        if (!done) {
            // A route that is no longer the kernel's must not stay in its place.
            if (entry.installed)
                fib_.remove_route(entry.prefix);
            entry.installed = false;
            ++counters_.refused;
            refusal_ = done.error().message;
            if (!std::exchange(entry.refused, true))
                refused_.push_back(number);
        }
    } else if (entry.installed) {
        fib_.remove_route(entry.prefix);
        entry.installed = false;
    }
    if (entry.candidates.empty() && !entry.refused) {
        numbers_.erase(entry.prefix);
        entry = {};
        free_entries_.push_back(number);
    }
}

void KernelRoutes::flush() {
    for (const std::uint32_t number : marked_) {
        entries_[number].marked = false;
        settle(number);
    }
    marked_.clear();
}

void KernelRoutes::retry_refused(std::size_t most) {
    for (std::size_t i = 0; i < most && !refused_.empty(); ++i) {
        entries_[refused_.front()].refused = false;
        mark(refused_.front());
        refused_.pop_front();
    }
}

}  // namespace sluice::host
