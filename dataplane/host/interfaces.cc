#include "dataplane/host/interfaces.h"

#include <algorithm>
#include <utility>

namespace sluice::host {

namespace {

bool same(const LinkMessage& a, const LinkMessage& b) {
    return a.name == b.name && a.mac == b.mac && a.mtu == b.mtu && a.up == b.up &&
           a.below == b.below && a.vlan == b.vlan;
}

bool same(const packet::Interface& a, const packet::Interface& b) {
    const auto same_address = [](const packet::InterfaceAddress& one,
                                 const packet::InterfaceAddress& other) {
        return one.address == other.address && one.prefix_length == other.prefix_length;
    };
    return a.name == b.name && a.port == b.port && a.vlan == b.vlan && a.mac == b.mac &&
           a.mtu == b.mtu && a.up == b.up &&
           std::equal(a.addresses.begin(), a.addresses.end(), b.addresses.begin(),
                      b.addresses.end(), same_address);
}

}  // namespace

Interfaces::Interfaces(std::vector<Port> ports, packet::InterfaceIndex first_vlan)
    : ports_(std::move(ports)), first_vlan_(first_vlan) {
    for (const Port& port : ports_)
        first_vlan_ = std::max<packet::InterfaceIndex>(
            first_vlan_, static_cast<packet::InterfaceIndex>(port.index + 1));
    rebuild();
}

Interfaces::Touched Interfaces::apply(const LinkMessage& message) {
    Touched touched;
    if (message.change == Change::removed) {
        if (links_.erase(message.index) != 0)
            touched.push_back(message.index);
    } else {
        const auto [at, is_new] = links_.try_emplace(message.index);
        if (is_new || !same(at->second.seen, message))
            touched.push_back(message.index);
        at->second.seen = message;
        at->second.epoch = epoch_;
    }
    if (!touched.empty()) {
        place_links(touched);
        rebuild();
    }
    return touched;
}

bool Interfaces::apply(const AddressMessage& message) {
    const auto link = links_.find(message.link);
    if (link == links_.end())
        return false;
    auto& addresses = link->second.addresses;
    const auto found = std::find_if(addresses.begin(), addresses.end(), [&](const auto& known) {
        return known.seen.address == message.address &&
               known.seen.prefix_length == message.prefix_length;
    });
    const bool is_there = found != addresses.end();
    if (is_there)
        found->epoch = address_epoch_;
    if (is_there == (message.change == Change::set))
        return false;
    if (is_there)
        addresses.erase(found);
    else
        addresses.push_back({message, address_epoch_});
    rebuild();
    return true;
}

bool Interfaces::end_address_dump() {
    std::size_t gone = 0;
    for (auto& [index, link] : links_)
        gone += std::erase_if(link.addresses, [&](const Address& address) {
            return address.epoch != address_epoch_;
        });
    if (gone != 0)
        rebuild();
    return gone != 0;
}

Interfaces::Touched Interfaces::end_link_dump() {
    Touched touched;
    for (auto at = links_.begin(); at != links_.end();) {
        if (at->second.epoch == epoch_) {
            ++at;
            continue;
        }
        touched.push_back(at->first);
        at = links_.erase(at);
    }
    if (!touched.empty()) {
        place_links(touched);
        rebuild();
    }
    return touched;
}

const Interfaces::Link* Interfaces::find(LinkIndex link) const {
    const auto found = links_.find(link);
    return found == links_.end() ? nullptr : &found->second;
}

std::optional<LinkIndex> Interfaces::link_of(packet::InterfaceIndex interface) const {
    for (const auto& [index, link] : links_)
        if (link.interface == interface)
            return index;
    return std::nullopt;
}

bool Interfaces::take_change() {
    return std::exchange(changed_, false);
}

// Which interface each link is, after links have come, gone or been renamed: twins first, as the
// VLANs stand on them. What is another interface than before is touched.
void Interfaces::place_links(Touched& touched) {
    std::map<LinkIndex, packet::InterfaceIndex> before;
    refused_ = 0;
    for (auto& [index, link] : links_) {
        before.emplace(index, link.interface);
        link.interface = packet::kNoInterface;
        for (const Port& port : ports_)
            if (!link.seen.vlan && port.name == link.seen.name)
                link.interface = port.index;
    }
    std::vector<Link*> waiting;
    for (auto& [index, link] : links_) {
        const Link* below = link.seen.vlan ? find(link.seen.below) : nullptr;
        if (below == nullptr || below->seen.vlan || below->interface == packet::kNoInterface)
            continue;
        waiting.push_back(&link);
    }
    // Those that have a place keep it before another one takes it.
    for (VlanPlace& place : vlan_places_) {
        const bool stays = std::any_of(waiting.begin(), waiting.end(), [&](const Link* link) {
            return place.in_use && find(link->seen.below)->interface == place.port &&
                   *link->seen.vlan == place.vlan;
        });
        if (place.in_use && !stays) {
            place.in_use = false;
            place.freed = ++freed_;
        }
    }
    for (Link* link : waiting)
        if (const auto place = vlan_place(find(link->seen.below)->interface, *link->seen.vlan))
            link->interface = *place;
    for (const auto& [index, link] : links_)
        if (const auto was = before.find(index);
            was != before.end() && was->second != link.interface)
            touched.push_back(index);
}

std::optional<packet::InterfaceIndex> Interfaces::vlan_place(packet::InterfaceIndex port,
                                                             std::uint16_t vlan) {
    const auto index_of = [&](const VlanPlace& place) {
        return static_cast<packet::InterfaceIndex>(first_vlan_ + (&place - vlan_places_.data()));
    };
    VlanPlace* oldest = nullptr;
    for (VlanPlace& place : vlan_places_) {
        if (place.port == port && place.vlan == vlan) {
            place.in_use = true;
            return index_of(place);
        }
        if (!place.in_use && (oldest == nullptr || place.freed < oldest->freed))
            oldest = &place;
    }
    if (first_vlan_ + vlan_places_.size() < packet::kMaximumInterfaces)
        oldest = &vlan_places_.emplace_back();
    if (oldest == nullptr) {
        ++refused_;
        return std::nullopt;
    }
    *oldest = {.port = port, .vlan = vlan, .in_use = true, .freed = 0};
    return index_of(*oldest);
}

void Interfaces::rebuild() {
    std::vector<packet::Interface> list(first_vlan_ + vlan_places_.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        list[i].port =
            static_cast<std::uint16_t>(i < first_vlan_ ? i : vlan_places_[i - first_vlan_].port);
        list[i].up = false;
    }
    for (const Port& port : ports_)
        list[port.index].name = port.name;
    for (const auto& [index, link] : links_) {
        if (link.interface == packet::kNoInterface)
            continue;
        packet::Interface& interface = list[link.interface];
        interface.name = link.seen.name;
        interface.vlan = link.seen.vlan.value_or(0);
        interface.mac = link.seen.mac;
        interface.mtu = link.seen.mtu;
        interface.up = link.seen.up;
        interface.addresses.clear();
        for (const Address& address : link.addresses)
            interface.addresses.push_back({address.seen.address, address.seen.prefix_length});
    }
    if (std::equal(list.begin(), list.end(), list_.begin(), list_.end(),
                   [](const auto& a, const auto& b) { return same(a, b); }))
        return;
    list_ = std::move(list);
    changed_ = true;
}

}  // namespace sluice::host
