// What the search reads of a packet: one cache line of plain numbers, and what it answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::classify {

// Packets of a family share a forest. What is not IP takes the layout of IPv4, with zeros.
enum class Family : std::uint8_t { other, v4, v6 };
inline constexpr std::size_t kFamilies = 3;

// Places in a key. All numbers are in host byte order; an IPv4 address is the first of its four
// words, an IPv6 address has its most significant word first.
namespace lane {
inline constexpr unsigned source = 0;
inline constexpr unsigned destination = 4;
inline constexpr unsigned source_port = 8;
inline constexpr unsigned destination_port = 9;
inline constexpr unsigned protocol = 10;
inline constexpr unsigned receive = 11;     // index of the interface, kNoInterface: none
inline constexpr unsigned transmit = 12;    // none for packets that come in
inline constexpr unsigned via = 13;         // of the two the one that counts for the direction
inline constexpr unsigned boxed = 14;       // the lanes before this one span the space of the rules
inline constexpr unsigned attributes = 14;  // see AttributeTable, and the family above them
inline constexpr unsigned ports = 15;       // source port, and the destination port above it
inline constexpr unsigned count = 16;
}  // namespace lane

// Bits of the lane of attributes: conditions of rules, then the family, then one that no packet
// has.
inline constexpr unsigned kAttributeBits = 29;
inline constexpr unsigned kFamilyShift = kAttributeBits;
inline constexpr std::uint32_t kNoPacketHas = 1u << 31;

struct alignas(64) HeaderKey {
    std::array<std::uint32_t, lane::count> lanes{};

    Family family() const {
        return static_cast<Family>(lanes[lane::attributes] >> kFamilyShift & 3);
    }
};
static_assert(sizeof(HeaderKey) == 64);

// The rules whose header tests match one packet, ascending, from where the search began up to
// `end`. If not all fit, `end` is where to go on.
struct alignas(64) Matches {
    static constexpr std::size_t kCapacity = 14;
    // The index of the rule; with this bit the header tests have only been narrowed down and are
    // to be run (HeaderTests::rule_matches).
    static constexpr std::uint32_t kUnverified = 1u << 31;

    std::array<std::uint32_t, kCapacity> rules;
    std::uint32_t count;
    std::uint32_t end;  // all matching rules below this index are told
};
static_assert(sizeof(Matches) == 64);

}  // namespace sluice::classify
