// What became of packets with the same headers a moment ago: most traffic is many packets of few
// flows, and for those the search can be left out.
//
// The cache holds answers that headers alone decide: the first rule that a common IPv4 packet
// matches, if that ends its walk, or looks into its payload. Its key is everything that a search
// reads, to the bit: addresses, ports, protocol, the way the packet takes, and those other fields
// that some rule asks about (Classifier::fields_asked). So an answer is never wrong, it is only
// there or not. A ruleset that is new finds an empty cache.
//
// Traffic that does not come back gains nothing. So hits are counted, and where less than half of
// the look-ups hit, the cache is left alone for a while: what it costs then is a few hundredths of
// a search. An entry is 32 bytes; two of them, one cache line, are where a packet may be.
//
// Threads: belongs to one worker.
#pragma once

#include <array>
#include <cstdint>

#include "common/huge_memory.h"
#include "dataplane/packet/burst.h"

namespace sluice::classify {

class RuleCache {
  public:
    struct Answer {
        std::uint32_t rule : 29 = 0;    // index
        std::uint32_t outcome : 3 = 0;  // what the caller makes of it
        std::uint32_t slot = 0;         // of its counters, or what the caller puts there
    };
    static_assert(sizeof(Answer) == 8);
    using Answers = std::array<Answer, packet::Burst::kCapacity>;

    // `seed` makes it hard to send packets that all fall into the same place.
    explicit RuleCache(std::uint64_t seed);

    // Has the kernel provide the memory now. Without it pages come when they are first used.
    void populate() { (void)memory_.populate(); }

    // Sets answers[i] of the packets that are known, and tells which those are. `ruleset` is
    // another number for each ruleset, and never 0; `fields_asked` as the classifier says.
    packet::Burst::Mask find(const packet::Burst& burst, std::uint64_t ruleset,
                             std::uint64_t fields_asked, Answers& answers);

    // Whether the last call of `find` looked for this packet, so that its answer may be kept.
    bool has_looked_for(std::size_t i) const { return (looked_for_ >> i & 1) != 0; }
    // REQUIRES: has_looked_for(i), and answer.rule is what the burst's ruleset says of packet i.
    void keep(std::size_t i, const Answer& answer);

    // Fields of the second word of a key; what is in it besides is always asked.
    static constexpr std::uint64_t kDetail = std::uint64_t{0xff} << 40;  // TCP flags, ICMP type
    static constexpr std::uint64_t kTrafficClass = std::uint64_t{0xff} << 48;
    static constexpr std::uint64_t kTtl = std::uint64_t{0xff} << 56;
    // One of the third word, at a place that is free here.
    static constexpr std::uint64_t kIpFlags = 1;

  private:
    struct Key {
        std::uint64_t addresses = 0;
        std::uint64_t ports = 0;    // and protocol, and what is asked of kDetail and so on
        std::uint64_t passage = 0;  // and the IP flags, and which ruleset
    };
    struct alignas(32) Entry {
        Key key;
        Answer answer;
    };
    static_assert(sizeof(Entry) == 32);
    struct alignas(64) Place {
        Entry entries[2];
    };

    static constexpr unsigned kPlaceBits = 15;  // all places fill a huge page
    // In look-ups: how many are watched, and how many are left out if they were in vain.
    static constexpr std::uint32_t kWatched = 4096, kLeftOut = 65536;
    static constexpr unsigned kEpochShift = 40;
    static constexpr std::uint64_t kLastEpoch = (std::uint64_t{1} << (64 - kEpochShift)) - 1;

    void begin_ruleset(std::uint64_t ruleset);
    bool is_left_out(std::size_t packets);
    static void set_key(const packet::Glance& glance, std::uint64_t way, std::uint64_t fields_asked,
                        Key& key);
    std::size_t place_of(const Key& key) const;
    static std::uint64_t difference(const Key& a, const Key& b);

    HugeMemory memory_;  // zeros are no entries
    Place* places_;
    std::uint64_t secrets_[2];
    std::uint64_t ruleset_ = 0;
    std::uint64_t epoch_ = 0;  // of the ruleset, in keys; 0: of no entry
    std::uint32_t tries_ = 0;
    std::uint32_t hits_ = 0;
    std::uint32_t left_out_ = 0;  // still to come
    std::uint32_t kept_ = 0;
    // Of the burst.
    packet::Burst::Mask looked_for_ = 0;
    std::array<Key, packet::Burst::kCapacity> keys_;
    std::array<Place*, packet::Burst::kCapacity> at_;
};

}  // namespace sluice::classify
