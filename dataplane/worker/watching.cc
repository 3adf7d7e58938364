// What a worker does for somebody who watches packets (watch.h).
#include <algorithm>
#include <ctime>

#include "dataplane/packet/wire.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {
namespace {

using contract::CaptureVerdict;
using program::Verdict;
namespace protocol = packet::wire::protocol;

CaptureVerdict captured(Verdict::Kind kind) {
    switch (kind) {
        case Verdict::Kind::accept:
            return CaptureVerdict::pass;
        case Verdict::Kind::deny:
            return CaptureVerdict::drop;
        case Verdict::Kind::unreach:
        case Verdict::Kind::unreach6:
        case Verdict::Kind::reset:
        case Verdict::Kind::reset6:
        case Verdict::Kind::abort:
        case Verdict::Kind::abort6:
            return CaptureVerdict::refuse;
        case Verdict::Kind::divert:
            return CaptureVerdict::divert;
        case Verdict::Kind::tee:
            return CaptureVerdict::tee;
        case Verdict::Kind::fwd:
            return CaptureVerdict::forward;
        case Verdict::Kind::reass:
            break;
    }
    return CaptureVerdict::reass;
}

std::uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

contract::PacketFacts facts_of(const packet::Packet& packet, const Verdict& verdict) {
    const packet::Headers& h = packet.headers;
    const bool has_ports = h.transport_offset != 0 &&
                           (h.protocol == protocol::tcp || h.protocol == protocol::udp ||
                            h.protocol == protocol::udplite || h.protocol == protocol::sctp);
    return {.ip_version = h.ip_version,
            .protocol = h.protocol,
            .has_ports = has_ports,
            .out = packet.passage.direction == packet::Direction::out,
            .fate = contract::fate_of(captured(verdict.kind)),
            .rule_number = verdict.rule_number > 0 ? static_cast<std::uint16_t>(verdict.rule_number)
                                                   : std::uint16_t{0},
            .source_port = h.source_port,
            .destination_port = h.destination_port,
            .source = h.source,
            .destination = h.destination};
}

void put_name(const program::Runtime& runtime, packet::InterfaceIndex index,
              char (&name)[contract::kInterfaceNameSize]) {
    const auto& interfaces = runtime.environment().interfaces;
    if (index < interfaces.size())
        interfaces[index].name.copy(name, sizeof name - 1);
}

}  // namespace

void Worker::show(const program::Runtime& runtime, packet::Burst& burst,
                  const program::Judgement& judgement) {
    Watch& watch = *spec_.watch;
    const std::uint64_t serial = watch.serial.load(std::memory_order_acquire);
    if (serial == 0)
        return;
    const std::uint64_t time_ns = now_ns();
    for (std::size_t i = 0; i < burst.size(); ++i) {
        const packet::Packet& packet = burst.packet(i);
        const Verdict verdict = program::Engine::verdict(runtime, judgement, i);
        if (!contract::meets(watch.filter, facts_of(packet, verdict)))
            continue;
        const packet::Burst::Frame frame = burst.frame(i);
        contract::CaptureRecord record{
            .time_ns = time_ns,
            .watch = serial,
            .generation = runtime.generation(),
            .rule_number = verdict.rule_number,
            .frame_length = frame.length,
            .captured_length = std::min(frame.length, watch.snap_length),
            .verdict = captured(verdict.kind),
            .out = packet.passage.direction == packet::Direction::out ? std::uint8_t{1}
                                                                      : std::uint8_t{0},
            .drop_reason = static_cast<std::uint8_t>(verdict.reason),
            .bridged =
                packet.passage.entry == packet::Entry::bridge ? std::uint8_t{1} : std::uint8_t{0}};
        put_name(runtime, packet.passage.receive_interface, record.receive_interface);
        put_name(runtime, packet.passage.transmit_interface, record.transmit_interface);
        watch.rings[spec_.id].push(record, {frame.data, frame.length});
    }
}

}  // namespace sluice::worker
