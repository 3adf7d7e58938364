#include "dataplane/host/kernel_neighbours.h"

#include <algorithm>

namespace sluice::host {

namespace {

bool is_multicast(const route::Address& address) {
    const std::uint8_t first = address_bytes(address)[0];
    return std::holds_alternative<Ipv4>(address) ? first >= 224 : first == 0xff;
}

}  // namespace

void KernelNeighbours::withdraw(const Known& known) {
    if (known.interface != packet::kNoInterface)
        fib_.remove_neighbour(known.interface, known.address);
}

void KernelNeighbours::install(const Key& key, Known& known) {
    const Interfaces::Link* link = interfaces_.find(key.link);
    known.interface = link == nullptr ? packet::kNoInterface : link->interface;
    if (known.interface == packet::kNoInterface)
        return;
    const auto done = fib_.set_neighbour(known.interface, known.address, known.mac);
    if (!done) {
        ++refused_;
        refusal_ = done.error().message;
    }
}

void KernelNeighbours::apply(const NeighbourMessage& message) {
    const Key at = key(message.link, message.address);
    const auto found = known_.find(at);
    if (message.change == Change::removed || !message.mac) {
        if (found == known_.end())
            return;
        withdraw(found->second);
        known_.erase(found);
        return;
    }
    // Neighbours on other links of the host do not concern us. Should one become ours, all
    // neighbours are asked for again.
    const Interfaces::Link* link = interfaces_.find(message.link);
    if (link == nullptr || link->interface == packet::kNoInterface || is_multicast(message.address))
        return;
    Known& known = known_[at];
    known.address = message.address;
    known.stale = message.stale;
    known.epoch = epoch_;
    if (known.interface == link->interface && known.mac == *message.mac)
        return;
    known.mac = *message.mac;
    install(at, known);
}

void KernelNeighbours::touch(const Interfaces::Touched& links) {
    for (const LinkIndex index : links) {
        const Interfaces::Link* link = interfaces_.find(index);
        for (auto at = known_.lower_bound({.link = index}); at != known_.end();) {
            if (at->first.link != index)
                break;
            if (link != nullptr && link->interface == at->second.interface) {
                ++at;
                continue;
            }
            withdraw(at->second);
            if (link == nullptr || link->interface == packet::kNoInterface) {
                at = known_.erase(at);
                continue;
            }
            install(at->first, at->second);
            ++at;
        }
    }
}

void KernelNeighbours::end_dump() {
    for (auto at = known_.begin(); at != known_.end();) {
        if (at->second.epoch == epoch_) {
            ++at;
            continue;
        }
        withdraw(at->second);
        at = known_.erase(at);
    }
}

bool KernelNeighbours::refresh(std::size_t most, std::vector<Wanted>& wanted) {
    const route::NeighbourIndex end = fib_.neighbour_end();
    for (std::size_t i = 0; i < most && cursor_ < end; ++i, ++cursor_) {
        const auto info = fib_.neighbour_info(cursor_);
        if (!info || !info->used)
            continue;
        fib_.clear_used(cursor_);
        const auto link = interfaces_.link_of(info->interface);
        if (!link)
            continue;
        const auto known = known_.find(key(*link, info->address));
        if (known != known_.end() && known->second.stale)
            wanted.push_back({.link = *link, .address = info->address});
    }
    if (cursor_ < end)
        return true;
    cursor_ = 1;
    return false;
}

bool KernelNeighbours::may_ask(LinkIndex link, const route::Address& address,
                               std::uint64_t now_ms) {
    if (now_ms - asked_since_ms_ >= kSecond) {
        asked_since_ms_ = now_ms;
        asked_count_ = 0;
        std::erase_if(asked_, [&](const auto& asked) { return now_ms - asked.second >= kSecond; });
    }
    if (asked_count_ >= kAskedInASecond)
        return false;
    const auto [at, is_new] = asked_.try_emplace(key(link, address), now_ms);
    if (!is_new && now_ms - at->second < kSecond)
        return false;
    at->second = now_ms;
    ++asked_count_;
    return true;
}

}  // namespace sluice::host
