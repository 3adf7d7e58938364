// The headers as they stand on the wire, and the only way to reach them: `View::at` gives a header
// when all its bytes are there, else null. All types have alignment 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/address.h"
#include "common/byte_order.h"

namespace sluice::packet::wire {

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800, kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeVlan = 0x8100, kEtherTypeQinQ = 0x88a8,
                               kEtherTypeOldQinQ = 0x9100;

namespace protocol {  // IANA protocol numbers
inline constexpr std::uint8_t hop_by_hop = 0, icmp = 1, ipv4 = 4, tcp = 6, udp = 17, ipv6 = 41,
                              routing = 43, fragment = 44, esp = 50, ah = 51, icmp6 = 58,
                              no_next = 59, destination = 60, ospf = 89, pim = 103, carp = 112,
                              sctp = 132, udplite = 136;
}

struct Ethernet {
    MacAddress destination;
    MacAddress source;
    Be16 type;
};

struct Vlan {
    Be16 tag;
    Be16 type;
};

struct Ip4 {
    std::uint8_t version_length;
    std::uint8_t tos;
    Be16 total_length;
    Be16 id;
    Be16 flags_offset;  // three flags, then the offset in units of 8 bytes
    std::uint8_t ttl;
    std::uint8_t protocol;
    Be16 checksum;
    Ipv4 source;
    Ipv4 destination;
};

struct Ip6 {
    Be32 version_class_label;
    Be16 payload_length;
    std::uint8_t next_header;
    std::uint8_t hop_limit;
    Ipv6 source;
    Ipv6 destination;
};

// The start of hop-by-hop, destination, routing and authentication headers.
struct Extension6 {
    std::uint8_t next_header;
    std::uint8_t length;        // units of 8 bytes without the first; AH: of 4 bytes minus 2
    std::uint8_t routing_type;  // routing header only
    std::uint8_t rest[5];
};

struct Fragment6 {
    std::uint8_t next_header;
    std::uint8_t reserved;
    Be16 offset_flags;  // offset in bytes, low bit: more fragments
    Be32 id;
};

struct Tcp {
    Be16 source_port;
    Be16 destination_port;
    Be32 sequence;
    Be32 acknowledgement;
    std::uint8_t data_offset;  // high nibble: units of 4 bytes
    std::uint8_t flags;
    Be16 window;
    Be16 checksum;
    Be16 urgent;
};

struct Udp {
    Be16 source_port;
    Be16 destination_port;
    Be16 length;
    Be16 checksum;
};

struct Sctp {
    Be16 source_port;
    Be16 destination_port;
    Be32 verification_tag;
    Be32 checksum;
};

struct Icmp {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
};

struct Icmp6 {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be32 body;
};

static_assert(sizeof(Ethernet) == 14 && sizeof(Vlan) == 4 && sizeof(Ip4) == 20 &&
              sizeof(Ip6) == 40 && sizeof(Extension6) == 8 && sizeof(Fragment6) == 8 &&
              sizeof(Tcp) == 20 && sizeof(Udp) == 8 && sizeof(Sctp) == 12 && sizeof(Icmp) == 4 &&
              sizeof(Icmp6) == 8 && alignof(Tcp) == 1 && alignof(Ip6) == 1);

class View {
  public:
    explicit View(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename T>
    const T* at(std::size_t offset) const {
        static_assert(alignof(T) == 1);
        if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T))
            return nullptr;
        return reinterpret_cast<const T*>(bytes_.data() + offset);
    }

    std::size_t size() const { return bytes_.size(); }

    // The first `length` bytes only. REQUIRES: length <= size().
    View first(std::size_t length) const { return View(bytes_.first(length)); }

  private:
    std::span<const std::byte> bytes_;
};

}  // namespace sluice::packet::wire
