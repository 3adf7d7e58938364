#include "dataplane/classify/classifier.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/classify/rule_boxes.h"
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

// Without attributes.
void set_key(const Packet& packet, HeaderKey& key) {
    const Headers& h = packet.headers;
    const packet::Passage& passage = packet.passage;
    // Other families leave the lanes alone that their forests do not know.
    if (h.ip_version == 6)
        set_addresses<4>(key, h);
    else
        set_addresses<1>(key, h);
    key.lanes[lane::source_port] = h.source_port;
    key.lanes[lane::destination_port] = h.destination_port;
    key.lanes[lane::protocol] = h.protocol;
    const std::uint32_t receive = interface_value(passage.receive_interface),
                        transmit = interface_value(passage.transmit_interface);
    const bool out = passage.direction == Direction::out;
    key.lanes[lane::receive] = receive;
    key.lanes[lane::transmit] = out ? transmit : kAbsent;
    key.lanes[lane::via] = out ? transmit : receive;
    key.lanes[lane::ports] = h.source_port | std::uint32_t{h.destination_port} << 16;
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
        forests_[i] = build_forest({.family = family,
                                    .boxes = boxes,
                                    .attributes = attributes_[i],
                                    .segments = segments_,
                                    .places_per_box = options.places_per_box,
                                    .places_on_top = options.places_on_top},
                                   cost_.families[i]);
        cost_.bytes += cost_.families[i].bytes;
    }
    cost_.build_us = now_us() - begin;
}

std::uint32_t Classifier::next_segment(std::uint32_t rule) const {
    if (rule == 0 || segments_[rule] != segments_[rule - 1])
        return rule;
    return static_cast<std::uint32_t>(
        std::upper_bound(segments_.begin(), segments_.end(), segments_[rule]) - segments_.begin());
}

void Classifier::read_keys(std::span<const Packet> packets, std::span<HeaderKey> keys) const {
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const auto family = static_cast<std::uint32_t>(family_of(packets[i].headers.ip_version));
        set_key(packets[i], keys[i]);
        keys[i].lanes[lane::attributes] =
            attributes_[family].of(packets[i], local_) | family << kFamilyShift;
    }
}

void Classifier::classify(std::span<const HeaderKey> keys, std::uint32_t from,
                          std::span<Matches> matches) const {
    if (keys.empty())
        return;
    const Family first = keys.front().family();
    std::uint32_t differs = 0;
    for (const HeaderKey& key : keys)
        differs |= key.lanes[lane::attributes] ^ keys.front().lanes[lane::attributes];
    if (differs >> kFamilyShift == 0) {
        search_(forest(first), keys, from, matches);
        return;
    }
    for (const Family family : {Family::other, Family::v4, Family::v6})
        classify_mixed(family, keys, from, matches);
}

// Those of one family among others: they are copied together, and their matches back.
void Classifier::classify_mixed(Family family, std::span<const HeaderKey> keys, std::uint32_t from,
                                std::span<Matches> matches) const {
    constexpr std::size_t kAtOnce = 32;
    std::array<HeaderKey, kAtOnce> some_keys;
    std::array<Matches, kAtOnce> some_matches;
    std::array<std::size_t, kAtOnce> places;
    std::size_t count = 0;
    const auto search_some = [&] {
        search_(forest(family), {some_keys.data(), count}, from, some_matches);
        for (std::size_t i = 0; i < count; ++i)
            matches[places[i]] = some_matches[i];
        count = 0;
    };
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (keys[i].family() != family)
            continue;
        some_keys[count] = keys[i];
        places[count] = i;
        if (++count == kAtOnce)
            search_some();
    }
    if (count > 0)
        search_some();
}

}  // namespace sluice::classify
