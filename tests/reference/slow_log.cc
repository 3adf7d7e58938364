#include "tests/reference/slow_log.h"

#include <algorithm>
#include <cstdio>

namespace sluice::reference {

namespace {

using language::Action;
using language::ActionKind;

constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kUdpLite = 136;

std::string address_text(const std::vector<std::uint8_t>& bytes) {
    if (bytes.size() == 4) {
        Ipv4 address;
        std::copy(bytes.begin(), bytes.end(), address.value.bytes);
        return to_string(address);
    }
    Ipv6 address;
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return "[" + to_string(address) + "]";
}

std::string forward_text(const language::NextHop& hop) {
    std::string text = "Forward to ";
    if (const auto* v4 = std::get_if<Ipv4>(&hop.address))
        text += to_string(*v4);
    else if (const auto* v6 = std::get_if<Ipv6>(&hop.address))
        text += "[" + to_string(*v6) + "]";
    return hop.port != 0 ? text + ":" + std::to_string(hop.port) : text;
}

std::string action_text(const Action& action) {
    const std::string number = std::to_string(action.argument.value);
    switch (action.kind) {
        case ActionKind::allow:
            return "Accept";
        case ActionKind::deny:
            return "Deny";
        case ActionKind::count:
            return "Count";
        case ActionKind::reject:
            return "Reject";
        case ActionKind::unreach:
        case ActionKind::unreach6:
            return "Unreach " + number;
        case ActionKind::reset:
        case ActionKind::reset6:
            return "Reset";
        case ActionKind::abort:
        case ActionKind::abort6:
            return "Abort";
        case ActionKind::skipto:
            return "SkipTo " + number;
        case ActionKind::divert:
            return "Divert " + number;
        case ActionKind::tee:
            return "Tee " + number;
        case ActionKind::fwd:
            return forward_text(action.next_hop);
        case ActionKind::call:
            return "Call " + number;
        case ActionKind::return_:
            return "Return";
        case ActionKind::setfib:
            return "SetFib " + number;
        case ActionKind::setdscp:
            return "SetDscp " + number;
        case ActionKind::setmark: {
            char text[24];
            std::snprintf(text, sizeof text, "SetMark 0x%x", action.argument.value);
            return text;
        }
        case ActionKind::reass:
            return "Reass";
        case ActionKind::tcp_setmss:
            return "Eaction tcp-setmss";
        default:
            return "UNKNOWN";
    }
}

std::string packet_text(const SlowPacket& packet) {
    if (packet.version == 0)
        return "MAC";
    const std::string source = address_text(packet.source);
    const std::string destination = address_text(packet.destination);
    const bool first = packet.fragment_offset == 0 && packet.has_sound_header;
    auto with_ports = [&](const std::string& name) {
        if (!first)
            return name + " " + source + " " + destination;
        return name + " " + source + ":" + std::to_string(packet.source_port()) + " " +
               destination + ":" + std::to_string(packet.destination_port());
    };
    auto with_type = [&](const std::string& name) {
        std::string text = name;
        if (first)
            text += ":" + std::to_string(packet.upper8(0)) + "." + std::to_string(packet.upper8(1));
        return text + " " + source + " " + destination;
    };
    // ICMP of the other family is a protocol like any other.
    if (packet.version == 4 && packet.protocol == kIcmp)
        return with_type("ICMP");
    if (packet.version == 6 && packet.protocol == kIcmp6)
        return with_type("ICMPv6");
    switch (packet.protocol) {
        case kTcp:
            return with_ports("TCP");
        case kUdp:
            return with_ports("UDP");
        case kUdpLite:
            return with_ports("UDPLite");
        default:
            return "P:" + std::to_string(packet.protocol) + " " + source + " " + destination;
    }
}

std::string path_text(const packet::Passage& passage, const packet::Environment& environment) {
    const bool out = passage.transmit_interface != packet::kNoInterface;
    const packet::InterfaceIndex index =
        out ? passage.transmit_interface : passage.receive_interface;
    if (index == packet::kNoInterface)
        return " [no if info]";
    return (out ? " out via " : " in via ") + environment.interfaces.at(index).name;
}

std::string fragment_text(const SlowPacket& packet) {
    // The real engine shows the first fragment of an IPv6 datagram like a whole packet.
    const bool shown =
        packet.fragment_offset != 0 || (packet.version == 4 && packet.more_fragments);
    if (!shown || !packet.has_sound_header)
        return {};
    const std::size_t length = packet.ip.size() - packet.upper;
    unsigned offset = packet.fragment_offset;
    // It also loses three bits of the offset. We do the same only where no datagram can be meant,
    // beyond 65535 bytes.
    if (packet.version == 4 && offset + length > 65535)
        offset = (offset / 8 & 0x18ff) * 8;
    char text[64];
    std::snprintf(text, sizeof text,
                  packet.version == 6 ? " (frag %08x:%zu@%u%s)" : " (frag %u:%zu@%u%s)",
                  packet.identification, length, offset, packet.more_fragments ? "+" : "");
    return text;
}

}  // namespace

std::string log_text(const SlowPacket& packet, const packet::Passage& passage,
                     const packet::Environment& environment, const language::Rule* rule) {
    return "ipfw: " + (rule != nullptr ? std::to_string(rule->number) : "-1") + " " +
           (rule != nullptr ? action_text(rule->action) : "Refuse") + " " + packet_text(packet) +
           path_text(passage, environment) + fragment_text(packet);
}

}  // namespace sluice::reference
