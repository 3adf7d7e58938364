#include "dataplane/packet/checksum.h"

namespace sluice::packet {

void Checksum::add(std::span<const std::byte> bytes) {
    std::size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2)
        sum_ += std::to_integer<std::uint32_t>(bytes[i]) << 8 |
                std::to_integer<std::uint32_t>(bytes[i + 1]);
    if (i < bytes.size())
        sum_ += std::to_integer<std::uint32_t>(bytes[i]) << 8;
}

void Checksum::add(Ipv4 address) {
    sum_ += address.host() >> 16;
    sum_ += address.host() & 0xffff;
}

void Checksum::add(const Ipv6& address) {
    add(std::as_bytes(std::span(address.bytes)));
}

Be16 Checksum::finish() const {
    std::uint64_t sum = sum_;
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return Be16::from_host(static_cast<std::uint16_t>(~sum));
}

}  // namespace sluice::packet
