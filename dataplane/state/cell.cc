#include "dataplane/state/cell.h"

#include <cstddef>

namespace sluice::state {

bool read_cell(const Cell& cell, Cell& copy) {
    constexpr int kAttempts = 64;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const std::uint32_t before = __atomic_load_n(&cell.sequence, __ATOMIC_ACQUIRE);
        if ((before & 1) != 0)
            continue;
        copy = {.low_address = load(cell.low_address),
                .high_address = load(cell.high_address),
                .low_port = load(cell.low_port),
                .high_port = load(cell.high_port),
                .name = load(cell.name),
                .packets = load(cell.packets),
                .bytes = load(cell.bytes),
                .sequence = before,
                .kind = load(cell.kind),
                .protocol = load(cell.protocol),
                .marks = load(cell.marks),
                .tcp_seen = load(cell.tcp_seen),
                .rule_slot = load(cell.rule_slot),
                .rule_id = load(cell.rule_id),
                .expires_s = load(cell.expires_s),
                .due_s = load(cell.due_s),
                .acknowledged_forward = load(cell.acknowledged_forward),
                .acknowledged_reverse = load(cell.acknowledged_reverse)};
        std::atomic_thread_fence(std::memory_order_acquire);
        if (load(cell.sequence) == before)
            return true;
    }
    return false;
}

namespace {

using Framing = LinkOrigin::Framing;

constexpr std::size_t kEthernetHeader = 14, kTag = 4;

Framing framing_of(const packet::Packet& packet) {
    if (packet.passage.entry == packet::Entry::ip)
        return packet.passage.receive_interface == packet::kNoInterface ? Framing::own
                                                                        : Framing::routed;
    const std::size_t offset = packet.headers.network_offset;
    if (packet.passage.entry != packet::Entry::bridge || offset < kEthernetHeader)
        return Framing::unknown;
    return offset == kEthernetHeader          ? Framing::plain
           : offset == kEthernetHeader + kTag ? Framing::tagged
                                              : Framing::other;
}

// An address is written and read in three pieces. It begins at an even place.
using Piece [[gnu::may_alias]] = std::uint16_t;
static_assert(offsetof(LinkOrigin, initiator) % 2 == 0 && offsetof(LinkOrigin, responder) % 2 == 0);

void store_mac(MacAddress& to, const std::byte* from) {
    auto* pieces = reinterpret_cast<Piece*>(to.bytes.data());
    for (int i = 0; i < 3; ++i) {
        std::uint16_t piece;
        std::memcpy(&piece, from + 2 * i, sizeof piece);
        __atomic_store_n(pieces + i, piece, __ATOMIC_RELAXED);
    }
}

MacAddress load_mac(const MacAddress& from) {
    const auto* pieces = reinterpret_cast<const Piece*>(from.bytes.data());
    MacAddress result;
    for (int i = 0; i < 3; ++i) {
        const std::uint16_t piece = __atomic_load_n(pieces + i, __ATOMIC_RELAXED);
        std::memcpy(result.bytes.data() + 2 * i, &piece, sizeof piece);
    }
    return result;
}

}  // namespace

void note_origin(LinkOrigin& origin, const packet::Packet& packet) {
    const Framing framing = framing_of(packet);
    store(origin.framing, framing);
    store(origin.interface, static_cast<std::uint8_t>(packet.passage.receive_interface));
    if (framing == Framing::unknown || framing == Framing::routed || framing == Framing::own)
        return;
    const std::byte* frame = packet.headers.frame;
    store_mac(origin.responder, frame);
    store_mac(origin.initiator, frame + 6);
    if (framing == Framing::tagged)
        store(origin.vlan,
              static_cast<std::uint16_t>(std::to_integer<unsigned>(frame[kEthernetHeader]) << 8 |
                                         std::to_integer<unsigned>(frame[kEthernetHeader + 1])));
}

LinkOrigin read_origin(const LinkOrigin& origin) {
    return {.initiator = load_mac(origin.initiator),
            .responder = load_mac(origin.responder),
            .vlan = load(origin.vlan),
            .interface = load(origin.interface),
            .framing = load(origin.framing)};
}

}  // namespace sluice::state
