#include "tests/reference/slow_reassembly.h"

#include <algorithm>

namespace sluice::reference {

namespace {

constexpr std::size_t kMostDatagrams = 256, kMostPieces = 64;
constexpr std::uint64_t kTimeout_s = 30;
constexpr unsigned kLongest = 65535;

}  // namespace

void SlowReassembly::advance_to(std::uint64_t now_s) {
    datagrams_.remove_if(
        [now_s](const Datagram& datagram) { return now_s - datagram.since_s >= kTimeout_s; });
}

SlowReassembly::Result SlowReassembly::add(const Frame& frame, const SlowPacket& packet,
                                           packet::InterfaceIndex interface, std::uint64_t now_s) {
    // Types and tags, then what tells datagrams apart in IP.
    const std::size_t in_front = frame.size() - packet.link_payload;
    std::vector<std::uint8_t> key = {static_cast<std::uint8_t>(interface),
                                     static_cast<std::uint8_t>(packet.protocol),
                                     static_cast<std::uint8_t>(packet.identification >> 8),
                                     static_cast<std::uint8_t>(packet.identification)};
    key.insert(key.end(), packet.source.begin(), packet.source.end());
    key.insert(key.end(), packet.destination.begin(), packet.destination.end());
    for (std::size_t i = 12; i < in_front; ++i)
        key.push_back(std::to_integer<std::uint8_t>(frame[i]));

    auto at = std::find_if(datagrams_.begin(), datagrams_.end(),
                           [&](const Datagram& datagram) { return datagram.key == key; });
    if (at == datagrams_.end()) {
        if (datagrams_.size() == kMostDatagrams)
            datagrams_.pop_front();
        at = datagrams_.insert(
            datagrams_.end(),
            Datagram{
                .key = key, .since_s = now_s, .pieces = {}, .total = {}, .link = {}, .header = {}});
    }
    const auto give_up = [&] {
        datagrams_.erase(at);
        return Result{.refused = true, .whole = {}};
    };
    const std::vector<std::uint8_t> payload(
        packet.ip.begin() + static_cast<std::ptrdiff_t>(packet.upper), packet.ip.end());
    const unsigned begin = packet.fragment_offset;
    const unsigned end = begin + static_cast<unsigned>(payload.size());
    if (payload.empty() || (packet.more_fragments && payload.size() % 8 != 0) ||
        end + packet.upper > kLongest)
        return give_up();
    for (const auto& [other_begin, other] : at->pieces) {
        if (end <= other_begin || other_begin + other.size() <= begin)
            continue;
        if (other_begin == begin && other == payload)
            return {.refused = true, .whole = {}};
        return give_up();
    }
    if (!packet.more_fragments) {
        if (at->total)
            return give_up();
        for (const auto& [other_begin, other] : at->pieces)
            if (other_begin + other.size() > end)
                return give_up();
        at->total = end;
    } else if (at->total && end > *at->total) {
        return give_up();
    }
    if (at->pieces.size() == kMostPieces)
        return give_up();
    at->pieces[begin] = payload;
    if (begin == 0) {
        at->link.assign(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(in_front));
        at->header.assign(packet.ip.begin(),
                          packet.ip.begin() + static_cast<std::ptrdiff_t>(packet.upper));
        at->header[1] = static_cast<std::uint8_t>(packet.traffic_class);
    }
    if (at->header.empty() || !at->total)
        return {};
    std::size_t have = 0;
    for (const auto& [other_begin, other] : at->pieces)
        have += other.size();
    if (have != *at->total)
        return {};
    const auto datagram = whole(*at);
    datagrams_.erase(at);
    return {.refused = !datagram, .whole = datagram};
}

// The checksum is left as it was: nothing here looks at it.
std::optional<Frame> SlowReassembly::whole(const Datagram& datagram) {
    std::vector<std::uint8_t> ip = datagram.header;
    for (const auto& [begin, piece] : datagram.pieces)
        ip.insert(ip.end(), piece.begin(), piece.end());
    if (ip.size() > kLongest)
        return std::nullopt;
    ip[2] = static_cast<std::uint8_t>(ip.size() >> 8);
    ip[3] = static_cast<std::uint8_t>(ip.size());
    ip[6] &= 0xc0;  // no more fragments, offset 0
    ip[7] = 0;
    Frame frame = datagram.link;
    for (const std::uint8_t byte : ip)
        frame.push_back(static_cast<std::byte>(byte));
    return frame;
}

}  // namespace sluice::reference
