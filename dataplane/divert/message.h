// Messages of divert sockets as bytes: checked before anything is done with them, and the cookie,
// in which the data plane keeps what it needs to send a packet on when it comes back.
//
// Nothing that comes back is trusted: a program may have changed all of it. What is checked here is
// that the message is one, that its packet has the length that it says, and that the frame header
// in the cookie is one that the parser can read. A program that puts another frame header there
// sends its packets with that one, which is no more than it may do with their addresses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/address.h"
#include "dataplane/divert/sluice_divert.h"

namespace sluice::divert {

using Header = sluice_divert_header;

// Why a message is refused.
enum class Fault : std::uint8_t {
    none,
    short_message,
    magic,
    version,
    header_length,
    type,
    port,
    direction,
    interface_name,
    no_receiving_interface,
    cookie,
    not_ip,
    ip_header,
    ip_length,
    count_
};

// A sentence for the log.
const char* sentence(Fault fault);

// The first message of a program. REQUIRES: `header` may be used only if there is no fault.
Fault read_bind(std::span<const std::byte> message, Header& header);

// A packet that a program sends. `packet` is the part of `message` behind the header.
Fault read_packet(std::span<const std::byte> message, std::uint16_t port, Header& header,
                  std::span<const std::byte>& packet);

// IPv4: puts the checksum of the header right. REQUIRES: `packet` has passed `read_packet`.
void correct_checksum(std::span<std::byte> packet);

// A header with everything that is the same in all of them.
Header make_header(std::uint8_t type, std::uint16_t port);

// What the cookie holds.
struct Origin {
    static constexpr std::size_t kMaximumLink = 30;  // Ethernet and four VLAN tags

    std::uint16_t worker = 0;      // that handed the packet over
    std::uint8_t link_length = 0;  // 0: there was no frame, the program made the packet
    std::array<std::byte, kMaximumLink> link{};
    Ipv6 destination{};  // of the packet as it was; IPv4 in the first four bytes

    // For a packet of this version: a program may have made one of the other. Returns the length.
    // REQUIRES: out.size() >= kMaximumLink.
    std::size_t write_frame_header(unsigned ip_version, std::span<std::byte> out) const;
};

void put_cookie(const Origin& origin, Header& header);
// REQUIRES: `header` has passed `read_packet`.
Origin read_cookie(const Header& header);

}  // namespace sluice::divert
