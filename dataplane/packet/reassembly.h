// Puts the fragments of IPv4 datagrams together, for the rule action `reass`.
//
// Safe against fragments that are made to hurt. A datagram is told apart by source, destination,
// identification and protocol, by the port it came in by and by its VLAN tags. A fragment that
// overlaps another one with other bytes, contradicts the length, is empty, or not a multiple of 8
// bytes long ends its datagram (RFC 5722 for IPv6, of which IPv4 deserves the same); a fragment
// that came twice is dropped alone. Memory is taken at start and bounded: kMaximumDatagrams wait at
// most, each of kMaximumFragments pieces at most and for kTimeout_s at most; when there is no room
// for one more datagram the oldest goes.
//
// Threads: belongs to one worker, which owns all fragments that it is given.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/packet/packet.h"

namespace sluice::packet {

class Reassembler {
  public:
    static constexpr unsigned kMaximumDatagrams = 256;
    static constexpr unsigned kMaximumFragments = 64;
    static constexpr std::uint32_t kTimeout_s = 30;

    Reassembler();
    Reassembler(Reassembler&&) noexcept;
    ~Reassembler();

    struct Outcome {
        // The datagram, from the Ethernet header of its first fragment on; empty: it is not
        // complete. Holds until the next call.
        std::span<std::byte> frame;
        // Why the fragment is dropped; none: it waits, or was the last one.
        contract::DropReason refused = contract::DropReason::none;
        // Fragments that had been waiting and never will be a datagram, and why.
        unsigned given_up = 0;
        contract::DropReason reason = contract::DropReason::none;
    };

    // REQUIRES: `fragment` is IPv4, was parsed without complaint, and is a fragment.
    Outcome add(const Packet& fragment);

    // Gives up what has waited too long; returns how many fragments that were. To be called at
    // least once a second.
    unsigned expire(std::uint32_t uptime_s);

  private:
    static constexpr std::size_t kHeaderRoom = 128;  // Ethernet, VLAN tags, IP with options
    static constexpr std::size_t kRoom = kHeaderRoom + 65536;
    static constexpr std::size_t kLinkBytes = 18;  // types and tags

    struct Key {
        std::array<std::byte, 8> addresses{};
        std::uint16_t id = 0;
        std::uint8_t protocol = 0;
        std::uint8_t link_length = 0;
        InterfaceIndex interface = kNoInterface;
        std::array<std::byte, kLinkBytes> link{};
        bool operator==(const Key&) const = default;
    };
    struct Piece {
        std::uint16_t offset = 0;  // bytes
        std::uint16_t length = 0;
    };
    struct Datagram {
        bool used = false;
        Key key;
        std::uint32_t since_s = 0;
        std::uint64_t order = 0;          // in which they began
        std::uint32_t received = 0;       // bytes of payload
        std::uint32_t total = 0;          // 0: the last fragment has not come
        std::uint32_t end = 0;            // of the fragment that reaches furthest
        std::uint16_t header_length = 0;  // of Ethernet and IP; 0: the first has not come
        std::uint16_t ip_header_length = 0;
        std::uint16_t piece_count = 0;
        Piece pieces[kMaximumFragments];
    };

    static Key key_of(const Packet& fragment);
    Datagram* find(const Key& key);
    Datagram& begin(const Key& key, std::uint32_t uptime_s, Outcome& outcome);
    std::byte* room_of(const Datagram& datagram) const;
    contract::DropReason take(Datagram& datagram, const Headers& headers, bool& came_twice);
    std::span<std::byte> finish(Datagram& datagram);

    std::vector<Datagram> datagrams_;
    std::unique_ptr<std::byte[]> memory_;  // kRoom for each
    unsigned waiting_ = 0;
    std::uint64_t begun_ = 0;
    std::uint32_t last_expiry_s_ = 0;
};

}  // namespace sluice::packet
