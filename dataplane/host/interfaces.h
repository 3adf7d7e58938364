// The links of the host that carry packets of gateway ports, as interfaces of the engine.
//
// A port's twin is the link with its name; a VLAN is ours when the link below it is a twin. An
// interface keeps its index while it is there; a VLAN that comes back gets the place it had.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/host/messages.h"
#include "dataplane/packet/environment.h"

namespace sluice::host {

struct Port {
    std::string name;              // of the twin, and of the port
    packet::InterfaceIndex index;  // of the port, which is that of its interface
};

class Interfaces {
  public:
    // Places from `first_vlan` on are for VLANs.
    Interfaces(std::vector<Port> ports, packet::InterfaceIndex first_vlan);

    struct Address {
        AddressMessage seen;
        std::uint8_t epoch = 0;
    };
    struct Link {
        LinkMessage seen;
        // What it is to us; kNoInterface: a link of the host that is none of our business.
        packet::InterfaceIndex interface = packet::kNoInterface;
        std::vector<Address> addresses = {};
        std::uint8_t epoch = 0;
    };

    // Links that look at something else than before: routes and neighbours by them may be others.
    using Touched = std::vector<LinkIndex>;

    Touched apply(const LinkMessage& message);
    // Addresses of links that are not known are left out: a dump of links comes first. False: the
    // link had no such address (removal), or has it already.
    bool apply(const AddressMessage& message);

    // A complete dump begins: what it does not confirm is gone when it ends.
    void begin_link_dump() { ++epoch_; }
    Touched end_link_dump();
    void begin_address_dump() { ++address_epoch_; }
    // True: there were some.
    bool end_address_dump();

    // Null: no such link.
    const Link* find(LinkIndex link) const;
    // None: no link of ours stands there.
    std::optional<LinkIndex> link_of(packet::InterfaceIndex interface) const;

    const std::vector<packet::Interface>& list() const { return list_; }
    // Another list than at the last call.
    bool take_change();
    // VLANs for which there is no place at present.
    std::uint64_t refused() const { return refused_; }

  private:
    struct VlanPlace {
        packet::InterfaceIndex port = 0;
        std::uint16_t vlan = 0;
        bool in_use = false;
        std::uint64_t freed = 0;  // ordinal
    };

    void place_links(Touched& touched);
    std::optional<packet::InterfaceIndex> vlan_place(packet::InterfaceIndex port,
                                                     std::uint16_t vlan);
    void rebuild();

    std::vector<Port> ports_;
    packet::InterfaceIndex first_vlan_;
    std::map<LinkIndex, Link> links_;
    std::vector<VlanPlace> vlan_places_;
    std::vector<packet::Interface> list_;
    std::uint64_t freed_ = 0;
    std::uint64_t refused_ = 0;
    std::uint8_t epoch_ = 0;
    std::uint8_t address_epoch_ = 0;
    bool changed_ = true;
};

}  // namespace sluice::host
