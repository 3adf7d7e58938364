#include "dataplane/forward/fragment.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

namespace wire = packet::wire;

constexpr std::uint16_t kMoreFragments = 0x2000, kFlags = 0xe000;
constexpr unsigned kEndOfList = 0, kNoOperation = 1, kCopied = 0x80;

// RFC 791: an option goes into all fragments if the highest bit of its type is set.
void blank_options(std::span<std::byte> options) {
    for (std::size_t at = 0; at < options.size();) {
        const auto type = std::to_integer<unsigned>(options[at]);
        if (type == kEndOfList)
            return;
        if (type == kNoOperation) {
            ++at;
            continue;
        }
        const std::size_t length =
            at + 1 < options.size() ? std::to_integer<std::size_t>(options[at + 1]) : 0;
        if (length < 2 || length > options.size() - at)
            return;
        if ((type & kCopied) == 0)
            std::fill_n(options.begin() + static_cast<std::ptrdiff_t>(at), length,
                        std::byte{kNoOperation});
        at += length;
    }
}

}  // namespace

std::size_t build_fragment(std::span<const std::byte> frame, const packet::Headers& headers,
                           unsigned mtu, unsigned index, std::span<std::byte> out) {
    const std::size_t in_front = std::size_t{headers.network_offset} + headers.ip_header_length;
    const std::size_t payload = headers.ip_length - headers.ip_header_length;
    const std::size_t step = (mtu - headers.ip_header_length) / 8 * 8;
    const std::size_t begin = index * step;
    if (begin >= payload)
        return 0;
    const std::size_t length = std::min(step, payload - begin);
    std::memcpy(out.data(), frame.data(), in_front);
    std::memcpy(out.data() + in_front, frame.data() + in_front + begin, length);
    auto& ip = *reinterpret_cast<wire::Ip4*>(out.data() + headers.network_offset);
    if (index != 0)
        blank_options(out.subspan(headers.network_offset + sizeof(wire::Ip4),
                                  headers.ip_header_length - sizeof(wire::Ip4)));
    const bool more = begin + length < payload || headers.more_fragments();
    const std::size_t offset = headers.fragment_offset + begin;
    ip.total_length =
        Be16::from_host(static_cast<std::uint16_t>(headers.ip_header_length + length));
    ip.flags_offset = Be16::from_host(static_cast<std::uint16_t>(
        (ip.flags_offset.host() & kFlags) | offset / 8 | (more ? kMoreFragments : 0)));
    ip.checksum = {};
    packet::Checksum sum;
    sum.add(out.subspan(headers.network_offset, headers.ip_header_length));
    ip.checksum = sum.finish();
    return in_front + length;
}

}  // namespace sluice::forward
