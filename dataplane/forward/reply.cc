#include "dataplane/forward/reply.h"

#include <algorithm>
#include <cstring>

#include "dataplane/forward/frame_writer.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

using packet::Headers;
using program::Verdict;
namespace wire = packet::wire;
namespace protocol = packet::wire::protocol;

constexpr std::uint8_t kSyn = 0x02, kRst = 0x04, kAck = 0x10;
constexpr std::uint16_t kNeedFragmentation = 4;

struct IcmpError {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be16 unused;
    Be16 mtu;
};
static_assert(sizeof(IcmpError) == 8);

constexpr std::uint8_t kIcmpUnreachable = 3;
constexpr std::uint8_t kIcmp6Unreachable = 1;

bool is_icmp_query(std::uint8_t type) {
    switch (type) {
        case 8:   // echo
        case 10:  // router solicitation
        case 13:  // timestamp
        case 15:  // information
        case 17:  // address mask
            return true;
        default:
            return false;
    }
}

bool is_icmp6_query(std::uint8_t type) {
    switch (type) {
        case 128:  // echo
        case 130:  // multicast listener query
        case 139:  // node information
            return true;
        default:
            return false;
    }
}

bool is_single_host4(const Ipv6& address) {
    return address.bytes[0] != 0 && address.bytes[0] < 224;
}

bool is_multicast6(const Ipv6& address) {
    return address.bytes[0] == 0xff;
}

bool may_answer(const Headers& h) {
    const auto* ethernet = reinterpret_cast<const wire::Ethernet*>(h.frame);
    if (h.fragment_offset != 0 || (ethernet->destination.bytes[0] & 1) != 0 ||
        (ethernet->source.bytes[0] & 1) != 0)
        return false;
    if (h.ip_version == 4) {
        const bool multicast = (h.destination.bytes[0] & 0xf0) == 0xe0;
        return !multicast && is_single_host4(h.source) &&
               (h.protocol != protocol::icmp || is_icmp_query(h.icmp_type));
    }
    if (h.ip_version == 6) {
        return !is_multicast6(h.destination) && !is_multicast6(h.source) && h.source != Ipv6{} &&
               (h.protocol != protocol::icmp6 || is_icmp6_query(h.icmp_type));
    }
    return false;
}

std::span<const std::byte> frame_bytes(const Headers& h, std::size_t offset, std::size_t length) {
    return {h.frame + offset, length};
}

// Of the answer.
IpEnds ends_of_reply(const Headers& h) {
    return {.ip_version = h.ip_version, .source = h.destination, .destination = h.source};
}

// Addresses swapped; tags and type as they came.
void write_ethernet(FrameWriter& writer, const Headers& h) {
    const auto* received = reinterpret_cast<const wire::Ethernet*>(h.frame);
    writer.append(received->source);
    writer.append(received->destination);
    constexpr std::size_t kAddresses = 2 * sizeof(MacAddress);
    writer.append(frame_bytes(h, kAddresses, h.network_offset - kAddresses));
}

std::size_t build_unreach4(const Headers& h, std::uint16_t code, std::uint16_t mtu,
                           std::span<std::byte> out) {
    const std::size_t quoted =
        std::min<std::size_t>(h.ip_length, h.ip_header_length + kQuotedPayload);
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends_of_reply(h), protocol::icmp, sizeof(IcmpError) + quoted);
    const std::size_t start = writer.length();
    auto* error = writer.append(IcmpError{
        .type = kIcmpUnreachable,
        .code = static_cast<std::uint8_t>(code),
        .checksum = {},
        .unused = {},
        .mtu = Be16::from_host(code == kNeedFragmentation ? mtu : std::uint16_t{0}),
    });
    writer.append(frame_bytes(h, h.network_offset, quoted));
    Checksum sum;
    sum.add(writer.from(start));
    error->checksum = sum.finish();
    return writer.finish();
}

std::size_t build_unreach6(const Headers& h, std::uint16_t code, std::span<std::byte> out) {
    const std::size_t quoted =
        std::min<std::size_t>(h.ip_length, kMinimumMtu6 - sizeof(wire::Ip6) - sizeof(wire::Icmp6));
    const std::size_t length = sizeof(wire::Icmp6) + quoted;
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends_of_reply(h), protocol::icmp6, length);
    const std::size_t start = writer.length();
    auto* error = writer.append(wire::Icmp6{
        .type = kIcmp6Unreachable,
        .code = static_cast<std::uint8_t>(code),
        .checksum = {},
        .body = {},
    });
    writer.append(frame_bytes(h, h.network_offset, quoted));
    Checksum sum;
    add_pseudo_header(sum, ends_of_reply(h), protocol::icmp6, length);
    sum.add(writer.from(start));
    error->checksum = sum.finish();
    return writer.finish();
}

// A segment with ACK is answered with the sequence number that its sender expects, any other with
// an acknowledgement. That counts a SYN as one byte; FIN and data are left out, as in ipfw.
std::size_t build_reset(const Headers& h, std::span<std::byte> out) {
    if (h.protocol != protocol::tcp || (h.tcp_flags & kRst) != 0)
        return 0;
    const bool has_ack = (h.tcp_flags & kAck) != 0;
    const std::uint32_t syn = (h.tcp_flags & kSyn) != 0 ? 1 : 0;
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends_of_reply(h), protocol::tcp, sizeof(wire::Tcp));
    const std::size_t start = writer.length();
    auto* tcp = writer.append(wire::Tcp{
        .source_port = Be16::from_host(h.destination_port),
        .destination_port = Be16::from_host(h.source_port),
        .sequence = Be32::from_host(has_ack ? h.tcp_acknowledgement : 0),
        .acknowledgement = Be32::from_host(has_ack ? 0 : h.tcp_sequence + syn),
        .data_offset = (sizeof(wire::Tcp) / 4) << 4,
        .flags = static_cast<std::uint8_t>(has_ack ? kRst : kRst | kAck),
        .window = {},
        .checksum = {},
        .urgent = {},
    });
    Checksum sum;
    add_pseudo_header(sum, ends_of_reply(h), protocol::tcp, sizeof(wire::Tcp));
    sum.add(writer.from(start));
    tcp->checksum = sum.finish();
    return writer.finish();
}

}  // namespace

std::uint8_t unreach6_code(std::uint16_t icmp_code) {
    constexpr std::uint8_t kNoRoute = 0, kProhibited = 1, kNoPort = 4;
    switch (icmp_code) {
        case 0:   // net
        case 1:   // host
        case 5:   // source route failed
        case 6:   // net unknown
        case 7:   // host unknown
        case 8:   // source host isolated
        case 11:  // net, for this type of service
        case 12:  // host, for this type of service
            return kNoRoute;
        case 3:
            return kNoPort;
        default:
            return kProhibited;
    }
}

std::size_t build_reply(const packet::Packet& packet, const Verdict& verdict,
                        std::span<std::byte> out) {
    const Headers& h = packet.headers;
    if (out.size() < kMaximumReply || !may_answer(h))
        return 0;
    switch (verdict.kind) {
        case Verdict::Kind::unreach:
            return h.ip_version == 4 ? build_unreach4(h, verdict.argument, verdict.mtu, out)
                                     : build_unreach6(h, unreach6_code(verdict.argument), out);
        case Verdict::Kind::unreach6:
            return h.ip_version == 6 ? build_unreach6(h, verdict.argument, out) : 0;
        case Verdict::Kind::reset:
            return build_reset(h, out);
        case Verdict::Kind::reset6:
            return h.ip_version == 6 ? build_reset(h, out) : 0;
        case Verdict::Kind::accept:
        case Verdict::Kind::deny:
        case Verdict::Kind::divert:
        case Verdict::Kind::tee:
        case Verdict::Kind::reass:
        case Verdict::Kind::fwd:
            return 0;
    }
    return 0;
}

}  // namespace sluice::forward
