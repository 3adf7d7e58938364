// Puts frames of our own together: Ethernet in front, IP and its checksum, padding at the end.
//
// On bytes; nothing is allocated. Owned by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/address.h"
#include "dataplane/packet/checksum.h"

namespace sluice::forward {

// Of all packets that are made here.
inline constexpr std::uint8_t kReplyTtl = 64;
inline constexpr std::size_t kMinimumFrame = 60;  // Ethernet, without FCS

// Appends to the frame; the caller has made sure that there is room.
class FrameWriter {
  public:
    explicit FrameWriter(std::span<std::byte> out) : out_(out) {}

    template <typename T>
    T* append(const T& value) {
        static_assert(alignof(T) == 1);
        std::memcpy(out_.data() + length_, &value, sizeof value);
        T* at = reinterpret_cast<T*>(out_.data() + length_);
        length_ += sizeof value;
        return at;
    }
    void append(std::span<const std::byte> bytes) {
        std::memcpy(out_.data() + length_, bytes.data(), bytes.size());
        length_ += bytes.size();
    }
    std::span<const std::byte> from(std::size_t offset) const {
        return std::span(out_).subspan(offset, length_ - offset);
    }
    std::size_t length() const { return length_; }
    // Pads the frame to the least length of Ethernet and returns its length in bytes.
    std::size_t finish();

  private:
    std::span<std::byte> out_;
    std::size_t length_ = 0;
};

// Between whom a packet goes. An IPv4 address is the first four bytes.
struct IpEnds {
    std::uint8_t ip_version = 4;  // or 6
    Ipv6 source;
    Ipv6 destination;
};

// A header without options, for `payload_length` bytes of protocol `next`. An IPv4 packet may not
// be fragmented.
void write_ip(FrameWriter& writer, const IpEnds& ends, std::uint8_t next,
              std::size_t payload_length);

// What the checksums of TCP and ICMPv6 cover in front of their own bytes.
void add_pseudo_header(packet::Checksum& sum, const IpEnds& ends, std::uint8_t next,
                       std::size_t length);

}  // namespace sluice::forward
