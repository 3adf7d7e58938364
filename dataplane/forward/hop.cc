#include "dataplane/forward/hop.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

namespace wire = packet::wire;

constexpr std::uint16_t kVlanMask = 0x0fff;

bool is_martian4(const Ipv6& source, const Ipv6& destination) {
    const unsigned from = source.bytes[0], to = destination.bytes[0];
    return from == 0 || from == 127 || from >= 224 || to == 0 || to == 127 || to >= 240;
}

// ::/8 holds the unspecified address, loopback, and all that embeds IPv4 addresses.
bool is_martian6(const Ipv6& source, const Ipv6& destination) {
    return source.bytes[0] == 0xff || source.bytes[0] == 0 || destination.bytes[0] == 0;
}

}  // namespace

bool is_martian(const packet::Headers& headers) {
    return headers.ip_version == 4 ? is_martian4(headers.source, headers.destination)
                                   : is_martian6(headers.source, headers.destination);
}

bool is_dhcp_answer_to(const packet::Headers& headers, const MacAddress& client) {
    constexpr std::size_t kHardwareAddress = 28;  // RFC 2131 §2
    constexpr std::byte kReply{2};
    const std::size_t message = std::size_t{headers.transport_offset} + sizeof(wire::Udp);
    if (headers.ip_version != 4 || headers.protocol != wire::protocol::udp ||
        (headers.source_port | std::uint32_t{headers.destination_port} << 16) != kDhcpAnswerPorts ||
        headers.frame_length < message + kHardwareAddress + sizeof client)
        return false;
    const std::byte* bytes = headers.frame + message;
    return bytes[0] == kReply && std::memcmp(bytes + kHardwareAddress, &client, sizeof client) == 0;
}

bool is_link_local(const Ipv6& address) {
    return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

bool is_group(const packet::Headers& headers) {
    const std::uint8_t* to = headers.destination.bytes.data();
    if (headers.ip_version == 6)
        return to[0] == 0xff;
    return (to[0] & 0xf0) == 0xe0 || std::all_of(to, to + 4, [](auto byte) { return byte == 255; });
}

bool asks_for_source_route(const packet::Headers& headers) {
    if (headers.ip_version != 4 || headers.ip_header_length == sizeof(wire::Ip4))
        return false;
    constexpr unsigned kEnd = 0, kNoOperation = 1, kLoose = 131, kStrict = 137;
    const auto* options = reinterpret_cast<const std::uint8_t*>(headers.frame) +
                          headers.network_offset + sizeof(wire::Ip4);
    const std::size_t size = headers.ip_header_length - sizeof(wire::Ip4);
    for (std::size_t at = 0; at < size;) {
        const unsigned type = options[at];
        if (type == kEnd)
            return false;
        if (type == kNoOperation) {
            ++at;
            continue;
        }
        const std::size_t length = at + 1 < size ? options[at + 1] : 0;
        if (length < 2 || length > size - at)
            return true;
        if (type == kLoose || type == kStrict) {
            // The pointer counts from 1 and begins at 4.
            const unsigned pointer = length >= 3 ? options[at + 2] : 0;
            return pointer < 4 || pointer <= length;
        }
        at += length;
    }
    return false;
}

std::uint16_t vlan_of(const packet::Headers& headers) {
    if (headers.network_offset <= sizeof(wire::Ethernet))
        return 0;
    const auto* tag = reinterpret_cast<const wire::Vlan*>(headers.frame + sizeof(wire::Ethernet));
    return tag->tag.host() & kVlanMask;
}

}  // namespace sluice::forward
