#include "dataplane/forward/reply.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/forward/frame_writer.h"
#include "dataplane/forward/hop.h"
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

// Of an ICMP error, in the numbers of the packet's family.
struct ErrorMessage {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
    std::uint16_t mtu = 0;
};

constexpr std::uint8_t kIcmpUnreachable = 3, kIcmpTimeExceeded = 11;
constexpr std::uint8_t kIcmp6Unreachable = 1, kIcmp6PacketTooBig = 2, kIcmp6TimeExceeded = 3;

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

bool is_icmp_error(std::uint8_t type) {
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

// RFC 4443: the high bit tells information from errors. A redirect is not answered either.
bool is_icmp6_error(std::uint8_t type) {
    return type < 128 || type == 137;
}

// Whether ICMP itself may be answered.
enum class Icmp { queries, all_but_errors };

bool may_answer_icmp(const Headers& h, Icmp which) {
    if (h.ip_version == 4 && h.protocol == protocol::icmp)
        return which == Icmp::queries ? is_icmp_query(h.icmp_type) : !is_icmp_error(h.icmp_type);
    if (h.ip_version == 6 && h.protocol == protocol::icmp6)
        return which == Icmp::queries ? is_icmp6_query(h.icmp_type) : !is_icmp6_error(h.icmp_type);
    return true;
}

// Rules answer what went to 255.255.255.255 with unicast hardware addresses, as in ipfw.
bool may_answer(const Headers& h, Icmp which) {
    const auto* ethernet = reinterpret_cast<const wire::Ethernet*>(h.frame);
    if (h.fragment_offset != 0 || (ethernet->destination.bytes[0] & 1) != 0 ||
        (ethernet->source.bytes[0] & 1) != 0)
        return false;
    if (h.ip_version == 4) {
        const bool multicast = (h.destination.bytes[0] & 0xf0) == 0xe0;
        return !multicast && is_single_host4(h.source) && may_answer_icmp(h, which);
    }
    if (h.ip_version == 6) {
        return !is_multicast6(h.destination) && !is_multicast6(h.source) && h.source != Ipv6{} &&
               may_answer_icmp(h, which);
    }
    return false;
}

std::span<const std::byte> frame_bytes(const Headers& h, std::size_t offset, std::size_t length) {
    return {h.frame + offset, length};
}

// Of the answer.
IpEnds ends_of_reply(const Headers& h, const std::optional<Ipv6>& own = {}) {
    return {
        .ip_version = h.ip_version, .source = own.value_or(h.destination), .destination = h.source};
}

// Addresses swapped; tags and type as they came.
void write_ethernet(FrameWriter& writer, const Headers& h) {
    const auto* received = reinterpret_cast<const wire::Ethernet*>(h.frame);
    writer.append(received->source);
    writer.append(received->destination);
    constexpr std::size_t kAddresses = 2 * sizeof(MacAddress);
    writer.append(frame_bytes(h, kAddresses, h.network_offset - kAddresses));
}

std::size_t build_error4(const Headers& h, const ErrorMessage& message, std::span<std::byte> out,
                         const std::optional<Ipv6>& own) {
    const std::size_t quoted =
        std::min<std::size_t>(h.ip_length, h.ip_header_length + kQuotedPayload);
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends_of_reply(h, own), protocol::icmp, sizeof(IcmpError) + quoted);
    const std::size_t start = writer.length();
    auto* error = writer.append(IcmpError{
        .type = message.type,
        .code = message.code,
        .checksum = {},
        .unused = {},
        .mtu = Be16::from_host(message.mtu),
    });
    writer.append(frame_bytes(h, h.network_offset, quoted));
    packet::Checksum sum;
    sum.add(writer.from(start));
    error->checksum = sum.finish();
    return writer.finish();
}

std::size_t build_error6(const Headers& h, const ErrorMessage& message, std::span<std::byte> out,
                         const std::optional<Ipv6>& own) {
    const IpEnds ends = ends_of_reply(h, own);
    const std::size_t quoted =
        std::min<std::size_t>(h.ip_length, kMinimumMtu6 - sizeof(wire::Ip6) - sizeof(wire::Icmp6));
    const std::size_t length = sizeof(wire::Icmp6) + quoted;
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends, protocol::icmp6, length);
    const std::size_t start = writer.length();
    auto* error = writer.append(wire::Icmp6{
        .type = message.type,
        .code = message.code,
        .checksum = {},
        .body = Be32::from_host(message.mtu),
    });
    writer.append(frame_bytes(h, h.network_offset, quoted));
    packet::Checksum sum;
    add_pseudo_header(sum, ends, protocol::icmp6, length);
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
    packet::Checksum sum;
    add_pseudo_header(sum, ends_of_reply(h), protocol::tcp, sizeof(wire::Tcp));
    sum.add(writer.from(start));
    tcp->checksum = sum.finish();
    return writer.finish();
}

struct SctpChunk {
    std::uint8_t type;
    std::uint8_t flags;
    Be16 length;
};
static_assert(sizeof(SctpChunk) == 4);

constexpr std::uint8_t kSctpInit = 1, kSctpAbort = 6, kReflectedTag = 1;

// RFC 9260, appendix A: the bytes of the checksum, as they stand in the header.
std::array<std::byte, 4> crc32c(std::span<const std::byte> bytes) {
    std::uint32_t sum = ~std::uint32_t{0};
    for (const std::byte each : bytes) {
        sum ^= std::to_integer<std::uint32_t>(each);
        for (int bit = 0; bit < 8; ++bit)
            sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82f63b78 : 0);
    }
    sum = ~sum;
    return {static_cast<std::byte>(sum), static_cast<std::byte>(sum >> 8),
            static_cast<std::byte>(sum >> 16), static_cast<std::byte>(sum >> 24)};
}

std::size_t build_abort(const Headers& h, std::span<std::byte> out) {
    if (h.protocol != protocol::sctp)
        return 0;
    const std::size_t end = std::size_t{h.network_offset} + h.ip_length;
    const wire::View view({h.frame, std::min<std::size_t>(end, h.frame_length)});
    const auto* header = view.at<wire::Sctp>(h.transport_offset);
    const std::size_t chunk_at = h.transport_offset + sizeof(wire::Sctp);
    const auto* chunk = view.at<SctpChunk>(chunk_at);
    if (header == nullptr || (chunk != nullptr && chunk->type == kSctpAbort))
        return 0;
    Be32 tag = header->verification_tag;
    const bool is_init = chunk != nullptr && chunk->type == kSctpInit;
    if (is_init) {
        const auto* initiate_tag = view.at<Be32>(chunk_at + sizeof(SctpChunk));
        if (initiate_tag == nullptr)
            return 0;
        tag = *initiate_tag;
    }
    // A tag of 0 belongs to INIT only: the packet is not of an association.
    if (tag == Be32{})
        return 0;
    FrameWriter writer(out);
    write_ethernet(writer, h);
    write_ip(writer, ends_of_reply(h), protocol::sctp, sizeof(wire::Sctp) + sizeof(SctpChunk));
    const std::size_t start = writer.length();
    auto* sctp = writer.append(wire::Sctp{
        .source_port = Be16::from_host(h.destination_port),
        .destination_port = Be16::from_host(h.source_port),
        .verification_tag = tag,
        .checksum = {},
    });
    writer.append(SctpChunk{
        .type = kSctpAbort,
        .flags = is_init ? std::uint8_t{0} : kReflectedTag,
        .length = Be16::from_host(sizeof(SctpChunk)),
    });
    const auto checksum = crc32c(writer.from(start));
    std::memcpy(&sctp->checksum, checksum.data(), checksum.size());
    return writer.finish();
}

ErrorMessage unreachable4(std::uint16_t code, std::uint16_t mtu) {
    return {.type = kIcmpUnreachable,
            .code = static_cast<std::uint8_t>(code),
            .mtu = code == kNeedFragmentation ? mtu : std::uint16_t{0}};
}

ErrorMessage unreachable6(std::uint16_t code) {
    return {.type = kIcmp6Unreachable, .code = static_cast<std::uint8_t>(code), .mtu = 0};
}

ErrorMessage message4(Obstacle obstacle, std::uint16_t mtu) {
    constexpr std::uint16_t kNet = 0, kHost = 1, kSourceRoute = 5, kProhibited = 13;
    switch (obstacle) {
        case Obstacle::hop_limit:
            return {.type = kIcmpTimeExceeded, .code = 0, .mtu = 0};
        case Obstacle::too_big:
            return unreachable4(kNeedFragmentation, mtu);
        case Obstacle::no_route:
            return unreachable4(kNet, 0);
        case Obstacle::prohibited:
            return unreachable4(kProhibited, 0);
        case Obstacle::source_route_refused:
            return unreachable4(kSourceRoute, 0);
        case Obstacle::host_unreachable:
        case Obstacle::beyond_scope:
        case Obstacle::none:
            break;
    }
    return unreachable4(kHost, 0);
}

ErrorMessage message6(Obstacle obstacle, std::uint16_t mtu) {
    constexpr std::uint16_t kNoRoute = 0, kProhibited = 1, kBeyondScope = 2, kAddress = 3;
    switch (obstacle) {
        case Obstacle::hop_limit:
            return {.type = kIcmp6TimeExceeded, .code = 0, .mtu = 0};
        case Obstacle::too_big:
            return {.type = kIcmp6PacketTooBig, .code = 0, .mtu = mtu};
        case Obstacle::no_route:
            return unreachable6(kNoRoute);
        case Obstacle::prohibited:
            return unreachable6(kProhibited);
        case Obstacle::beyond_scope:
            return unreachable6(kBeyondScope);
        case Obstacle::host_unreachable:
        case Obstacle::source_route_refused:
        case Obstacle::none:
            break;
    }
    return unreachable6(kAddress);
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
                        std::span<std::byte> out, const std::optional<Ipv6>& own) {
    const Headers& h = packet.headers;
    if (out.size() < kMaximumReply || !may_answer(h, Icmp::queries))
        return 0;
    switch (verdict.kind) {
        case Verdict::Kind::unreach:
            return h.ip_version == 4
                       ? build_error4(h, unreachable4(verdict.argument, verdict.mtu), out, own)
                       : build_error6(h, unreachable6(unreach6_code(verdict.argument)), out, own);
        case Verdict::Kind::unreach6:
            return h.ip_version == 6 ? build_error6(h, unreachable6(verdict.argument), out, own)
                                     : 0;
        case Verdict::Kind::reset:
            return build_reset(h, out);
        case Verdict::Kind::reset6:
            return h.ip_version == 6 ? build_reset(h, out) : 0;
        case Verdict::Kind::abort:
            return build_abort(h, out);
        case Verdict::Kind::abort6:
            return h.ip_version == 6 ? build_abort(h, out) : 0;
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

std::size_t build_error(const packet::Packet& packet, Obstacle obstacle, std::uint16_t mtu,
                        std::span<std::byte> out, const std::optional<Ipv6>& own) {
    const Headers& h = packet.headers;
    // What is too big is told to the senders to groups too (RFC 4443 §2.4), but none are forwarded.
    if (out.size() < kMaximumReply || obstacle == Obstacle::none || is_group(h) ||
        !may_answer(h, Icmp::all_but_errors))
        return 0;
    return h.ip_version == 4 ? build_error4(h, message4(obstacle, mtu), out, own)
                             : build_error6(h, message6(obstacle, mtu), out, own);
}

}  // namespace sluice::forward
