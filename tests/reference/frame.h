// Builds frames: a plan with every header field in host byte order, and its bytes. Used by the
// random packets, by unit tests of the parser and by whoever needs a packet that is broken in just
// one place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/address.h"

namespace sluice::reference {

using Frame = std::vector<std::byte>;

struct FramePlan {
    MacAddress destination_mac{{2, 0, 0, 0, 0, 2}};
    MacAddress source_mac{{2, 0, 0, 0, 0, 1}};
    std::vector<std::uint16_t> tags;  // TPIDs, outermost first
    std::uint16_t ether_type = 0x0800;

    // IP; `version` 0 builds a frame that is not IP.
    int version = 4;
    Ipv4 source4, destination4;
    Ipv6 source6, destination6;
    std::uint8_t traffic_class = 0;
    std::uint32_t flow_label = 0;
    std::uint16_t id = 0;
    std::uint8_t flags = 0;       // IPv4: 4 reserved, 2 don't fragment, 1 more fragments
    unsigned fragment_bytes = 0;  // offset, a multiple of 8
    std::uint8_t ttl = 64;
    std::uint8_t protocol = 6;
    std::vector<std::uint8_t> ip_options;  // IPv4, filled up to a multiple of 4
    struct Extension {
        std::uint8_t header = 0;  // protocol number: 0, 43, 44, 51, 60
        std::uint8_t length_units = 0;
        std::uint8_t routing_type = 0;
        std::uint16_t fragment_bytes = 0;
        bool more = false;
        std::uint32_t id = 0;
    };
    std::vector<Extension> extensions;  // IPv6

    // Upper layer, built according to `protocol`.
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint32_t sequence = 0, acknowledgement = 0;
    std::uint8_t tcp_flags = 0;
    std::uint16_t window = 0;
    std::vector<std::uint8_t> tcp_options;  // filled up to a multiple of 4
    std::uint8_t icmp_type = 0, icmp_code = 0;
    unsigned payload = 0;  // bytes behind the upper-layer header
    unsigned padding = 0;  // bytes behind the IP packet

    // Lies.
    std::optional<std::uint8_t> claimed_version_length;  // first byte of the IPv4 header
    std::optional<std::uint16_t> claimed_length;         // IPv4 total, IPv6 payload length
    std::optional<std::uint8_t> claimed_data_offset;     // TCP, in words
};

Frame build_frame(const FramePlan& plan);

std::string to_hex(const Frame& frame);

}  // namespace sluice::reference
