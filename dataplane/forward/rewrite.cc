#include "dataplane/forward/rewrite.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

namespace wire = packet::wire;

constexpr std::uint8_t kEcnBits = 3;
constexpr unsigned kEndOfList = 0, kNoOperation = 1, kMssKind = 2, kMssLength = 4;

std::uint16_t load16(const std::byte* at) {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(at[0]) << 8 |
                                      std::to_integer<unsigned>(at[1]));
}

void store16(std::byte* at, unsigned value) {
    at[0] = static_cast<std::byte>(value >> 8);
    at[1] = static_cast<std::byte>(value);
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
std::uint16_t corrected(std::uint16_t checksum, std::uint16_t before, std::uint16_t after) {
    std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
    sum += static_cast<std::uint16_t>(~before);
    sum += after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

void set_dscp4(std::byte* ip, std::uint8_t dscp) {
    const std::uint16_t before = load16(ip);  // version, header length, TOS
    const auto after =
        static_cast<std::uint16_t>((before & (0xff00 | kEcnBits)) | unsigned{dscp} << 2);
    std::byte* checksum = ip + offsetof(wire::Ip4, checksum);
    store16(ip, after);
    store16(checksum, corrected(load16(checksum), before, after));
}

// No checksum covers the traffic class of IPv6.
void set_dscp6(std::byte* ip, std::uint8_t dscp) {
    constexpr unsigned kOthers = 0xf03f;  // version, ECN, start of the flow label
    store16(ip, (load16(ip) & kOthers) | unsigned{dscp} << 6);
}

// Lowers each MSS option that offers more. An option may begin at an odd place, where its bytes
// stand in two of the words that the checksum adds up.
void lower_mss(std::byte* tcp, unsigned header_length, std::uint16_t most) {
    std::byte* checksum = tcp + offsetof(wire::Tcp, checksum);
    for (unsigned at = sizeof(wire::Tcp); at < header_length;) {
        const auto kind = std::to_integer<unsigned>(tcp[at]);
        if (kind == kEndOfList)
            break;
        if (kind == kNoOperation) {
            ++at;
            continue;
        }
        const unsigned length = at + 1 < header_length ? std::to_integer<unsigned>(tcp[at + 1]) : 0;
        if (length < 2 || length > header_length - at)
            break;
        const unsigned value = at + 2;
        if (kind == kMssKind && length == kMssLength && load16(tcp + value) > most) {
            const unsigned first = value & ~1u, end = (value + 3) & ~1u;
            for (unsigned word = first; word < end; word += 2)
                store16(checksum, corrected(load16(checksum), load16(tcp + word), 0));
            store16(tcp + value, most);
            for (unsigned word = first; word < end; word += 2)
                store16(checksum, corrected(load16(checksum), 0, load16(tcp + word)));
        }
        at += length;
    }
}

}  // namespace

bool rewrite(std::span<std::byte> frame, const packet::Headers& headers,
             const program::PacketMarks& marks) {
    const bool dscp = marks.has_dscp && headers.ip_version != 0;
    const bool segment = marks.maximum_segment_size != 0 && headers.transport_offset != 0;
    std::size_t needed = 0;
    if (dscp)
        needed = headers.network_offset +
                 (headers.ip_version == 4 ? sizeof(wire::Ip4) : sizeof(wire::Ip6));
    if (segment)
        needed = std::max<std::size_t>(
            needed, std::size_t{headers.transport_offset} +
                        std::max<std::size_t>(headers.tcp_header_length, sizeof(wire::Tcp)));
    if (needed > frame.size())
        return false;
    std::byte* ip = frame.data() + headers.network_offset;
    if (dscp)
        headers.ip_version == 4 ? set_dscp4(ip, marks.dscp) : set_dscp6(ip, marks.dscp);
    if (segment)
        lower_mss(frame.data() + headers.transport_offset, headers.tcp_header_length,
                  marks.maximum_segment_size);
    return true;
}

}  // namespace sluice::forward
