#include "dataplane/classify/classifier.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/classify/rule_boxes.h"
#include "dataplane/classify/rule_cache.h"
#include "dataplane/classify/segments.h"

namespace sluice::classify {

namespace {

using packet::Direction;
using packet::Headers;
using packet::Packet;

constexpr Family family_of(std::uint8_t ip_version) {
    return ip_version == 4 ? Family::v4 : ip_version == 6 ? Family::v6 : Family::other;
}

// Word by word: what the parser has just written is not yet in memory as a whole.
template <unsigned kWords>
void set_addresses(HeaderKey& key, const Headers& h) {
    for (unsigned word = 0; word < kWords; ++word) {
        Be32 source, destination;
        std::memcpy(&source, h.source.bytes.data() + 4 * word, sizeof source);
        std::memcpy(&destination, h.destination.bytes.data() + 4 * word, sizeof destination);
        key.lanes[lane::source + word] = source.host();
        key.lanes[lane::destination + word] = destination.host();
    }
}

std::uint32_t interface_value(packet::InterfaceIndex interface) {
    return std::min<std::uint32_t>(interface, kAbsent);
}

void set_passage(HeaderKey& key, const packet::Passage& passage) {
    const std::uint32_t receive = interface_value(passage.receive_interface),
                        transmit = interface_value(passage.transmit_interface);
    const bool out = passage.direction == Direction::out;
    key.lanes[lane::receive] = receive;
    key.lanes[lane::transmit] = out ? transmit : kAbsent;
    key.lanes[lane::via] = out ? transmit : receive;
}

// Without attributes.
void set_key(const Packet& packet, HeaderKey& key) {
    const Headers& h = packet.headers;
    // Other families leave the lanes alone that their forests do not know.
    if (h.ip_version == 6)
        set_addresses<4>(key, h);
    else
        set_addresses<1>(key, h);
    key.lanes[lane::source_port] = h.source_port;
    key.lanes[lane::destination_port] = h.destination_port;
    key.lanes[lane::protocol] = h.protocol;
    key.lanes[lane::ports] = h.source_port | std::uint32_t{h.destination_port} << 16;
    set_passage(key, packet.passage);
}

// The same for a common packet, whose family stands where the attributes are added.
void set_key(const packet::Glance& glance, const packet::Passage& passage, HeaderKey& key) {
    if (glance.ip_version == 4) {
        key.lanes[lane::source] = glance.ip4().source.host();
        key.lanes[lane::destination] = glance.ip4().destination.host();
    } else {
        const std::uint8_t* source = glance.ip6().source.bytes.data();
        const std::uint8_t* destination = glance.ip6().destination.bytes.data();
        for (unsigned word = 0; word < 4; ++word) {
            Be32 from, to;
            std::memcpy(&from, source + 4 * word, sizeof from);
            std::memcpy(&to, destination + 4 * word, sizeof to);
            key.lanes[lane::source + word] = from.host();
            key.lanes[lane::destination + word] = to.host();
        }
    }
    key.lanes[lane::source_port] = glance.ports & 0xffff;
    key.lanes[lane::destination_port] = glance.ports >> 16;
    key.lanes[lane::protocol] = glance.protocol;
    key.lanes[lane::ports] = glance.ports;
    key.lanes[lane::attributes] = static_cast<std::uint32_t>(family_of(glance.ip_version))
                                  << kFamilyShift;
    set_passage(key, passage);
}

// The field of a cache's key that holds the value of a domain; 0: it is there anyway.
std::uint64_t field_of(Domain domain) {
    switch (domain) {
        case Domain::tcp_flags:
        case Domain::icmp_type:
            return RuleCache::kDetail;
        case Domain::traffic_class:
            return RuleCache::kTrafficClass;
        case Domain::ttl:
            return RuleCache::kTtl;
        case Domain::fragment:
            return RuleCache::kIpFlags;
        case Domain::protocol:
        case Domain::passage:
        case Domain::receive:
        case Domain::transmit:
        case Domain::via:
        case Domain::ports:
        case Domain::source_is_me:
        case Domain::destination_is_me:
        case Domain::count_:
            break;
    }
    return 0;
}

std::uint64_t now_us() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

// `check-state` acts before its tests are run, and matches nothing by itself.
bool is_walked(const contract::RuleRecord& rule) {
    return rule.action != contract::RuleAction::check_state;
}

}  // namespace

Classifier::Classifier(const contract::SnapshotView& view, const packet::Environment& environment,
                       const LocalAddresses& local, const Options& options)
    : local_(local),
      tests_(view, environment, local),
      search_(search_function(options.instructions)) {
    const std::uint64_t begin = now_us();
    segments_ = segments_of(view);
    const auto rule_count = static_cast<std::uint32_t>(view.rules().size());
    for (std::size_t i = 0; i < kFamilies; ++i) {
        const auto family = static_cast<Family>(i);
        Conditions conditions;
        BoxMaker maker(view, environment, tests_, family, conditions);
        std::vector<Box> boxes;
        boxes.reserve(rule_count);
        for (std::uint32_t rule = 0; rule < rule_count; ++rule)
            if (is_walked(view.rules()[rule]))
                maker.append_boxes(rule, boxes);
        // The default rule ends every list, whatever the engine makes of it.
        boxes.back().terminal = true;
        attributes_[i] = AttributeTable(conditions);
        if (options.previous != nullptr)
            plans_[i] = options.previous->plans_[i];
        forests_[i] = build_forest({.family = family,
                                    .boxes = boxes,
                                    .attributes = attributes_[i],
                                    .segments = segments_,
                                    .places_per_box = options.places_per_box,
                                    .places_on_top = options.places_on_top},
                                   plans_[i], cost_.families[i]);
        cost_.bytes += cost_.families[i].bytes;
    }
    for (const Domain domain : attributes_[static_cast<std::size_t>(Family::v4)].in_use())
        fields_asked_ |= field_of(domain);
    cost_.build_us = now_us() - begin;
}

std::uint32_t Classifier::next_segment(std::uint32_t rule) const {
    if (rule == 0 || segments_[rule] != segments_[rule - 1])
        return rule;
    return static_cast<std::uint32_t>(
        std::upper_bound(segments_.begin(), segments_.end(), segments_[rule]) - segments_.begin());
}

void Classifier::read_keys(std::span<const Packet> packets, std::span<HeaderKey> keys) const {
    for (std::size_t i = 0; i < packets.size(); ++i)
        read_key(packets[i], keys[i]);
}

void Classifier::read_key(const Packet& packet, HeaderKey& key) const {
    const auto family = static_cast<std::uint32_t>(family_of(packet.headers.ip_version));
    set_key(packet, key);
    key.lanes[lane::attributes] = attributes_[family].of(packet, local_) | family << kFamilyShift;
}

void Classifier::read_keys(packet::Burst& burst, std::span<const std::uint8_t> places,
                           std::span<HeaderKey> keys) const {
    unsigned versions = 0;
    for (std::size_t k = 0; k < places.size(); ++k) {
        const std::size_t i = places[k];
        if (!burst.is_common(i)) {
            read_key(burst.packet(i), keys[k]);
            continue;
        }
        const packet::Glance& glance = burst.glance(i);
        set_key(glance, burst.passage(i), keys[k]);
        versions |= 1u << glance.ip_version;
    }
    if ((versions & 1u << 4) != 0)
        attributes_[static_cast<std::size_t>(Family::v4)].add_to(keys, burst, places, 4, local_);
    if ((versions & 1u << 6) != 0)
        attributes_[static_cast<std::size_t>(Family::v6)].add_to(keys, burst, places, 6, local_);
}

void Classifier::classify(std::span<const HeaderKey> keys, std::uint32_t from,
                          std::span<Matches> matches) const {
    while (!keys.empty()) {
        const std::size_t count = std::min(keys.size(), kSearchedAtOnce);
        const auto some = keys.first(count);
        keys = keys.subspan(count);
        classify_some(some, from, matches, keys.first(std::min(keys.size(), kSearchedAtOnce)));
        matches = matches.subspan(count);
    }
}

void Classifier::classify_some(std::span<const HeaderKey> keys, std::uint32_t from,
                               std::span<Matches> matches, std::span<const HeaderKey> ahead) const {
    const Family first = keys.front().family();
    std::uint32_t differs = 0;
    for (const HeaderKey& key : keys)
        differs |= key.lanes[lane::attributes] ^ keys.front().lanes[lane::attributes];
    if (differs >> kFamilyShift == 0) {
        search_(forest(first), keys, from, matches, ahead);
        return;
    }
    for (const Family family : {Family::other, Family::v4, Family::v6})
        classify_mixed(family, keys, from, matches);
}

// Those of one family among others: they are copied together, and their matches back.
void Classifier::classify_mixed(Family family, std::span<const HeaderKey> keys, std::uint32_t from,
                                std::span<Matches> matches) const {
    std::array<HeaderKey, kSearchedAtOnce> some_keys;
    std::array<Matches, kSearchedAtOnce> some_matches;
    std::array<std::size_t, kSearchedAtOnce> places;
    std::size_t count = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (keys[i].family() != family)
            continue;
        some_keys[count] = keys[i];
        places[count++] = i;
    }
    if (count == 0)
        return;
    search_(forest(family), {some_keys.data(), count}, from, some_matches, {});
    for (std::size_t i = 0; i < count; ++i)
        matches[places[i]] = some_matches[i];
}

}  // namespace sluice::classify
