#include "dataplane/program/log_record.h"

#include "dataplane/contract/annotations.h"
#include "dataplane/packet/wire.h"

namespace sluice::program {

namespace {

namespace protocol = packet::wire::protocol;

bool prints_ports(const packet::Headers& h) {
    return h.transport_offset != 0 && (h.protocol == protocol::tcp || h.protocol == protocol::udp ||
                                       h.protocol == protocol::udplite);
}

bool prints_icmp_type(const packet::Headers& h) {
    return h.transport_offset != 0 && ((h.ip_version == 4 && h.protocol == protocol::icmp) ||
                                       (h.ip_version == 6 && h.protocol == protocol::icmp6));
}

// A first fragment of an IPv6 datagram is logged like a whole packet, as the real engine does. A
// header that lies about its lengths says nothing about a fragment.
bool prints_fragment(const packet::Packet& packet) {
    const packet::Headers& h = packet.headers;
    if (packet.malformed == contract::DropReason::bad_ipv4_header ||
        packet.malformed == contract::DropReason::bad_ipv4_length)
        return false;
    return h.ip_version == 6 ? h.fragment_offset != 0 : h.is_fragment();
}

}  // namespace

contract::LogRecord log_record(const packet::Packet& packet) {
    const packet::Headers& h = packet.headers;
    contract::LogRecord record;
    record.time_ms = packet.now_ms;
    record.sequence = packet.sequence;
    record.slot = contract::kBogusSlot;
    record.ip_version = h.ip_version;
    record.protocol = h.protocol;
    record.source = h.source;
    record.destination = h.destination;
    record.receive_interface = packet.passage.receive_interface;
    record.transmit_interface = packet.passage.transmit_interface;
    if (packet.passage.direction == packet::Direction::out)
        record.flags |= contract::log_flag::out;
    if (prints_ports(h)) {
        record.flags |= contract::log_flag::ports;
        record.source_port = h.source_port;
        record.destination_port = h.destination_port;
    }
    if (prints_icmp_type(h)) {
        record.flags |= contract::log_flag::icmp;
        record.icmp_type = h.icmp_type;
        record.icmp_code = h.icmp_code;
    }
    if (prints_fragment(packet)) {
        record.flags |= contract::log_flag::fragment;
        record.ip_id = h.ip_id;
        record.fragment_offset = h.fragment_offset;
        record.fragment_length = static_cast<std::uint16_t>(h.ip_length - h.ip_header_length);
        if (h.more_fragments())
            record.flags |= contract::log_flag::more_fragments;
    }
    return record;
}

contract::LogRecord log_record(const packet::Packet& packet, const contract::RuleRecord& rule) {
    contract::LogRecord record = log_record(packet);
    record.slot = rule.slot;
    record.log_limit = rule.log_limit;
    record.rule_number = rule.number;
    record.action = rule.action;
    record.action_number = rule.action_number;
    record.next_hop = rule.next_hop;
    record.next_hop_family = static_cast<std::uint8_t>(rule.next_hop_family);
    record.next_hop_port = rule.next_hop_port;
    record.mark = rule.mark;
    if ((rule.flags & contract::rule_flag::reject) != 0)
        record.flags |= contract::log_flag::reject;
    if ((rule.flags & contract::rule_flag::log_syslog) != 0)
        record.flags |= contract::log_flag::syslog;
    return record;
}

contract::LogRecord state_log_record(const packet::Packet& packet, const contract::RuleRecord& rule,
                                     contract::LogKind kind, std::uint64_t states) {
    contract::LogRecord record = log_record(packet);
    record.kind = kind;
    record.rule_number = rule.number;
    record.states = static_cast<std::uint32_t>(states);
    record.source_port = packet.headers.source_port;
    record.destination_port = packet.headers.destination_port;
    return record;
}

}  // namespace sluice::program
