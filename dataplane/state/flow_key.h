// What a state is found by: protocol, both addresses, both ports, the same for both directions.
//
// The ends are put in order, so that a packet and its answer have the same key; `from_low` says
// which way the packet goes. Ports are 0 where the packet shows none (ICMP, fragments behind the
// first), as in ipfw: those are flows of their own.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/glance.h"
#include "dataplane/packet/packet.h"

namespace sluice::state {

struct FlowKey {
    // Version 4: the low address | the high one << 32, as they lie in memory. Version 6: the sum
    // (XOR) of all 32-bit words of both, for a quick comparison.
    std::uint64_t addresses;
    std::uint16_t low_port;  // host byte order
    std::uint16_t high_port;
    std::uint8_t protocol;
    std::uint8_t ip_version;  // 4 or 6
    bool from_low;            // of the packet, not part of the key
    bool one_end;             // both ends are the same: there is but one direction
    // Version 6 only; not set for version 4.
    Ipv6 low6;
    Ipv6 high6;

    std::uint32_t ports() const { return std::uint32_t{high_port} << 16 | low_port; }
    // Of either version; the first 4 bytes for version 4, the rest is zero.
    Ipv6 low() const;
    Ipv6 high() const;
};

// A key from ends in any order; `from_low` says whether the source is the low one. Addresses of
// version 4 in network byte order, ports in host byte order.
//
// Written where it is to stay: keys of a burst are read again in wider words than they are made in,
// and a copy would wait for the stores.
inline void set_flow_key4(FlowKey& key, std::uint32_t source, std::uint32_t destination,
                          std::uint16_t source_port, std::uint16_t destination_port,
                          std::uint8_t protocol) {
    // Any total order of the ends does. Which end is the low one is as good as random: halves are
    // exchanged by turning words, since a branch would be mispredicted for every second packet.
    const std::uint64_t from = std::uint64_t{source} << 16 | source_port;
    const std::uint64_t to = std::uint64_t{destination} << 16 | destination_port;
    const int turns = from <= to ? 0 : 1;
    const std::uint32_t ports =
        std::rotl(std::uint32_t{destination_port} << 16 | source_port, 16 * turns);
    key.addresses = std::rotl(std::uint64_t{destination} << 32 | source, 32 * turns);
    if constexpr (std::endian::native == std::endian::little) {
        // All of it in one store: what is written in pieces has to be waited for.
        static_assert(offsetof(FlowKey, high_port) == offsetof(FlowKey, low_port) + 2 &&
                      offsetof(FlowKey, protocol) == offsetof(FlowKey, low_port) + 4 &&
                      offsetof(FlowKey, ip_version) == offsetof(FlowKey, low_port) + 5 &&
                      offsetof(FlowKey, from_low) == offsetof(FlowKey, low_port) + 6 &&
                      offsetof(FlowKey, one_end) == offsetof(FlowKey, low_port) + 7);
        const std::uint64_t rest = ports | std::uint64_t{protocol} << 32 | std::uint64_t{4} << 40 |
                                   std::uint64_t{from <= to} << 48 |
                                   std::uint64_t{from == to} << 56;
        std::memcpy(reinterpret_cast<std::byte*>(&key) + offsetof(FlowKey, low_port), &rest,
                    sizeof rest);
        return;
    }
    key.low_port = static_cast<std::uint16_t>(ports);
    key.high_port = static_cast<std::uint16_t>(ports >> 16);
    key.protocol = protocol;
    key.ip_version = 4;
    key.from_low = from <= to;
    key.one_end = from == to;
}

inline FlowKey flow_key4(std::uint32_t source, std::uint32_t destination, std::uint16_t source_port,
                         std::uint16_t destination_port, std::uint8_t protocol) {
    FlowKey key;
    set_flow_key4(key, source, destination, source_port, destination_port, protocol);
    return key;
}

FlowKey flow_key6(const Ipv6& source, const Ipv6& destination, std::uint16_t source_port,
                  std::uint16_t destination_port, std::uint8_t protocol);

// REQUIRES: the packet is IP.
inline void set_flow_key(FlowKey& key, const packet::Headers& headers) {
    if (headers.ip_version != 4) {
        key = flow_key6(headers.source, headers.destination, headers.source_port,
                        headers.destination_port, headers.protocol);
        return;
    }
    std::uint32_t source, destination;
    std::memcpy(&source, headers.source.bytes.data(), sizeof source);
    std::memcpy(&destination, headers.destination.bytes.data(), sizeof destination);
    set_flow_key4(key, source, destination, headers.source_port, headers.destination_port,
                  headers.protocol);
}

// REQUIRES: the packet is common.
inline void set_flow_key(FlowKey& key, const packet::Glance& glance) {
    const auto source_port = static_cast<std::uint16_t>(glance.ports);
    const auto destination_port = static_cast<std::uint16_t>(glance.ports >> 16);
    if (glance.ip_version != 4) {
        key = flow_key6(glance.ip6().source, glance.ip6().destination, source_port,
                        destination_port, glance.protocol);
        return;
    }
    std::uint32_t source, destination;
    std::memcpy(&source, &glance.ip4().source, sizeof source);
    std::memcpy(&destination, &glance.ip4().destination, sizeof destination);
    set_flow_key4(key, source, destination, source_port, destination_port, glance.protocol);
}

inline FlowKey flow_key(const packet::Headers& headers) {
    FlowKey key;
    set_flow_key(key, headers);
    return key;
}

using FlowHash = std::uint64_t;

// The hash of the tables. Its secret is drawn at start: who does not know it cannot choose flows
// that collide.
class FlowHasher {
  public:
    using Secret = std::array<std::uint64_t, 4>;
    explicit FlowHasher(const Secret& secret) : secret_(secret) {}

    FlowHash operator()(const FlowKey& key) const {
        if (key.ip_version == 4)
            return of_version4(key.addresses, key.ports(), key.protocol);
        return mix(fold6(key), key.ports(), key.protocol, 6);
    }

    // The same from the parts of a key.
    FlowHash of_version4(std::uint64_t addresses, std::uint32_t ports,
                         std::uint8_t protocol) const {
        return mix(addresses, ports, protocol, 4);
    }

  private:
    // Both halves of the 128-bit product: every bit of either factor reaches every bit of the
    // result.
    static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    FlowHash mix(std::uint64_t addresses, std::uint32_t ports, std::uint8_t protocol,
                 std::uint8_t ip_version) const {
        const std::uint64_t rest =
            std::uint64_t{ports} << 32 | std::uint64_t{protocol} << 8 | ip_version;
        return fold(fold(addresses ^ secret_[0], rest ^ secret_[1]) ^ secret_[2], secret_[3]);
    }
    std::uint64_t fold6(const FlowKey& key) const;

    Secret secret_;
};

// Which worker owns a flow: the Toeplitz hash that receive-side scaling uses, with a key that
// repeats every 16 bits, so that both directions of a flow hash alike. A port that has been given
// `key()` and hashes addresses and ports brings a packet to its owner by itself.
//
// Such a hash has 65,536 values at most and says nothing about its input but their sum: good for
// choosing a worker, too poor for a table.
class OwnerHash {
  public:
    static constexpr std::size_t kKeySize = 52;           // bytes; enough for every driver
    static constexpr std::uint32_t kDirectorySize = 128;  // entries of the redirection table

    // `seed` chooses the repeated word, one with seven or nine ones.
    explicit OwnerHash(std::uint64_t seed);

    // REQUIRES: the packet is IP.
    std::uint32_t operator()(const packet::Headers& headers) const;
    std::uint32_t operator()(const packet::Glance& glance) const;

    // Of the addresses alone: the same for all fragments of a datagram and for all flows between
    // two hosts. REQUIRES: the packet is IP.
    std::uint32_t of_addresses(const packet::Headers& headers) const;
    std::uint32_t of_addresses(const packet::Glance& glance) const;

    static unsigned worker_of(std::uint32_t hash, unsigned workers) {
        return (hash % kDirectorySize) % workers;
    }

    std::array<std::uint8_t, kKeySize> key() const;

  private:
    std::uint32_t of_sum(unsigned sum) const {
        return upper_[sum >> 8 & 0xff] ^ lower_[sum & 0xff];
    }

    std::uint16_t word_;
    std::array<std::uint32_t, 256> upper_{};  // by the upper byte of the sum of all 16-bit words
    std::array<std::uint32_t, 256> lower_{};
};

}  // namespace sluice::state
