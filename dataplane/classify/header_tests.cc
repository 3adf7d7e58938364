#include "dataplane/classify/header_tests.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>

#include "dataplane/classify/options.h"
#include "dataplane/packet/wire.h"

namespace sluice::classify {

namespace {

using contract::Instruction;
using contract::InterfaceTest;
using contract::kNegated;
using contract::kOrNext;
using contract::Opcode;
using contract::SnapshotView;
using packet::Entry;
using packet::Headers;
using packet::Packet;
namespace protocol = packet::wire::protocol;

Ipv4 first_four(const Ipv6& address) {
    Ipv4 result;
    std::memcpy(&result, address.bytes.data(), sizeof result);
    return result;
}

bool address_matches(const InterfaceTest& test, const packet::InterfaceAddress& have) {
    if (const auto* v4 = std::get_if<Ipv4>(&have.address))
        return test.kind == InterfaceTest::Kind::address_v4 && *v4 == first_four(test.address);
    return test.kind == InterfaceTest::Kind::address_v6 &&
           std::get<Ipv6>(have.address) == test.address;
}

bool interface_matches(const InterfaceTest& test, const packet::Interface& interface) {
    switch (test.kind) {
        case InterfaceTest::Kind::name:
            return interface.name == test.pattern;
        case InterfaceTest::Kind::glob:
            return fnmatch(test.pattern, interface.name.c_str(), 0) == 0;
        case InterfaceTest::Kind::address_v4:
        case InterfaceTest::Kind::address_v6:
            return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                               [&](const auto& have) { return address_matches(test, have); });
    }
    return false;
}

// All bits of the high byte set, all of the low byte clear.
bool flags_match(std::uint32_t argument, std::uint8_t bits) {
    const auto set = static_cast<std::uint8_t>(argument >> 8);
    const auto clear = static_cast<std::uint8_t>(argument);
    return (bits & set) == set && (bits & clear) == 0;
}

bool is_tcp(const Headers& h) {
    return h.protocol == protocol::tcp && h.transport_offset != 0;
}

bool has_ports(const Headers& h) {
    return h.transport_offset != 0 &&
           (h.protocol == protocol::tcp || h.protocol == protocol::udp ||
            h.protocol == protocol::sctp || h.protocol == protocol::udplite);
}

bool in_networks(std::span<const contract::V4Network> networks, const Ipv6& address) {
    const std::uint32_t value = first_four(address).host();
    return std::any_of(networks.begin(), networks.end(), [value](const auto& network) {
        return (value & network.mask.host()) == network.address.host();
    });
}

bool in_networks(std::span<const contract::V6Network> networks, const Ipv6& address) {
    return std::any_of(networks.begin(), networks.end(), [&address](const auto& network) {
        return (address & network.mask) == network.address;
    });
}

bool in_set(const SnapshotView& view, const Instruction& test, const Ipv6& address) {
    const std::uint32_t bit = first_four(address).host() - test.argument;
    return bit < test.count && (view.words()[test.data + bit / 32] >> bit % 32 & 1) != 0;
}

bool in_ports(const SnapshotView& view, const Instruction& test, std::uint16_t port) {
    for (const contract::PortTest& entry : view.ports().subspan(test.data, test.count)) {
        const std::uint16_t masked = port & entry.mask;
        if (entry.first <= masked && masked <= entry.last)
            return true;
    }
    return false;
}

bool in_ranges(const SnapshotView& view, const Instruction& test, std::uint32_t value) {
    for (const contract::Range& range : view.ranges().subspan(test.data, test.count))
        if (range.first <= value && value <= range.last)
            return true;
    return false;
}

bool in_bitmap(const SnapshotView& view, const Instruction& test, std::uint8_t value) {
    return (view.words()[test.data + value / 32] >> value % 32 & 1) != 0;
}

bool mac_matches(const contract::MacTest& test, const Headers& h) {
    const auto& ethernet = *reinterpret_cast<const packet::wire::Ethernet*>(h.frame);
    auto covers = [](const MacAddress& want, const MacAddress& mask, const MacAddress& have) {
        for (std::size_t i = 0; i < have.bytes.size(); ++i)
            if ((have.bytes[i] & mask.bytes[i]) != want.bytes[i])
                return false;
        return true;
    };
    return covers(test.destination, test.destination_mask, ethernet.destination) &&
           covers(test.source, test.source_mask, ethernet.source);
}

// A tagged frame has the type of its tag and the type behind all tags.
bool mac_type_matches(const SnapshotView& view, const Instruction& test, const Headers& h) {
    const auto& ethernet = *reinterpret_cast<const packet::wire::Ethernet*>(h.frame);
    return in_ranges(view, test, h.ether_type) || in_ranges(view, test, ethernet.type.host());
}

bool tcp_mss_matches(const SnapshotView& view, const Instruction& test, const Headers& h) {
    constexpr std::uint8_t kSyn = 2;
    if (!is_tcp(h) || (h.tcp_flags & kSyn) == 0)
        return false;
    const auto options = tcp_options(h);
    return options && options->maximum_segment_size &&
           in_ranges(view, test, *options->maximum_segment_size);
}

bool tcp_data_length_matches(const SnapshotView& view, const Instruction& test, const Headers& h) {
    if (!is_tcp(h))
        return false;
    // ip_fw2.c reads the length of the IP header where IPv4 has it, in IPv6 too: there these are
    // the upper bits of the traffic class.
    const unsigned ip_header = h.ip_version == 6 ? (h.traffic_class >> 4) * 4u : h.ip_header_length;
    const unsigned headers = ip_header + h.tcp_header_length;
    return h.ip_length >= headers && in_ranges(view, test, h.ip_length - headers);
}

std::uint8_t fragment_bits(const Headers& h) {
    return static_cast<std::uint8_t>((h.fragment_offset != 0 ? 1 : 0) | h.ip_flags << 1);
}

}  // namespace

HeaderTests::HeaderTests(const SnapshotView& view, const packet::Environment& environment,
                         const LocalAddresses& local)
    : view_(view), local_(local), interface_matches_(view.interface_tests().size()) {
    for (std::size_t test = 0; test < interface_matches_.size(); ++test)
        for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
            interface_matches_[test][i] =
                interface_matches(view.interface_tests()[test], environment.interfaces[i]);
}

bool HeaderTests::rule_matches(std::uint32_t index, const Packet& packet) const {
    const contract::RuleRecord& rule = view_.rules()[index];
    const auto tests = view_.instructions().subspan(rule.first_instruction, rule.header_count);
    for (std::size_t i = 0; i < tests.size(); ++i) {
        bool matched = matches(tests[i], packet);
        while ((tests[i].flags & kOrNext) != 0) {
            ++i;
            matched = matched || matches(tests[i], packet);
        }
        if (!matched)
            return false;
    }
    return true;
}

bool HeaderTests::matches(const Instruction& test, const Packet& packet) const {
    return test_matches(test, packet) != ((test.flags & kNegated) != 0);
}

bool HeaderTests::interface_is(const Instruction& test, packet::InterfaceIndex interface) const {
    return interface < packet::kMaximumInterfaces && interface_matches_[test.data][interface];
}

bool HeaderTests::test_matches(const Instruction& test, const Packet& packet) const {
    const Headers& h = packet.headers;
    const packet::Passage& passage = packet.passage;
    const bool is_frame = passage.entry != Entry::ip;
    switch (test.opcode) {
        case Opcode::always:
            return true;
        case Opcode::direction_in:
            return passage.direction == packet::Direction::in;
        case Opcode::protocol:
            return h.ip_version != 0 && h.protocol == test.argument;
        case Opcode::ip4:
            return h.ip_version == 4;
        case Opcode::ip6:
            return h.ip_version == 6;
        case Opcode::source_v4:
            return h.ip_version == 4 &&
                   in_networks(view_.v4_networks().subspan(test.data, test.count), h.source);
        case Opcode::destination_v4:
            return h.ip_version == 4 &&
                   in_networks(view_.v4_networks().subspan(test.data, test.count), h.destination);
        case Opcode::source_v6:
            return h.ip_version == 6 &&
                   in_networks(view_.v6_networks().subspan(test.data, test.count), h.source);
        case Opcode::destination_v6:
            return h.ip_version == 6 &&
                   in_networks(view_.v6_networks().subspan(test.data, test.count), h.destination);
        case Opcode::source_set:
            return h.ip_version == 4 && in_set(view_, test, h.source);
        case Opcode::destination_set:
            return h.ip_version == 4 && in_set(view_, test, h.destination);
        case Opcode::source_me:
            return local_.contains(h, h.source);
        case Opcode::destination_me:
            return local_.contains(h, h.destination);
        case Opcode::source_me6:
            return h.ip_version == 6 && local_.contains(h, h.source);
        case Opcode::destination_me6:
            return h.ip_version == 6 && local_.contains(h, h.destination);
        case Opcode::source_ports:
            return has_ports(h) && in_ports(view_, test, h.source_port);
        case Opcode::destination_ports:
            return has_ports(h) && in_ports(view_, test, h.destination_port);
        case Opcode::via:
            return interface_is(test, passage.direction == packet::Direction::out
                                          ? passage.transmit_interface
                                          : passage.receive_interface);
        case Opcode::recv:
            return interface_is(test, passage.receive_interface);
        case Opcode::xmit:
            return passage.direction == packet::Direction::out &&
                   interface_is(test, passage.transmit_interface);
        case Opcode::tcp_flags:
            return is_tcp(h) && flags_match(test.argument, h.tcp_flags);
        case Opcode::established: {
            constexpr std::uint8_t kSyn = 2, kRst = 4, kAck = 16;
            return is_tcp(h) && (h.tcp_flags & (kSyn | kRst | kAck)) != kSyn;
        }
        case Opcode::tcp_options: {
            if (!is_tcp(h))
                return false;
            const auto options = tcp_options(h);
            return options && flags_match(test.argument, options->bits);
        }
        case Opcode::ip_options: {
            const auto bits = ip_option_bits(h);
            return bits && flags_match(test.argument, *bits);
        }
        case Opcode::ip_tos:
            return h.ip_version == 4 && flags_match(test.argument, h.traffic_class);
        case Opcode::fragment:
            return h.ip_version == 4 && flags_match(test.argument, fragment_bits(h));
        case Opcode::fragment_offset:
            return h.fragment_offset != 0;
        case Opcode::ext6hdr:
            return h.ip_version == 6 && (h.extension_headers & test.argument) != 0;
        case Opcode::icmp_types:
            return h.ip_version == 4 && h.protocol == protocol::icmp && h.transport_offset != 0 &&
                   in_bitmap(view_, test, h.icmp_type);
        case Opcode::icmp6_types:
            return h.ip_version == 6 && h.protocol == protocol::icmp6 && h.transport_offset != 0 &&
                   in_bitmap(view_, test, h.icmp_type);
        case Opcode::ip_length:
            return h.ip_version == 4 && in_ranges(view_, test, h.ip_length);
        case Opcode::ip_id:
            return h.ip_version == 4 && in_ranges(view_, test, h.ip_id);
        case Opcode::ip_ttl:
            return h.ip_version == 4 && in_ranges(view_, test, h.ttl);
        case Opcode::dscp:
            return h.ip_version != 0 && in_ranges(view_, test, h.traffic_class >> 2);
        case Opcode::tcp_window:
            return is_tcp(h) && in_ranges(view_, test, h.tcp_window);
        case Opcode::tcp_mss:
            return tcp_mss_matches(view_, test, h);
        case Opcode::tcp_data_length:
            return tcp_data_length_matches(view_, test, h);
        case Opcode::mac_type:
            return is_frame && mac_type_matches(view_, test, h);
        case Opcode::tcp_sequence:
            return is_tcp(h) && h.tcp_sequence == test.argument;
        case Opcode::tcp_acknowledgement:
            return is_tcp(h) && h.tcp_acknowledgement == test.argument;
        case Opcode::ip_version:
            return h.ip_version != 0 && h.ip_version == test.argument;
        case Opcode::ip_precedence:
            return h.ip_version == 4 && h.traffic_class >> 5 == static_cast<int>(test.argument);
        case Opcode::layer2:
            return is_frame;
        case Opcode::mac:
            return is_frame && mac_matches(view_.mac_tests()[test.data], h);
        case Opcode::flow_id:
            return h.ip_version == 6 && in_ranges(view_, test, h.flow_label);
        case Opcode::probability:
        case Opcode::verrevpath:
        case Opcode::versrcreach:
        case Opcode::antispoof:
        case Opcode::diverted:
        case Opcode::tagged:
        case Opcode::mark:
        case Opcode::fib:
        case Opcode::not_expired:
        case Opcode::table_source:
        case Opcode::table_destination:
        case Opcode::table_source_mac:
        case Opcode::table_destination_mac:
        case Opcode::table_via:
        case Opcode::table_recv:
        case Opcode::table_xmit:
        case Opcode::table_flow:
        case Opcode::table_lookup:
        case Opcode::tagged_argument:
        case Opcode::mark_argument:
        case Opcode::socket_user:
        case Opcode::payload:
        case Opcode::count_:
            break;
    }
    return false;
}

}  // namespace sluice::classify
