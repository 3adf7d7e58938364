// What the Ethernet header of a frame says of the network that the frame belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/packet/environment.h"
#include "dataplane/packet/packet.h"

namespace sluice::packet {

struct LinkHeader {
    std::uint16_t type = 0;  // behind all tags
    std::uint16_t vlan = 0;  // of the first tag; 0: none, or one that only has a priority
    // Tags of a kind or number that make another network: 802.1ad, or more than one.
    bool has_other_tags = false;
};

// REQUIRES: frame.size() >= 14.
LinkHeader read_link_header(std::span<const std::byte> frame);

// The interface that a frame on a gateway port belongs to. None: its VLAN is not one of ours, and
// to take the frame for an untagged one would join two networks.
std::optional<InterfaceIndex> interface_of_frame(const Environment& environment, std::uint16_t port,
                                                 const LinkHeader& header);

}  // namespace sluice::packet
