#include "dataplane/forward/frame_writer.h"

#include "dataplane/packet/wire.h"

namespace sluice::forward {

namespace {

namespace wire = packet::wire;

constexpr std::uint16_t kDontFragment = 0x4000;

Ipv4 ipv4_of(const Ipv6& stored) {
    Ipv4 address;
    std::memcpy(&address, stored.bytes.data(), sizeof address);
    return address;
}

}  // namespace

std::size_t FrameWriter::finish() {
    if (length_ < kMinimumFrame) {
        std::memset(out_.data() + length_, 0, kMinimumFrame - length_);
        length_ = kMinimumFrame;
    }
    return length_;
}

void write_ip(FrameWriter& writer, const IpEnds& ends, std::uint8_t next,
              std::size_t payload_length) {
    if (ends.ip_version == 6) {
        writer.append(wire::Ip6{
            .version_class_label = Be32::from_host(std::uint32_t{6} << 28),
            .payload_length = Be16::from_host(static_cast<std::uint16_t>(payload_length)),
            .next_header = next,
            .hop_limit = kReplyTtl,
            .source = ends.source,
            .destination = ends.destination,
        });
        return;
    }
    const std::size_t start = writer.length();
    // Never fragmented, so its identification means nothing and may be 0 (RFC 6864).
    auto* ip = writer.append(wire::Ip4{
        .version_length = 0x45,
        .tos = 0,
        .total_length =
            Be16::from_host(static_cast<std::uint16_t>(sizeof(wire::Ip4) + payload_length)),
        .id = {},
        .flags_offset = Be16::from_host(kDontFragment),
        .ttl = kReplyTtl,
        .protocol = next,
        .checksum = {},
        .source = ipv4_of(ends.source),
        .destination = ipv4_of(ends.destination),
    });
    packet::Checksum sum;
    sum.add(writer.from(start));
    ip->checksum = sum.finish();
}

void add_pseudo_header(packet::Checksum& sum, const IpEnds& ends, std::uint8_t next,
                       std::size_t length) {
    if (ends.ip_version == 4) {
        sum.add(ipv4_of(ends.source));
        sum.add(ipv4_of(ends.destination));
    } else {
        sum.add(ends.source);
        sum.add(ends.destination);
    }
    sum.add(static_cast<std::uint16_t>(length));
    sum.add(static_cast<std::uint16_t>(next));
}

}  // namespace sluice::forward
