#include "controlplane/service/trace_request.h"

#include <cstring>

#include "controlplane/compiler/trace_text.h"
#include "controlplane/language/packet_text.h"

namespace sluice::service {
namespace {

// False: it is longer than any name of an interface.
template <std::size_t N>
bool put(const std::string& name, char (&field)[N]) {
    if (name.size() >= N)
        return false;
    std::memcpy(field, name.data(), name.size());
    return true;
}

}  // namespace

const TraceOperation* trace_in(const Request& request) {
    return request.operations.size() == 1
               ? std::get_if<TraceOperation>(&request.operations.front().what)
               : nullptr;
}

Result<contract::TraceRequest> trace_request(const TraceOperation& operation) {
    const auto packet = language::parse_packet(operation.packet);
    if (!packet)
        return Error{packet.error().status, "the packet: " + packet.error().text()};
    contract::TraceRequest request;
    request.chance = operation.chance;
    request.out = packet->out ? 1 : 0;
    if (packet->bridged)
        return Error{ExitStatus::data,
                     "`bridged` is for rule files: of a running port it is known whether it is"};
    if (!put(packet->interface, request.interface) ||
        !put(packet->receive_interface, request.receive_interface))
        return Error{ExitStatus::data, "no interface has so long a name"};
    if (packet->frame.size() > sizeof request.frame)
        return Error{ExitStatus::data, "the packet is too long"};
    request.frame_length = packet->frame.size();
    std::memcpy(request.frame, packet->frame.data(), packet->frame.size());
    return request;
}

OperationResult trace_result(const ruleset::Ruleset& rules, const TraceAnswer& answer) {
    OperationResult result;
    std::string text = compiler::trace_text(rules, answer.steps, answer.verdict);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        result.lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return result;
}

}  // namespace sluice::service
