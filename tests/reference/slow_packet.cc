#include "tests/reference/slow_packet.h"

#include <algorithm>

#include "controlplane/language/model.h"

namespace sluice::reference {

namespace {

namespace ext = language::ext6_header;

constexpr unsigned kIcmp = 1, kIpIp = 4, kTcp = 6, kUdp = 17, kIpv6 = 41, kRouting = 43,
                   kFragment = 44, kEsp = 50, kAh = 51, kIcmp6 = 58, kNoNext = 59,
                   kDestination = 60, kOspf = 89, kPim = 103, kCarp = 112, kSctp = 132,
                   kUdpLite = 136, kHopByHop = 0;

constexpr std::size_t kEthernetHeader = 14, kVlanTag = 4, kMaximumTags = 4;

class Reader {
  public:
    Reader(std::span<const std::byte> frame, const DecodeSettings& settings)
        : frame_(frame), settings_(settings) {}

    SlowPacket read() {
        using Fate = SlowPacket::Fate;
        if (frame_.size() < kEthernetHeader)
            return end(Fate::refused);
        for (std::size_t i = 0; i < 6; ++i) {
            packet_.destination_mac.bytes[i] = static_cast<std::uint8_t>(byte(i));
            packet_.source_mac.bytes[i] = static_cast<std::uint8_t>(byte(6 + i));
        }
        std::size_t at = kEthernetHeader;
        packet_.ether_type = packet_.outer_ether_type = pair(12);
        for (std::size_t tags = 0; is_tag(packet_.ether_type); ++tags) {
            if (tags == kMaximumTags || frame_.size() < at + kVlanTag)
                return end(Fate::refused);
            packet_.ether_type = pair(at + 2);
            at += kVlanTag;
        }
        packet_.link_payload = frame_.size() - at;
        if (packet_.ether_type == 0x0800)
            return end(read_ip4(at));
        if (packet_.ether_type == 0x86dd)
            return end(read_ip6(at));
        return end(Fate::judged);
    }

  private:
    using Fate = SlowPacket::Fate;

    static bool is_tag(unsigned type) { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }
    unsigned byte(std::size_t at) const { return std::to_integer<unsigned>(frame_[at]); }
    unsigned pair(std::size_t at) const { return byte(at) << 8 | byte(at + 1); }

    SlowPacket end(Fate fate) {
        packet_.fate = fate;
        return packet_;
    }

    void take_ip(std::size_t at, std::size_t length) {
        packet_.ip.clear();
        for (std::size_t i = 0; i < length; ++i)
            packet_.ip.push_back(static_cast<std::uint8_t>(byte(at + i)));
    }
    std::vector<std::uint8_t> slice(std::size_t at, std::size_t length) const {
        return {packet_.ip.begin() + static_cast<std::ptrdiff_t>(at),
                packet_.ip.begin() + static_cast<std::ptrdiff_t>(at + length)};
    }
    bool has(std::size_t length) const { return packet_.upper + length <= packet_.ip.size(); }

    // RFC 791. A header that lies about itself is still good for a log line.
    Fate read_ip4(std::size_t at) {
        const std::size_t room = frame_.size() - at;
        if (room < 20)
            return Fate::refused;
        const std::size_t header = (byte(at) & 15) * 4;
        const std::size_t total = pair(at + 2);
        const bool sound = byte(at) >> 4 == 4 && header >= 20 && header <= total && total <= room;
        take_ip(at, sound ? total : 20);
        packet_.version = 4;
        packet_.traffic_class = packet_.ip[1];
        packet_.identification = packet_.ip[4] * 256u + packet_.ip[5];
        packet_.reserved_flag = (packet_.ip[6] & 0x80) != 0;
        packet_.dont_fragment = (packet_.ip[6] & 0x40) != 0;
        packet_.more_fragments = (packet_.ip[6] & 0x20) != 0;
        packet_.fragment_offset = ((packet_.ip[6] & 0x1fu) * 256u + packet_.ip[7]) * 8;
        packet_.time_to_live = packet_.ip[8];
        packet_.protocol = packet_.ip[9];
        packet_.source = slice(12, 4);
        packet_.destination = slice(16, 4);
        packet_.upper = header;
        packet_.has_sound_header = sound;
        if (!sound)
            return Fate::refused;
        if (packet_.fragment_offset == 8 && packet_.protocol == kTcp)
            return Fate::refused;
        if (packet_.fragment_offset != 0)
            return Fate::judged;
        std::size_t needed = 0;
        switch (packet_.protocol) {
            case kTcp:
                needed = 20;
                break;
            case kUdp:
            case kUdpLite:
                needed = 8;
                break;
            case kSctp:
                needed = 12;
                break;
            case kIcmp:
                needed = 4;
                break;
        }
        return has(needed) ? Fate::judged : Fate::pullup_failed;
    }

    // RFC 8200.
    Fate read_ip6(std::size_t at) {
        const std::size_t room = frame_.size() - at;
        if (room < 40)
            return Fate::refused;
        const std::size_t total = pair(at + 4) + 40;
        const bool sound = byte(at) >> 4 == 6 && total <= room;
        take_ip(at, sound ? total : 40);
        const auto& ip = packet_.ip;
        packet_.version = 6;
        packet_.traffic_class = (ip[0] & 15u) << 4 | ip[1] >> 4;
        packet_.flow_label = (ip[1] & 15u) << 16 | ip[2] * 256u | ip[3];
        packet_.time_to_live = ip[7];
        packet_.source = slice(8, 16);
        packet_.destination = slice(24, 16);
        packet_.protocol = ip[6];
        packet_.upper = 40;
        packet_.has_sound_header = sound;
        if (!sound)
            return Fate::refused;
        return walk_extensions();
    }

    // Goes on with the next header; `length` is that of the header just seen.
    bool step(std::size_t length) {
        packet_.protocol = packet_.ip[packet_.upper];
        packet_.upper += length;
        return true;
    }

    static bool is_extension(unsigned number) {
        return number == kHopByHop || number == kDestination || number == kRouting ||
               number == kAh || number == kFragment;
    }

    // More than eight extension headers no honest packet has.
    Fate walk_extensions() {
        for (int count = 0;; ++count) {
            if (count == 8 && is_extension(packet_.protocol))
                return Fate::pullup_failed;
            switch (packet_.protocol) {
                case kHopByHop:
                case kDestination:
                    if (!has(8))
                        return Fate::pullup_failed;
                    packet_.extension_headers |=
                        packet_.protocol == kHopByHop ? ext::hopopt : ext::dstopt;
                    step((packet_.upper8(1) + 1) * 8);
                    break;
                case kRouting: {
                    if (!has(8))
                        return Fate::pullup_failed;
                    const unsigned type = packet_.upper8(2);
                    if (type == 0)
                        packet_.extension_headers |= ext::rthdr0;
                    else if (type == 2)
                        packet_.extension_headers |= ext::rthdr2;
                    else if (settings_.deny_unknown_extension_headers)
                        return Fate::pullup_failed;
                    packet_.extension_headers |= ext::route;
                    step((packet_.upper8(1) + 1) * 8);
                    break;
                }
                case kAh:
                    if (!has(8))
                        return Fate::pullup_failed;
                    packet_.extension_headers |= ext::ah;
                    step((packet_.upper8(1) + 2) * 4);
                    break;
                case kFragment: {
                    // A datagram is fragmented once.
                    if (!has(8) || (packet_.extension_headers & ext::frag) != 0)
                        return Fate::pullup_failed;
                    packet_.extension_headers |= ext::frag;
                    packet_.fragment_offset = packet_.upper16(2) & 0xfff8;
                    packet_.more_fragments = (packet_.upper16(2) & 1) != 0;
                    packet_.identification = packet_.upper32(4);
                    step(8);
                    if (packet_.fragment_offset == 8 && packet_.protocol == kTcp)
                        return Fate::refused;
                    if (packet_.fragment_offset != 0)
                        return Fate::judged;
                    if (!packet_.more_fragments && !settings_.permit_single_fragment6)
                        return Fate::pullup_failed;
                    break;
                }
                default:
                    return check_upper();
            }
        }
    }

    // What ipfw knows by name must be there as far as it looks at it.
    Fate check_upper() {
        std::size_t needed = 2;
        switch (packet_.protocol) {
            case kTcp:
            case kIpIp:
                needed = 20;
                break;
            case kUdp:
            case kUdpLite:
            case kIcmp6:
                needed = 8;
                break;
            case kSctp:
                needed = 12;
                break;
            case kEsp:
                packet_.extension_headers |= ext::esp;
                needed = 4;
                break;
            case kIpv6:
                needed = 40;
                break;
            case kNoNext:
                return Fate::judged;
            case kOspf:
            case kPim:
            case kCarp:
                break;
            default:
                if (settings_.deny_unknown_extension_headers)
                    return Fate::pullup_failed;
        }
        return has(needed) ? Fate::judged : Fate::pullup_failed;
    }

    std::span<const std::byte> frame_;
    DecodeSettings settings_;
    SlowPacket packet_;
};

}  // namespace

bool SlowPacket::has_ports() const {
    return is_first_of(kTcp) || is_first_of(kUdp) || is_first_of(kUdpLite) || is_first_of(kSctp);
}

std::optional<std::span<const std::uint8_t>> SlowPacket::tcp_options() const {
    const std::size_t length = (upper8(12) >> 4) * 4;
    if (length < 20)  // wrong, but certainly no options
        return std::span<const std::uint8_t>();
    if (upper + length > ip.size())
        return std::nullopt;
    return std::span(ip).subspan(upper + 20, length - 20);
}

std::span<const std::uint8_t> SlowPacket::ip4_options() const {
    return std::span(ip).subspan(20, upper - 20);
}

SlowPacket decode(std::span<const std::byte> frame, const DecodeSettings& settings) {
    return Reader(frame, settings).read();
}

}  // namespace sluice::reference
