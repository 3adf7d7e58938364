// Attributes: what else than addresses and ports the rules ask of a packet, as bits of one word.
//
// Most header tests look at one small field: the protocol, the TCP flags, an interface. A domain is
// such a field with the values it can take, and any test over it is the set of values that pass.
// What a rule asks within a domain, its tests and their negations and alternatives together, is
// one set; different sets get a bit each, and a table for each domain says for a value which bits
// it has. So the bits of a packet are a few table look-ups or-ed together, and a rule asks for all
// of its bits at once. The sets are made by running the tests themselves (HeaderTests) on a sample
// packet for each value: there is no second definition of what a test means.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dataplane/classify/header_key.h"
#include "dataplane/classify/header_tests.h"
#include "dataplane/contract/instruction.h"
#include "dataplane/packet/burst.h"

namespace sluice::classify {

enum class Domain : std::uint8_t {
    protocol,       // upper-layer protocol
    tcp_flags,      // kAbsent: not TCP, or no header of it
    icmp_type,      // of the family's ICMP; kAbsent: none
    fragment,       // bit 0: offset is not 0; above it the three flag bits
    traffic_class,  // the byte
    ttl,            //
    passage,        // direction and entry
    receive,        // index of the interface; kAbsent: none
    transmit,       // likewise; none for packets that come in
    via,            // likewise, of the two the one that counts
    ports,          // 1: the packet has ports
    source_is_me,   // 1: it is an address of the machine
    destination_is_me,
    count_
};
inline constexpr std::size_t kDomains = static_cast<std::size_t>(Domain::count_);
inline constexpr unsigned kAbsent = 256;
inline constexpr std::size_t kDomainValues = kAbsent + 1;

using ValueSet = std::bitset<kDomainValues>;

// The domain that decides `opcode`; none: addresses, ports, or a field of too many values.
std::optional<Domain> domain_of(contract::Opcode opcode);

// How many values a domain has: 0 … domain_size() - 1.
unsigned domain_size(Domain domain);

// A packet of `family` with that value. None: no packet has it here (there is no local address).
std::optional<packet::Packet> sample_packet(Domain domain, unsigned value, Family family,
                                            const packet::Environment& environment);

// Names a set of values of a domain within one family. 0: no condition.
using Condition = std::uint16_t;

// The conditions that rules of one family have while a forest is built.
class Conditions {
  public:
    // The same for the same set. None: there are too many.
    std::optional<Condition> add(Domain domain, const ValueSet& values);

    struct Entry {
        Domain domain;
        ValueSet values;
        std::uint32_t uses = 0;
    };
    std::span<const Entry> entries() const { return entries_; }  // Condition n stands at n - 1
    void count_use(Condition condition) { ++entries_[condition - 1u].uses; }

  private:
    struct Key {
        Domain domain;
        ValueSet values;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const;
    };

    std::vector<Entry> entries_;
    std::unordered_map<Key, Condition, Hash> known_;
};

// Which bits a packet has.
class AttributeTable {
  public:
    AttributeTable() = default;
    // Gives the conditions that are used most a bit each; there are kAttributeBits of them.
    explicit AttributeTable(const Conditions& conditions);

    // 0: the condition has no bit, and rules that have it must be verified.
    std::uint32_t bit(Condition condition) const { return bits_[condition - 1u]; }

    std::uint32_t of(const packet::Packet& packet, const LocalAddresses& local) const;

    // Adds their bits to the keys of common packets that are of `ip_version`; a domain at a time.
    // keys[k] belongs to packet places[k] of the burst. REQUIRES: keys.size() >= places.size().
    void add_to(std::span<HeaderKey> keys, const packet::Burst& burst,
                std::span<const std::uint8_t> places, std::uint8_t ip_version,
                const LocalAddresses& local) const;

    // The domains that some rule asks about.
    std::span<const Domain> in_use() const { return in_use_; }

  private:
    using Column = std::vector<std::uint32_t>;  // bits by value; empty: nobody asks

    template <std::size_t... kDomain>
    std::uint32_t bits_in_use(const packet::Packet& packet, const LocalAddresses& local,
                              std::index_sequence<kDomain...>) const;

    std::vector<std::uint32_t> bits_;  // by condition
    std::array<Column, kDomains> columns_;
    std::vector<Domain> in_use_;  // those whose column is not empty
};

}  // namespace sluice::classify
