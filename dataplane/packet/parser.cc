#include "dataplane/packet/parser.h"

#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::packet {

namespace {

using contract::DropReason;
namespace protocol = wire::protocol;

constexpr unsigned kMaximumVlanTags = 4;
// RFC 7112 leaves the limit to us; a legitimate chain has each header once, destination options
// twice.
constexpr unsigned kMaximumExtensionHeaders = 8;

// Bits of `ext6hdr`, as in the instruction of that name.
namespace extension_bit {
constexpr std::uint8_t fragment = 1, hop_by_hop = 2, routing = 4, destination = 8, ah = 16,
                       esp = 32, routing0 = 64, routing2 = 128;
}

std::uint16_t to_u16(std::size_t value) {
    return static_cast<std::uint16_t>(value);
}

void set_ports(Headers& h, Be16 source, Be16 destination) {
    h.source_port = source.host();
    h.destination_port = destination.host();
}

// An upper layer that is not looked into. In IPv6 a tunnelled header must be whole, and of the
// others their first two bytes. REQUIRES: offset <= view.size().
DropReason parse_unread(const wire::View& view, std::size_t offset, const Headers& h) {
    const std::size_t needed = h.ip_version != 6              ? 0
                               : h.protocol == protocol::ipv6 ? sizeof(wire::Ip6)
                               : h.protocol == protocol::ipv4 ? sizeof(wire::Ip4)
                                                              : 2;
    return view.size() - offset >= needed ? DropReason::none : DropReason::short_transport;
}

// The upper-layer header of an unfragmented packet or a first fragment. What is known must be
// whole.
DropReason parse_transport(const wire::View& view, std::size_t offset, Headers& h) {
    if (offset > view.size())
        return DropReason::short_transport;
    h.transport_offset = to_u16(offset);
    switch (h.protocol) {
        case protocol::tcp: {
            const auto* tcp = view.at<wire::Tcp>(offset);
            if (tcp == nullptr)
                return DropReason::short_transport;
            set_ports(h, tcp->source_port, tcp->destination_port);
            h.tcp_flags = tcp->flags;
            h.tcp_header_length = static_cast<std::uint8_t>((tcp->data_offset >> 4) * 4);
            h.tcp_sequence = tcp->sequence.host();
            h.tcp_acknowledgement = tcp->acknowledgement.host();
            h.tcp_window = tcp->window.host();
            return DropReason::none;
        }
        case protocol::udp:
        case protocol::udplite: {
            const auto* udp = view.at<wire::Udp>(offset);
            if (udp == nullptr)
                return DropReason::short_transport;
            set_ports(h, udp->source_port, udp->destination_port);
            return DropReason::none;
        }
        case protocol::sctp: {
            const auto* sctp = view.at<wire::Sctp>(offset);
            if (sctp == nullptr)
                return DropReason::short_transport;
            set_ports(h, sctp->source_port, sctp->destination_port);
            return DropReason::none;
        }
        case protocol::icmp: {
            if (h.ip_version != 4)
                return parse_unread(view, offset, h);
            const auto* icmp = view.at<wire::Icmp>(offset);
            if (icmp == nullptr)
                return DropReason::short_transport;
            h.icmp_type = icmp->type;
            h.icmp_code = icmp->code;
            return DropReason::none;
        }
        case protocol::icmp6: {
            if (h.ip_version != 6)
                return parse_unread(view, offset, h);
            const auto* icmp = view.at<wire::Icmp6>(offset);
            if (icmp == nullptr)
                return DropReason::short_transport;
            h.icmp_type = icmp->type;
            h.icmp_code = icmp->code;
            return DropReason::none;
        }
        default:
            return parse_unread(view, offset, h);
    }
}

DropReason parse_ipv4(wire::View view, Headers& h) {
    const auto* ip = view.at<wire::Ip4>(h.network_offset);
    if (ip == nullptr)
        return DropReason::short_frame;
    h.ip_version = 4;
    std::memcpy(h.source.bytes.data(), &ip->source, sizeof ip->source);
    std::memcpy(h.destination.bytes.data(), &ip->destination, sizeof ip->destination);
    h.protocol = ip->protocol;
    h.ip_id = ip->id.host();
    h.ip_length = ip->total_length.host();
    h.ip_header_length = static_cast<std::uint16_t>((ip->version_length & 0x0f) * 4);
    h.traffic_class = ip->tos;
    h.ttl = ip->ttl;
    h.ip_flags = static_cast<std::uint8_t>(ip->flags_offset.host() >> 13);
    h.fragment_offset = static_cast<std::uint16_t>((ip->flags_offset.host() & 0x1fff) * 8);
    if (ip->version_length >> 4 != 4 || h.ip_header_length < sizeof(wire::Ip4))
        return DropReason::bad_ipv4_header;
    if (h.ip_length < h.ip_header_length || h.ip_length > view.size() - h.network_offset)
        return DropReason::bad_ipv4_length;
    if (h.fragment_offset != 0) {
        if (h.protocol == protocol::tcp && h.fragment_offset == 8)
            return DropReason::tcp_fragment_offset_1;
        return DropReason::none;
    }
    return parse_transport(view.first(std::size_t{h.network_offset} + h.ip_length),
                           std::size_t{h.network_offset} + h.ip_header_length, h);
}

// Behind an IPv6 header an unknown number may be an extension header as well as a protocol; ipfw
// calls all but these unknown (net.inet6.ip6.fw.deny_unknown_exthdrs).
bool is_known_upper_layer(std::uint8_t number) {
    switch (number) {
        case protocol::icmp6:
        case protocol::tcp:
        case protocol::udp:
        case protocol::udplite:
        case protocol::sctp:
        case protocol::ospf:
        case protocol::pim:
        case protocol::carp:
        case protocol::ipv4:
        case protocol::ipv6:
            return true;
        default:
            return false;
    }
}

std::uint8_t routing_bits(std::uint8_t type) {
    if (type == 0)
        return extension_bit::routing | extension_bit::routing0;
    if (type == 2)
        return extension_bit::routing | extension_bit::routing2;
    return extension_bit::routing;
}

bool is_extension_header(std::uint8_t number) {
    switch (number) {
        case protocol::hop_by_hop:
        case protocol::destination:
        case protocol::routing:
        case protocol::ah:
        case protocol::fragment:
            return true;
        default:
            return false;
    }
}

// Walks the chain of extension headers up to the upper layer. Bounded: each step consumes bytes and
// at most kMaximumExtensionHeaders are accepted.
DropReason parse_extensions(const wire::View& view, std::uint8_t next,
                            const ParserSettings& settings, Headers& h) {
    std::size_t offset = std::size_t{h.network_offset} + sizeof(wire::Ip6);
    for (unsigned count = 0;; ++count) {
        h.protocol = next;
        h.ip_header_length = to_u16(offset - h.network_offset);
        if (count == kMaximumExtensionHeaders && is_extension_header(next))
            return DropReason::extension_chain;
        switch (next) {
            case protocol::hop_by_hop:
            case protocol::destination:
            case protocol::routing:
            case protocol::ah: {
                const auto* extension = view.at<wire::Extension6>(offset);
                if (extension == nullptr)
                    return DropReason::extension_chain;
                std::size_t length = (std::size_t{extension->length} + 1) * 8;
                if (next == protocol::hop_by_hop)
                    h.extension_headers |= extension_bit::hop_by_hop;
                if (next == protocol::destination)
                    h.extension_headers |= extension_bit::destination;
                if (next == protocol::ah) {
                    h.extension_headers |= extension_bit::ah;
                    length = (std::size_t{extension->length} + 2) * 4;
                }
                if (next == protocol::routing) {
                    if (extension->routing_type != 0 && extension->routing_type != 2 &&
                        settings.deny_unknown_extension_headers)
                        return DropReason::extension_chain;
                    h.extension_headers |= routing_bits(extension->routing_type);
                }
                next = extension->next_header;
                offset += length;
                break;
            }
            case protocol::fragment: {
                const auto* fragment = view.at<wire::Fragment6>(offset);
                if (fragment == nullptr || (h.extension_headers & extension_bit::fragment) != 0)
                    return DropReason::extension_chain;
                h.extension_headers |= extension_bit::fragment;
                h.fragment_offset = fragment->offset_flags.host() & 0xfff8;
                h.ip_id = fragment->id.host();
                if ((fragment->offset_flags.host() & 1) != 0)
                    h.ip_flags |= ip_flag::more_fragments;
                if (!h.is_fragment() && !settings.permit_single_fragment6)
                    return DropReason::extension_chain;
                next = fragment->next_header;
                offset += sizeof *fragment;
                if (h.fragment_offset != 0) {
                    h.protocol = next;
                    h.ip_header_length = to_u16(offset - h.network_offset);
                    if (next == protocol::tcp && h.fragment_offset == 8)
                        return DropReason::tcp_fragment_offset_1;
                    return DropReason::none;
                }
                break;
            }
            case protocol::esp:
                h.extension_headers |= extension_bit::esp;
                h.transport_offset = to_u16(offset);
                return view.at<Be32>(offset) != nullptr ? DropReason::none
                                                        : DropReason::short_transport;
            case protocol::no_next:
                return DropReason::none;
            default:
                if (!is_known_upper_layer(next) && settings.deny_unknown_extension_headers)
                    return DropReason::extension_chain;
                return parse_transport(view, offset, h);
        }
    }
}

DropReason parse_ipv6(wire::View view, const ParserSettings& settings, Headers& h) {
    const auto* ip = view.at<wire::Ip6>(h.network_offset);
    if (ip == nullptr)
        return DropReason::short_frame;
    const std::uint32_t first_word = ip->version_class_label.host();
    h.ip_version = 6;
    h.source = ip->source;
    h.destination = ip->destination;
    h.protocol = ip->next_header;
    h.ttl = ip->hop_limit;
    h.traffic_class = static_cast<std::uint8_t>(first_word >> 20);
    h.flow_label = first_word & 0xfffff;
    h.ip_header_length = sizeof(wire::Ip6);
    const std::size_t length = std::size_t{ip->payload_length.host()} + sizeof(wire::Ip6);
    h.ip_length = to_u16(length);
    if (first_word >> 28 != 6)
        return DropReason::bad_ipv6_header;
    if (length > view.size() - h.network_offset || length > 0xffff)
        return DropReason::bad_ipv6_length;
    return parse_extensions(view.first(h.network_offset + length), ip->next_header, settings, h);
}

bool is_vlan(std::uint16_t type) {
    return type == wire::kEtherTypeVlan || type == wire::kEtherTypeQinQ ||
           type == wire::kEtherTypeOldQinQ;
}

}  // namespace

DropReason parse_frame(std::span<const std::byte> frame, const ParserSettings& settings,
                       Headers& h) {
    h = Headers{};
    h.frame = frame.data();
    h.frame_length = static_cast<std::uint32_t>(frame.size());
    const wire::View view(frame);
    const auto* ethernet = view.at<wire::Ethernet>(0);
    if (ethernet == nullptr)
        return DropReason::short_frame;
    h.ether_type = ethernet->type.host();
    std::size_t offset = sizeof(wire::Ethernet);
    for (unsigned tags = 0; is_vlan(h.ether_type); ++tags) {
        // Passed on as not IP it would carry any packet past the rules.
        if (tags == kMaximumVlanTags)
            return DropReason::vlan_tags;
        const auto* vlan = view.at<wire::Vlan>(offset);
        if (vlan == nullptr)
            return DropReason::short_frame;
        h.ether_type = vlan->type.host();
        offset += sizeof *vlan;
    }
    h.network_offset = to_u16(offset);
    switch (h.ether_type) {
        case wire::kEtherTypeIpv4:
            return parse_ipv4(view, h);
        case wire::kEtherTypeIpv6:
            return parse_ipv6(view, settings, h);
        default:
            return DropReason::none;
    }
}

}  // namespace sluice::packet
