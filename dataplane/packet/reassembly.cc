#include "dataplane/packet/reassembly.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::packet {

namespace {

using contract::DropReason;

constexpr std::size_t kTypeOffset = 12;  // of the Ethernet type, or of the first tag
constexpr unsigned kLongestDatagram = 65535;

void store16(std::byte* at, unsigned value) {
    at[0] = static_cast<std::byte>(value >> 8);
    at[1] = static_cast<std::byte>(value);
}

unsigned load16(const std::byte* at) {
    return std::to_integer<unsigned>(at[0]) << 8 | std::to_integer<unsigned>(at[1]);
}

// RFC 1071
unsigned header_checksum(const std::byte* ip, unsigned length) {
    unsigned sum = 0;
    for (unsigned at = 0; at < length; at += 2)
        sum += load16(ip + at);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

}  // namespace

// Pages of the memory that no datagram has lain in cost nothing.
Reassembler::Reassembler()
    : datagrams_(kMaximumDatagrams), memory_(new std::byte[kMaximumDatagrams * kRoom]) {}
Reassembler::Reassembler(Reassembler&&) noexcept = default;
Reassembler::~Reassembler() = default;

Reassembler::Key Reassembler::key_of(const Packet& fragment) {
    const Headers& h = fragment.headers;
    Key key;
    std::memcpy(key.addresses.data(), h.source.bytes.data(), 4);
    std::memcpy(key.addresses.data() + 4, h.destination.bytes.data(), 4);
    key.id = static_cast<std::uint16_t>(h.ip_id);
    key.protocol = h.protocol;
    key.interface = fragment.passage.receive_interface;
    key.link_length = static_cast<std::uint8_t>(
        std::min<std::size_t>(h.network_offset - kTypeOffset, key.link.size()));
    std::memcpy(key.link.data(), h.frame + kTypeOffset, key.link_length);
    return key;
}

Reassembler::Datagram* Reassembler::find(const Key& key) {
    for (Datagram& datagram : datagrams_)
        if (datagram.used && datagram.key == key)
            return &datagram;
    return nullptr;
}

Reassembler::Datagram& Reassembler::begin(const Key& key, std::uint32_t uptime_s,
                                          Outcome& outcome) {
    Datagram* place = &datagrams_.front();
    for (Datagram& datagram : datagrams_) {
        if (!datagram.used) {
            place = &datagram;
            break;
        }
        if (datagram.order < place->order)
            place = &datagram;
    }
    if (place->used) {
        outcome.given_up = place->piece_count;
        outcome.reason = DropReason::fragment_evicted;
        --waiting_;
    }
    place->used = true;
    place->key = key;
    place->since_s = uptime_s;
    place->order = ++begun_;
    place->received = place->total = place->end = 0;
    place->header_length = place->ip_header_length = place->piece_count = 0;
    ++waiting_;
    return *place;
}

std::byte* Reassembler::room_of(const Datagram& datagram) const {
    return memory_.get() + static_cast<std::size_t>(&datagram - datagrams_.data()) * kRoom;
}

// Anything but `none` ends the datagram.
DropReason Reassembler::take(Datagram& datagram, const Headers& h, bool& came_twice) {
    const unsigned length = h.ip_length - h.ip_header_length;
    const unsigned begin = h.fragment_offset, end = begin + length;
    if (length == 0 || (h.more_fragments() && length % 8 != 0) ||
        end + h.ip_header_length > kLongestDatagram)
        return DropReason::bad_fragment;
    const std::byte* payload = h.frame + h.network_offset + h.ip_header_length;
    std::byte* place = room_of(datagram) + kHeaderRoom + begin;
    for (unsigned i = 0; i < datagram.piece_count; ++i) {
        const Piece& piece = datagram.pieces[i];
        if (end <= piece.offset || piece.offset + unsigned{piece.length} <= begin)
            continue;
        came_twice = piece.offset == begin && piece.length == length &&
                     std::memcmp(place, payload, length) == 0;
        return came_twice ? DropReason::none : DropReason::fragment_overlap;
    }
    if (!h.more_fragments()) {
        if (datagram.total != 0 || end < datagram.end)
            return DropReason::bad_fragment;
        datagram.total = end;
    } else if (datagram.total != 0 && end > datagram.total) {
        return DropReason::bad_fragment;
    }
    if (datagram.piece_count == kMaximumFragments)
        return DropReason::too_many_fragments;
    datagram.pieces[datagram.piece_count++] = {static_cast<std::uint16_t>(begin),
                                               static_cast<std::uint16_t>(length)};
    std::memcpy(place, payload, length);
    datagram.received += length;
    datagram.end = std::max(datagram.end, end);
    if (begin == 0) {
        datagram.ip_header_length = h.ip_header_length;
        datagram.header_length = static_cast<std::uint16_t>(h.network_offset + h.ip_header_length);
        std::memcpy(room_of(datagram) + kHeaderRoom - datagram.header_length, h.frame,
                    datagram.header_length);
    }
    return DropReason::none;
}

std::span<std::byte> Reassembler::finish(Datagram& datagram) {
    std::byte* frame = room_of(datagram) + kHeaderRoom - datagram.header_length;
    std::byte* ip = room_of(datagram) + kHeaderRoom - datagram.ip_header_length;
    constexpr unsigned kDontFragment = 0x4000, kReserved = 0x8000;
    std::byte* flags = ip + offsetof(wire::Ip4, flags_offset);
    std::byte* checksum = ip + offsetof(wire::Ip4, checksum);
    store16(ip + offsetof(wire::Ip4, total_length), datagram.ip_header_length + datagram.total);
    store16(flags, load16(flags) & (kDontFragment | kReserved));
    store16(checksum, 0);
    store16(checksum, header_checksum(ip, datagram.ip_header_length));
    datagram.used = false;
    --waiting_;
    return {frame, datagram.header_length + datagram.total};
}

Reassembler::Outcome Reassembler::add(const Packet& fragment) {
    Outcome outcome;
    const Key key = key_of(fragment);
    Datagram* datagram = find(key);
    if (datagram == nullptr)
        datagram = &begin(key, fragment.uptime_s, outcome);
    bool came_twice = false;
    outcome.refused = take(*datagram, fragment.headers, came_twice);
    if (outcome.refused != DropReason::none) {
        outcome.given_up += datagram->piece_count;
        if (outcome.reason == DropReason::none)
            outcome.reason = outcome.refused;
        datagram->used = false;
        --waiting_;
    } else if (came_twice) {
        outcome.refused = DropReason::fragment_overlap;
    } else if (datagram->header_length != 0 && datagram->received == datagram->total) {
        outcome.frame = finish(*datagram);
        // With the options of the first fragment it may be longer than a datagram can be.
        if (outcome.frame.size() - (datagram->header_length - datagram->ip_header_length) >
            kLongestDatagram) {
            outcome.frame = {};
            outcome.refused = DropReason::bad_fragment;
        }
    }
    return outcome;
}

unsigned Reassembler::expire(std::uint32_t uptime_s) {
    if (waiting_ == 0 || uptime_s == last_expiry_s_)
        return 0;
    last_expiry_s_ = uptime_s;
    unsigned given_up = 0;
    for (Datagram& datagram : datagrams_) {
        if (!datagram.used || uptime_s - datagram.since_s < kTimeout_s)
            continue;
        datagram.used = false;
        --waiting_;
        given_up += datagram.piece_count;
    }
    return given_up;
}

}  // namespace sluice::packet
