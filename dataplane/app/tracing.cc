#include "dataplane/app/tracing.h"

#include <cstring>
#include <string>

#include "dataplane/packet/parser.h"
#include "dataplane/program/trace_check.h"
#include "dataplane/worker/clock.h"

namespace sluice::dataplane {

namespace {

Result<packet::InterfaceIndex> interface_named(const packet::Environment& environment,
                                               const char* name) {
    if (*name == '\0')
        return packet::kNoInterface;
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        if (environment.interfaces[i].name == name)
            return static_cast<packet::InterfaceIndex>(i);
    return Error{ExitStatus::data, "there is no interface " + std::string(name)};
}

}  // namespace

Result<TraceAnswer> answer_trace(
    const contract::TraceRequest& request, const program::TraceWorld& world, std::uint32_t uptime_s,
    const std::function<packet::Entry(const packet::Interface&)>& entry_at) {
    const packet::Environment& environment = world.runtime.environment();
    const auto interface = interface_named(environment, request.interface);
    const auto received = interface_named(environment, request.receive_interface);
    if (!interface)
        return interface.error();
    if (!received)
        return received.error();
    packet::Packet packet;
    if (*interface != packet::kNoInterface)
        packet.passage.entry = entry_at(environment.interfaces[*interface]);
    if (packet.passage.entry == packet::Entry::bridge && request.out != 0)
        return Error{ExitStatus::data, "port " + std::string(request.interface) +
                                           " is bridged, and there packets are filtered once, as "
                                           "`in`"};
    packet.passage.direction = request.out != 0 ? packet::Direction::out : packet::Direction::in;
    packet.passage.receive_interface = request.out != 0 ? *received : *interface;
    packet.passage.transmit_interface = request.out != 0 ? *interface : packet::kNoInterface;
    const auto frame = std::as_bytes(std::span(request.frame)).first(request.frame_length);
    packet.malformed = packet::parse_frame(frame, world.runtime.parser_settings(), packet.headers);
    packet.now_ms = worker::wall_clock_ms();
    packet.uptime_s = uptime_s;
    program::Trace trace = program::trace(world, packet, request.chance);
    const contract::TraceCheck check = program::check_trace(world, packet, request.chance, trace);
    return TraceAnswer{.verdict = program::to_contract(trace.verdict, world.runtime, check),
                       .steps = std::move(trace.steps)};
}

}  // namespace sluice::dataplane
