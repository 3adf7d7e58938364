#include "dataplane/state/cell.h"

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

void note_origin(LinkOrigin& origin, const packet::Packet& packet) {
    constexpr std::size_t kEthernetHeader = 14, kTag = 4;
    const packet::Headers& headers = packet.headers;
    if (packet.passage.entry != packet::Entry::bridge || headers.network_offset < kEthernetHeader) {
        origin = {};
        return;
    }
    std::memcpy(origin.responder.bytes.data(), headers.frame, 6);
    std::memcpy(origin.initiator.bytes.data(), headers.frame + 6, 6);
    origin.vlan = 0;
    origin.interface = static_cast<std::uint8_t>(packet.passage.receive_interface);
    origin.framing = LinkOrigin::Framing::unknown;
    if (headers.network_offset == kEthernetHeader) {
        origin.framing = LinkOrigin::Framing::plain;
    } else if (headers.network_offset == kEthernetHeader + kTag) {
        origin.framing = LinkOrigin::Framing::tagged;
        origin.vlan = static_cast<std::uint16_t>(std::to_integer<unsigned>(headers.frame[14]) << 8 |
                                                 std::to_integer<unsigned>(headers.frame[15]));
    }
}

}  // namespace sluice::state
