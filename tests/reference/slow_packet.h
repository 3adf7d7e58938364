// A frame taken apart byte by byte, for the slow engine. Written from the RFCs and ipfw(8) without
// a look at the production parser: the two must agree because both are right, not because they
// share code. Clear before quick: everything is copied, every byte is read with a bounds check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/address.h"

namespace sluice::reference {

struct DecodeSettings {
    bool deny_unknown_extension_headers = true;
    bool permit_single_fragment6 = true;
};

struct SlowPacket {
    // What becomes of the packet before any rule: judged by the rules, dropped as bogus, or dropped
    // because a header is not wholly there.
    enum class Fate { judged, refused, pullup_failed } fate = Fate::judged;

    int version = 0;                // 4, 6, or 0: not IP
    unsigned ether_type = 0;        // behind all VLAN tags
    unsigned outer_ether_type = 0;  // in front of them
    MacAddress destination_mac, source_mac;
    std::size_t link_payload = 0;  // bytes behind the Ethernet header and its tags

    std::vector<std::uint8_t> ip;                   // the IP packet, without what Ethernet padded
    std::vector<std::uint8_t> source, destination;  // 4 or 16 bytes
    unsigned traffic_class = 0;
    unsigned flow_label = 0;
    unsigned time_to_live = 0;
    unsigned identification = 0;
    bool reserved_flag = false, dont_fragment = false, more_fragments = false;
    unsigned fragment_offset = 0;    // bytes
    unsigned extension_headers = 0;  // bits of language::ext6_header
    unsigned protocol = 0;           // of the upper layer
    std::size_t upper = 0;           // where the upper layer begins in `ip`
    bool has_sound_header = true;    // the IP header's own lengths are right

    bool has_ports() const;  // TCP, UDP, UDP-Lite, SCTP, and the ports are in this packet
    bool is_first_of(unsigned wanted_protocol) const {
        return version != 0 && protocol == wanted_protocol && fragment_offset == 0;
    }
    unsigned upper8(std::size_t at) const { return ip.at(upper + at); }
    unsigned upper16(std::size_t at) const { return upper8(at) << 8 | upper8(at + 1); }
    unsigned upper32(std::size_t at) const { return upper16(at) << 16 | upper16(at + 2); }
    unsigned source_port() const { return upper16(0); }
    unsigned destination_port() const { return upper16(2); }

    // Options of the TCP header; none when the header says that they lie outside of the packet.
    std::optional<std::span<const std::uint8_t>> tcp_options() const;
    std::span<const std::uint8_t> ip4_options() const;
};

SlowPacket decode(std::span<const std::byte> frame, const DecodeSettings& settings);

}  // namespace sluice::reference
