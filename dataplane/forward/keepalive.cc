#include "dataplane/forward/keepalive.h"

#include "dataplane/forward/frame_writer.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

namespace wire = packet::wire;
using Framing = state::LinkOrigin::Framing;

void write_ethernet(FrameWriter& writer, const state::Keepalive& keepalive) {
    const state::LinkOrigin& origin = keepalive.origin;
    const Be16 type =
        Be16::from_host(keepalive.ip_version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
    const bool tagged = origin.framing == Framing::tagged;
    const bool bridged = tagged || origin.framing == Framing::plain;
    const MacAddress nobody{};
    const MacAddress& initiator = bridged ? origin.initiator : nobody;
    const MacAddress& responder = bridged ? origin.responder : nobody;
    writer.append(wire::Ethernet{
        .destination = keepalive.to_initiator ? initiator : responder,
        .source = keepalive.to_initiator ? responder : initiator,
        .type = tagged ? Be16::from_host(wire::kEtherTypeVlan) : type,
    });
    if (tagged)
        writer.append(wire::Vlan{.tag = Be16::from_host(origin.vlan), .type = type});
}

}  // namespace

std::size_t build_keepalive(const state::Keepalive& keepalive, std::span<std::byte> out) {
    const Framing framing = keepalive.origin.framing;
    const bool known =
        framing == Framing::plain || framing == Framing::tagged || framing == Framing::routed;
    if (out.size() < kMaximumKeepalive || !known)
        return 0;
    constexpr std::uint8_t kAck = 0x10;
    const IpEnds ends{.ip_version = keepalive.ip_version,
                      .source = keepalive.source,
                      .destination = keepalive.destination};
    FrameWriter writer(out);
    write_ethernet(writer, keepalive);
    write_ip(writer, ends, wire::protocol::tcp, sizeof(wire::Tcp));
    const std::size_t start = writer.length();
    auto* tcp = writer.append(wire::Tcp{
        .source_port = Be16::from_host(keepalive.source_port),
        .destination_port = Be16::from_host(keepalive.destination_port),
        .sequence = Be32::from_host(keepalive.sequence),
        .acknowledgement = Be32::from_host(keepalive.acknowledgement),
        .data_offset = (sizeof(wire::Tcp) / 4) << 4,
        .flags = kAck,
        .window = {},
        .checksum = {},
        .urgent = {},
    });
    packet::Checksum sum;
    add_pseudo_header(sum, ends, wire::protocol::tcp, sizeof(wire::Tcp));
    sum.add(writer.from(start));
    tcp->checksum = sum.finish();
    return writer.finish();
}

}  // namespace sluice::forward
