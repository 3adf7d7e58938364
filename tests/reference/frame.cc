#include "tests/reference/frame.h"

#include <algorithm>

namespace sluice::reference {

namespace {

constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17, kFragment = 44, kRouting = 43, kAh = 51,
                   kIcmp6 = 58, kSctp = 132, kUdpLite = 136;

class Bytes {
  public:
    void put8(unsigned v) { bytes_.push_back(static_cast<std::byte>(v)); }
    void put16(unsigned v) {
        put8(v >> 8 & 255);
        put8(v & 255);
    }
    void put32(std::uint32_t v) {
        put16(v >> 16);
        put16(v & 65535);
    }
    template <typename Range>
    void put_all(const Range& range) {
        for (const auto byte : range)
            bytes_.push_back(static_cast<std::byte>(byte));
    }
    void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
    std::size_t size() const { return bytes_.size(); }
    Frame take() { return std::move(bytes_); }

  private:
    Frame bytes_;
};

std::vector<std::uint8_t> padded(std::vector<std::uint8_t> options) {
    while (options.size() % 4 != 0)
        options.push_back(0);
    return options;
}

Frame upper_layer(const FramePlan& plan) {
    Bytes out;
    switch (plan.protocol) {
        case kTcp: {
            const auto options = padded(plan.tcp_options);
            out.put16(plan.source_port);
            out.put16(plan.destination_port);
            out.put32(plan.sequence);
            out.put32(plan.acknowledgement);
            const unsigned words = static_cast<unsigned>(5 + options.size() / 4);
            out.put8(plan.claimed_data_offset.value_or(static_cast<std::uint8_t>(words)) << 4 &
                     0xf0);
            out.put8(plan.tcp_flags);
            out.put16(plan.window);
            out.zeros(4);
            out.put_all(options);
            break;
        }
        case kUdp:
        case kUdpLite:
            out.put16(plan.source_port);
            out.put16(plan.destination_port);
            out.put16(8 + plan.payload);
            out.put16(0);
            break;
        case kSctp:
            out.put16(plan.source_port);
            out.put16(plan.destination_port);
            out.zeros(8);
            break;
        case kIcmp:
        case kIcmp6:
            out.put8(plan.icmp_type);
            out.put8(plan.icmp_code);
            out.zeros(6);
            break;
        default:
            break;
    }
    out.zeros(plan.payload);
    return out.take();
}

void put_extension(Bytes& out, const FramePlan::Extension& extension, unsigned next) {
    out.put8(next);
    if (extension.header == kFragment) {
        out.put8(0);
        out.put16(extension.fragment_bytes | (extension.more ? 1u : 0u));
        out.put32(extension.id);
        return;
    }
    out.put8(extension.length_units);
    out.put8(extension.header == kRouting ? extension.routing_type : 0);
    const std::size_t length = extension.header == kAh ? (extension.length_units + 2u) * 4
                                                       : (extension.length_units + 1u) * 8;
    out.zeros(length > 3 ? length - 3 : 0);
}

void put_ip4(Bytes& out, const FramePlan& plan, const Frame& upper) {
    const auto options = padded(plan.ip_options);
    const std::size_t header = 20 + options.size();
    out.put8(plan.claimed_version_length.value_or(static_cast<std::uint8_t>(0x40 | header / 4)));
    out.put8(plan.traffic_class);
    out.put16(plan.claimed_length.value_or(static_cast<std::uint16_t>(header + upper.size())));
    out.put16(plan.id);
    out.put16(static_cast<unsigned>(plan.flags) << 13 | plan.fragment_bytes / 8);
    out.put8(plan.ttl);
    out.put8(plan.protocol);
    out.put16(0);
    out.put_all(plan.source4.value.bytes);
    out.put_all(plan.destination4.value.bytes);
    out.put_all(options);
    out.put_all(upper);
}

void put_ip6(Bytes& out, const FramePlan& plan, const Frame& upper) {
    Bytes chain;
    for (std::size_t i = 0; i < plan.extensions.size(); ++i)
        put_extension(
            chain, plan.extensions[i],
            i + 1 < plan.extensions.size() ? plan.extensions[i + 1].header : plan.protocol);
    const Frame extensions = chain.take();
    out.put32(6u << 28 | static_cast<std::uint32_t>(plan.traffic_class) << 20 |
              (plan.flow_label & 0xfffff));
    out.put16(
        plan.claimed_length.value_or(static_cast<std::uint16_t>(extensions.size() + upper.size())));
    out.put8(plan.extensions.empty() ? plan.protocol : plan.extensions.front().header);
    out.put8(plan.ttl);
    out.put_all(plan.source6.bytes);
    out.put_all(plan.destination6.bytes);
    out.put_all(extensions);
    out.put_all(upper);
}

}  // namespace

Frame build_frame(const FramePlan& plan) {
    Bytes out;
    out.put_all(plan.destination_mac.bytes);
    out.put_all(plan.source_mac.bytes);
    for (const std::uint16_t tag : plan.tags) {
        out.put16(tag);
        out.put16(100);
    }
    out.put16(plan.version == 4   ? 0x0800
              : plan.version == 6 ? 0x86dd
                                  : static_cast<unsigned>(plan.ether_type));
    if (plan.version == 4)
        put_ip4(out, plan, upper_layer(plan));
    else if (plan.version == 6)
        put_ip6(out, plan, upper_layer(plan));
    else
        out.zeros(plan.payload);
    out.zeros(plan.padding);
    return out.take();
}

std::string to_hex(const Frame& frame) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : frame) {
        text += kDigits[std::to_integer<unsigned>(byte) >> 4];
        text += kDigits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

}  // namespace sluice::reference
