#include "controlplane/log/log_line.h"

#include <cstdio>
#include <cstring>

namespace sluice::log {
namespace {

using contract::LogKind;
using contract::LogRecord;
using contract::RuleAction;
namespace log_flag = contract::log_flag;

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kUdpLite = 136;

Ipv4 first_four_bytes(const Ipv6& address) {
    Ipv4 result;
    std::memcpy(&result, address.bytes.data(), sizeof result);
    return result;
}

std::string packet_address(const Ipv6& address, std::uint8_t version) {
    const std::string text = address_text(address, version);
    return version == 6 ? "[" + text + "]" : text;
}

std::string next_hop(const LogRecord& record) {
    std::string text = packet_address(record.next_hop, record.next_hop_family);
    if (record.next_hop_port != 0)
        text += ":" + std::to_string(record.next_hop_port);
    return text;
}

// `TCP 1.2.3.4:119 10.0.0.1:54609`, `ICMP:8.0 a b`, `P:47 a b`, `MAC`
std::string packet_text(const LogRecord& record) {
    if (record.ip_version == 0)
        return "MAC";
    std::string text = protocol_word(record);
    if ((record.flags & log_flag::icmp) != 0)
        text += ":" + std::to_string(record.icmp_type) + "." + std::to_string(record.icmp_code);
    const bool ports = (record.flags & log_flag::ports) != 0;
    text += " " + packet_address(record.source, record.ip_version);
    if (ports)
        text += ":" + std::to_string(record.source_port);
    text += " " + packet_address(record.destination, record.ip_version);
    if (ports)
        text += ":" + std::to_string(record.destination_port);
    return text;
}

// ` in via em0`. The transmit interface of a packet that goes out, else the receive interface.
std::string path_text(const LogRecord& record, std::span<const std::string> names) {
    const bool out = record.transmit_interface != contract::kNoInterface;
    const std::uint16_t index = out ? record.transmit_interface : record.receive_interface;
    if (index == contract::kNoInterface)
        return " [no if info]";
    const std::string name = index < names.size() ? printable(names[index]) : "?";
    return (out ? " out via " : " in via ") + name;
}

// The offset as the line shows it, in bytes. A fragment that ends beyond 65535 cannot be part of
// any datagram; for those the real engine loses three bits of the offset, and its lines are what we
// promise.
unsigned shown_offset(const LogRecord& record) {
    constexpr unsigned kLargestDatagram = 65535, kKeptBits = 0xf8ff;
    const unsigned offset = record.fragment_offset;
    if (record.ip_version == 4 && offset + record.fragment_length > kLargestDatagram)
        return (offset / 8 & kKeptBits) * 8;
    return offset;
}

// ` (frag 4660:1480@0+)`: identification, payload, offset in bytes, more to follow.
std::string fragment_text(const LogRecord& record) {
    if ((record.flags & log_flag::fragment) == 0)
        return {};
    char text[64];
    std::snprintf(text, sizeof text,
                  record.ip_version == 6 ? " (frag %08x:%u@%u%s)" : " (frag %u:%u@%u%s)",
                  record.ip_id, unsigned{record.fragment_length}, shown_offset(record),
                  (record.flags & log_flag::more_fragments) != 0 ? "+" : "");
    return text;
}

// `10.0.0.1 1025 -> 10.0.0.2 80`
std::string flow_text(const LogRecord& record) {
    const auto end = [&](const Ipv6& address, std::uint16_t port) {
        return address_text(address, record.ip_version) + " " + std::to_string(port);
    };
    return end(record.source, record.source_port) + " -> " +
           end(record.destination, record.destination_port);
}

// The number of the opcode that makes `limit`, by which readers of logs know the line.
constexpr unsigned kLimitOpcode = 40;

std::string state_limit_line(const LogRecord& record) {
    return "ipfw: " + std::to_string(record.rule_number) + " drop session type " +
           std::to_string(kLimitOpcode) + " " + flow_text(record) + ", " +
           std::to_string(record.states) + " too many entries";
}

std::string entry_number(const LogRecord& record) {
    return record.kind == LogKind::rule ? std::to_string(record.rule_number) : "-1";
}

}  // namespace

std::string address_text(const Ipv6& address, std::uint8_t version) {
    return version == 6 ? to_string(address) : to_string(first_four_bytes(address));
}

std::string action_word(const LogRecord& record) {
    const std::string number = std::to_string(record.action_number);
    switch (record.action) {
        case RuleAction::allow:
            return "Accept";
        case RuleAction::deny:
            return "Deny";
        case RuleAction::count:
            return "Count";
        case RuleAction::skipto:
            return "SkipTo " + number;
        case RuleAction::unreach:
            return (record.flags & log_flag::reject) != 0 ? "Reject" : "Unreach " + number;
        case RuleAction::unreach6:
            return "Unreach " + number;
        case RuleAction::reset:
        case RuleAction::reset6:
            return "Reset";
        case RuleAction::abort:
        case RuleAction::abort6:
            return "Abort";
        case RuleAction::divert:
            return "Divert " + number;
        case RuleAction::tee:
            return "Tee " + number;
        case RuleAction::fwd:
            return "Forward to " + next_hop(record);
        case RuleAction::call:
            return "Call " + number;
        case RuleAction::return_:
            return "Return";
        case RuleAction::setfib:
            return "SetFib " + number;
        case RuleAction::setdscp:
            return "SetDscp " + number;
        case RuleAction::tcp_setmss:  // a module of its own in ipfw
            return "Eaction tcp-setmss";
        case RuleAction::setmark: {
            char text[24];
            std::snprintf(text, sizeof text, "SetMark 0x%x", record.mark);
            return text;
        }
        case RuleAction::reass:
            return "Reass";
        case RuleAction::check_state:  // matches nothing, so it logs nothing
        case RuleAction::count_:
            break;
    }
    return "UNKNOWN";  // ipfw's own word
}

std::string protocol_word(const LogRecord& record) {
    switch (record.protocol) {
        case kTcp:
            return "TCP";
        case kUdp:
            return "UDP";
        case kUdpLite:
            return "UDPLite";
        case kIcmp:
            if (record.ip_version == 4)
                return "ICMP";
            break;
        case kIcmp6:
            if (record.ip_version == 6)
                return "ICMPv6";
            break;
    }
    return "P:" + std::to_string(record.protocol);
}

std::string format_line(const LogRecord& record, std::span<const std::string> interface_names) {
    if (record.kind == LogKind::pullup_failed)
        return "ipfw: pullup failed";
    if (record.kind == LogKind::state_limit)
        return state_limit_line(record);
    if (record.kind == LogKind::state_table_full)
        return "ipfw: Cannot allocate dynamic state, consider increasing net.inet.ip.fw.dyn_max";
    if (record.kind == LogKind::call_stack)
        return "ipfw: call stack error, go to next rule";
    const std::string action = record.kind == LogKind::rule ? action_word(record) : "Refuse";
    return "ipfw: " + entry_number(record) + " " + action + " " + packet_text(record) +
           path_text(record, interface_names) + fragment_text(record);
}

std::string format_limit_notice(const LogRecord& record) {
    return "ipfw: limit " + std::to_string(record.log_limit) + " reached on entry " +
           entry_number(record);
}

std::string printable(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            result += c;
            continue;
        }
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", unsigned{byte});
        result += escaped;
    }
    return result;
}

}  // namespace sluice::log
