// Why a packet was dropped without a rule having said so. One list gives the enumeration, the label
// of the metric and the sentence for an operator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::contract {

enum class DropReason : std::uint8_t {
    none,
    short_frame,
    bad_ipv4_header,
    bad_ipv4_length,
    bad_ipv6_header,
    bad_ipv6_length,
    extension_chain,
    short_transport,
    tcp_fragment_offset_1,
    vlan_tags,
    no_ruleset,
    divert_without_listener,
    unsupported_on_bridge,
    transmit_full,
    port_down,
    state_table_full,
    state_limit,
    handover_full,
    too_many_tees,
    too_many_calls,
    too_many_tags,
    cannot_rewrite,
    bad_fragment,
    fragment_overlap,
    too_many_fragments,
    fragment_evicted,
    fragment_timeout,
    other_station,
    martian,
    hop_limit,
    too_big,
    no_route,
    blackhole,
    host_unreachable,
    prohibited,
    source_route,
    bad_checksum,
    beyond_scope,
    neighbour_unknown,
    neighbour_queue_full,
    host_queue_full,
    reserved_group,
    same_segment,
    flood_limit,
    fwd_unavailable,
    fwd_fragment,
    fwd_of_own,
    fwd_without_listener,
    divert_queue_full,
    divert_refused,
    own_source,
    panic,
    payload_unseen,
    payload_order,
    payload_conflict,
    count_
};

inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::count_);

struct DropReasonText {
    std::string_view label;
    std::string_view help;
};

inline constexpr std::array<DropReasonText, kDropReasonCount> kDropReasonTexts = {{
    {"none", "not dropped"},
    {"short_frame", "the frame ends inside its Ethernet or IP header"},
    {"bad_ipv4_header", "IPv4 version or header length is wrong"},
    {"bad_ipv4_length", "IPv4 total length is shorter than the header or longer than the frame"},
    {"bad_ipv6_header", "IPv6 version is wrong"},
    {"bad_ipv6_length", "IPv6 payload length is longer than the frame"},
    {"extension_chain", "IPv6 extension headers are too many, truncated, or unknown and denied"},
    {"short_transport", "the TCP, UDP, SCTP or ICMP header is not wholly there"},
    {"tcp_fragment_offset_1", "TCP fragment with offset 1, which only attacks have"},
    {"vlan_tags", "more VLAN tags than the parser follows"},
    {"no_ruleset", "no ruleset has been loaded yet"},
    {"divert_without_listener", "a divert rule matched and nobody listens on its port"},
    {"unsupported_on_bridge", "a fwd rule matched on a bridge, where there is no routing"},
    {"transmit_full", "the transmit queue of the outgoing port is full"},
    {"port_down", "the outgoing port is down"},
    {"state_table_full",
     "a state could not be made: dyn_max, or the memory for states, is used up"},
    {"state_limit", "a state could not be made: the rule's limit is reached"},
    {"handover_full",
     "the worker that owns the packet's flow has taken nothing from its full queue for long"},
    {"too_many_tees", "tee rules met the packet again and again: one of them makes states"},
    {"too_many_calls", "call rules went on and on: they call each other in a circle"},
    {"too_many_tags", "rules put more tags on the packet than it can carry"},
    {"cannot_rewrite", "a header that a rule changes does not lie in the packet's first buffer"},
    {"bad_fragment", "reass: a fragment's offset or length contradicts its datagram"},
    {"fragment_overlap", "reass: a fragment covers bytes that have come already"},
    {"too_many_fragments", "reass: a datagram has more fragments than are put together"},
    {"fragment_evicted", "reass: a fragment had to make room for a younger datagram"},
    {"fragment_timeout", "reass: the rest of a fragment's datagram did not come"},
    {"other_station",
     "the frame is addressed to another station of the link, or belongs to a VLAN without an "
     "interface"},
    {"martian", "an address of the packet must not be seen between two networks"},
    {"hop_limit", "the packet's TTL or hop limit was used up"},
    {"too_big", "the packet is longer than the way on takes, and must not be cut"},
    {"no_route", "there is no route to the packet's destination"},
    {"blackhole", "a route discards the packet"},
    {"host_unreachable", "a route calls the packet's destination unreachable"},
    {"prohibited", "a route prohibits the packet's destination"},
    {"source_route", "the packet asks for a source route, which is refused"},
    {"bad_checksum", "IPv4: the checksum of a header that is to be forwarded is wrong"},
    {"beyond_scope", "a packet with a link-local source wants to leave its link"},
    {"neighbour_unknown", "the next hop did not answer in time"},
    {"neighbour_queue_full", "too many packets wait for next hops that are not known yet"},
    {"host_queue_full", "the kernel of this machine takes packets too slowly"},
    {"reserved_group", "a frame to a group that ends at every bridge (flow control, LACP, LLDP)"},
    {"same_segment", "the frame's destination is behind the port that it came in by"},
    {"flood_limit", "too many frames a second for all ports of a bridge"},
    {"fwd_unavailable", "fwd to a local address, and this kernel takes no BPF programs from us"},
    {"fwd_fragment", "fwd to a local address: a fragment has no ports, reass must stand before"},
    {"fwd_of_own", "fwd to a local address: this machine has made the packet itself"},
    {"fwd_without_listener", "fwd to a local address, and nobody listens there"},
    {"divert_queue_full", "a program takes diverted packets, or copies, too slowly"},
    {"divert_refused", "what a program gave back is no packet that can be sent on"},
    {"own_source",
     "a packet from outside has an address of this machine, or a broadcast address, as its source"},
    {"panic", "`ipfw panic deny`: all IP is dropped, whatever the rules say"},
    {"payload_unseen", "what it carries could not be looked at, and payload_fail says to drop it"},
    {"payload_order", "too much of its connection came before the bytes that are still missing"},
    {"payload_conflict", "bytes that have come before came again, and were others"},
}};

constexpr std::string_view label(DropReason reason) {
    return kDropReasonTexts[static_cast<std::size_t>(reason)].label;
}

}  // namespace sluice::contract
