// The Internet checksum (RFC 1071), with the pseudo headers of IPv4 and IPv6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/address.h"
#include "common/byte_order.h"

namespace sluice::packet {

// One's complement sum of 16-bit words. Every piece but the last must have an even length.
class Checksum {
  public:
    void add(std::span<const std::byte> bytes);
    void add(Ipv4 address);
    void add(const Ipv6& address);
    void add(std::uint16_t word) { sum_ += word; }

    // What belongs into the checksum field; 0 over data that contain a right checksum.
    Be16 finish() const;

  private:
    std::uint64_t sum_ = 0;
};

namespace detail {

// Of 16-bit words as they lie in memory, for processors of which nothing is known.
// REQUIRES: size is a multiple of 64, and not above 2^18.
std::uint64_t sum_with_any(const std::byte* bytes, std::size_t size);

}  // namespace detail

}  // namespace sluice::packet
