#include "dataplane/worker/learning_bridge.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>

#include "dataplane/packet/wire.h"
#include "dataplane/worker/station_table.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
namespace wire = packet::wire;

constexpr std::array<std::uint8_t, 5> kReservedGroups = {0x01, 0x80, 0xc2, 0x00, 0x00};
constexpr std::uint8_t kSpanningTree = 0x00, kLastReserved = 0x0f;

bool is_group(const MacAddress& address) {
    return (address.bytes[0] & 1) != 0;
}

bool ends_here(const MacAddress& address) {
    return std::equal(kReservedGroups.begin(), kReservedGroups.end(), address.bytes.begin()) &&
           address.bytes[5] != kSpanningTree && address.bytes[5] <= kLastReserved;
}

}  // namespace

void LearningBridge::forward(rte_mbuf* frame, std::uint16_t port, std::uint64_t now_ms,
                             std::uint32_t uptime_s) {
    const auto& ethernet = *rte_pktmbuf_mtod(frame, const wire::Ethernet*);
    StationTable& stations = *ports_[port].stations;
    if (!is_group(ethernet.source))
        stations.learn(ethernet.source, port, uptime_s);
    if (ends_here(ethernet.destination))
        return sender_.drop(frame, port, DropReason::reserved_group);
    if (is_group(ethernet.destination))
        return flood(frame, port, now_ms);
    const auto seen_at = stations.find(ethernet.destination, uptime_s);
    if (!seen_at || (ports_[port].bridge_ports >> *seen_at & 1) == 0)
        return flood(frame, port, now_ms);
    if (*seen_at == port)
        return sender_.drop(frame, port, DropReason::same_segment);
    if (!sender_.link_up(*seen_at))
        return sender_.drop(frame, port, DropReason::port_down);
    sender_.forward(frame, *seen_at);
}

// The last port gets the frame itself, the others share its bytes.
void LearningBridge::flood(rte_mbuf* frame, std::uint16_t port, std::uint64_t now_ms) {
    if (!flood_.take(now_ms))
        return sender_.drop(frame, port, DropReason::flood_limit);
    contract::add(counters_.flooded, 1);
    std::uint32_t others = ports_[port].bridge_ports & ~(std::uint32_t{1} << port);
    for (std::size_t i = 0; i < ports_.size(); ++i)
        if ((others >> i & 1) != 0 && !sender_.link_up(static_cast<std::uint16_t>(i)))
            others &= ~(std::uint32_t{1} << i);
    if (others == 0)
        return sender_.drop(frame, port, DropReason::port_down);
    while ((others & (others - 1)) != 0) {
        const auto other = static_cast<std::uint16_t>(__builtin_ctz(others));
        others &= others - 1;
        if (rte_mbuf* copy = rte_pktmbuf_clone(frame, ports_[port].pool); copy != nullptr) {
            copy->port = RTE_MBUF_PORT_INVALID;
            sender_.forward(copy, other);
        } else {
            sender_.count_drop(port, DropReason::transmit_full);
        }
    }
    sender_.forward(frame, static_cast<std::uint16_t>(__builtin_ctz(others)));
}

bool LearningBridge::send_to_station(std::span<const std::byte> frame, std::uint16_t port,
                                     std::uint32_t uptime_s) {
    const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(frame.data());
    const auto seen_at = ports_[port].stations->find(ethernet.destination, uptime_s);
    return seen_at && sender_.link_up(*seen_at) && sender_.send_copy(frame, *seen_at);
}

}  // namespace sluice::worker
