#include "dataplane/classify/rule_cache.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "dataplane/packet/wire.h"

namespace sluice::classify {

namespace {

namespace protocol = packet::wire::protocol;

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load64(const std::byte* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

// TCP flags or the ICMP type; UDP has nothing like it.
std::uint8_t detail_of(const packet::Glance& glance) {
    if (glance.protocol == protocol::udp)
        return 0;
    return glance.protocol == protocol::tcp ? glance.tcp().flags : glance.icmp_type();
}

std::uint64_t way_of(const packet::Passage& passage) {
    return static_cast<std::uint64_t>(passage.direction) |
           static_cast<std::uint64_t>(passage.entry) << 1 |
           std::uint64_t{passage.receive_interface} << 8 |
           std::uint64_t{passage.transmit_interface} << 24;
}

}  // namespace

namespace {

HugeMemory memory_for(std::size_t size) {
    auto memory = HugeMemory::map(size);
    if (!memory)
        std::abort();  // two megabytes: out of memory before anything runs
    return std::move(*memory);
}

}  // namespace

RuleCache::RuleCache(std::uint64_t seed)
    : memory_(memory_for(sizeof(Place) << kPlaceBits)),
      places_(reinterpret_cast<Place*>(memory_.data())),
      secrets_{fold(seed + 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9),
               fold(seed + 0x94d049bb133111eb, 0xda942042e4dd58b5)} {}

// Entries of other rulesets have another epoch in their keys. Where they all have been used, all
// entries go.
void RuleCache::begin_ruleset(std::uint64_t ruleset) {
    ruleset_ = ruleset;
    if (++epoch_ > kLastEpoch) {
        epoch_ = 1;
        for (std::size_t i = 0; i < std::size_t{1} << kPlaceBits; ++i)
            places_[i] = {};
    }
    tries_ = hits_ = left_out_ = 0;
}

bool RuleCache::is_left_out(std::size_t packets) {
    if (left_out_ > packets) {
        left_out_ -= static_cast<std::uint32_t>(packets);
        return true;
    }
    left_out_ = 0;
    if (tries_ >= kWatched) {
        if (hits_ < tries_ / 2)
            left_out_ = kLeftOut;
        tries_ = hits_ = 0;
    }
    return left_out_ != 0;
}

inline void RuleCache::set_key(const packet::Glance& glance, std::uint64_t way,
                               std::uint64_t fields_asked, Key& key) {
    std::uint64_t ports = glance.ports | std::uint64_t{glance.protocol} << 32;
    if (fields_asked != 0) {
        const std::uint64_t fields = std::uint64_t{detail_of(glance)} << 40 |
                                     std::uint64_t{glance.traffic_class()} << 48 |
                                     std::uint64_t{glance.ttl()} << 56;
        ports |= fields & fields_asked & ~kIpFlags;
        way |= (fields_asked & kIpFlags) != 0 ? std::uint64_t{glance.ip_flags()} << 3 : 0;
    }
    static_assert(offsetof(packet::wire::Ip4, destination) ==
                  offsetof(packet::wire::Ip4, source) + 4);
    key.addresses = load64(glance.network + offsetof(packet::wire::Ip4, source));
    key.ports = ports;
    key.passage = way;
}

inline std::size_t RuleCache::place_of(const Key& key) const {
    return fold(key.addresses ^ secrets_[0],
                (key.ports + key.passage * 0x9e3779b97f4a7c15) ^ secrets_[1]) >>
           (64 - kPlaceBits);
}

// 0: they are the same.
inline std::uint64_t RuleCache::difference(const Key& a, const Key& b) {
    return (a.addresses ^ b.addresses) | (a.ports ^ b.ports) | (a.passage ^ b.passage);
}

packet::Burst::Mask RuleCache::find(const packet::Burst& burst, std::uint64_t ruleset,
                                    std::uint64_t fields_asked, Answers& answers) {
    if (ruleset != ruleset_)
        begin_ruleset(ruleset);
    looked_for_ = 0;
    const std::size_t count = burst.size();
    if (is_left_out(count))
        return 0;
    packet::Burst::Mask looked_for = 0;
    const bool one_way = burst.has_one_passage();
    std::uint64_t way = way_of(burst.passage(0)) | epoch_ << kEpochShift;
    for (std::size_t i = 0; i < count; ++i) {
        if (burst.glance(i).ip_version != 4)
            continue;
        Key key;
        if (!one_way)
            way = way_of(burst.passage(i)) | epoch_ << kEpochShift;
        set_key(burst.glance(i), way, fields_asked, key);
        keys_[i] = key;
        Place* place = places_ + place_of(key);
        __builtin_prefetch(place);
        at_[i] = place;
        looked_for |= packet::Burst::Mask{1} << i;
    }
    packet::Burst::Mask found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if ((looked_for >> i & 1) == 0)
            continue;
        const Entry* entries = at_[i]->entries;
        const std::uint64_t first = difference(entries[0].key, keys_[i]),
                            second = difference(entries[1].key, keys_[i]);
        answers[i] = entries[first == 0 ? 0 : 1].answer;
        found |= packet::Burst::Mask{first == 0 || second == 0} << i;
    }
    looked_for_ = looked_for;
    tries_ += static_cast<std::uint32_t>(std::popcount(looked_for));
    hits_ += static_cast<std::uint32_t>(std::popcount(found));
    return found;
}

// In place of one that is worth nothing any more, or else of either in turn: of three that come one
// after the other, again and again, the one that came last would always be the one that is missing.
void RuleCache::keep(std::size_t i, const Answer& answer) {
    Entry* entries = at_[i]->entries;
    unsigned which = ++kept_ & 1;
    for (const unsigned other : {1u, 0u})
        if (entries[other].key.passage >> kEpochShift != epoch_)
            which = other;
    entries[which] = {.key = keys_[i], .answer = answer};
}

}  // namespace sluice::classify
