// The tests that a rule consists of, as they stand in a snapshot.
//
// A rule is a run of instructions. Each is one test of 16 bytes; lists live in the sections of the
// snapshot and are referred to by index. Instructions that form an or-block follow each other and
// all but the last carry `kOrNext`: the block matches if one of them does. A rule matches if every
// block does. Header tests come first, residual tests behind them (see `is_residual`): the first
// can be decided from the packet's headers, direction and interfaces alone and belong to the
// classifier; the second need more (chance, routes, marks, time, sockets, payload) and belong to
// the program. So do tests of headers that a rule of the same ruleset changes (`setdscp`,
// `tcp-setmss`): the compiler puts them among the residual ones.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/address.h"

namespace sluice::contract {

// clang-format off
enum class Opcode : std::uint8_t {
    // -- header tests --            argument / data, count
    always,                       // matches every packet
    direction_in,                 //
    protocol,                     // argument: upper-layer protocol number
    ip4,                          //
    ip6,                          //
    source_v4,                    // data, count: section v4_networks
    destination_v4,               //
    source_v6,                    // data, count: section v6_networks
    destination_v6,               //
    source_set,                   // argument: base address, data: section words, count: bits
    destination_set,              //
    source_me,                    // a local address of either family
    destination_me,               //
    source_me6,                   // a local IPv6 address
    destination_me6,              //
    source_ports,                 // data, count: section ports
    destination_ports,            //
    via,                          // data: section interface_tests
    recv,                         //
    xmit,                         //
    tcp_flags,                    // argument: set << 8 | clear
    established,                  //
    tcp_options,                  // argument: set << 8 | clear, bits of language::tcp_option
    ip_options,                   // likewise, bits of language::ip_option
    ip_tos,                       // likewise, TOS bits
    fragment,                     // likewise, bits of language::fragment_flag
    fragment_offset,              // bare `frag`: offset is not 0, either family
    ext6hdr,                      // argument: bits of language::ext6_header, any of them
    icmp_types,                   // argument: bit t % 32 of word t / 32; data: section words, count: 8
    icmp6_types,                  //
    ip_length,                    // data, count: section ranges
    ip_id,                        //
    ip_ttl,                       //
    dscp,                         //
    tcp_window,                   //
    tcp_mss,                      //
    tcp_data_length,              //
    mac_type,                     //
    tcp_sequence,                 // argument: value
    tcp_acknowledgement,          // argument: value
    ip_version,                   // argument: value
    ip_precedence,                // argument: value
    layer2,                       // the packet is filtered as a frame (bridge, or a layer-2 entry)
    mac,                          // data: section mac_tests
    flow_id,                      // the flow label of IPv6; data, count: section ranges
    // -- residual tests --
    probability,                  // argument: matches if draw < argument, draws have 31 bits
    verrevpath,                   //
    versrcreach,                  //
    antispoof,                    //
    diverted,                     // argument: kDivertedIn, kDivertedOut, or both
    tagged,                       // data, count: section ranges
    mark,                         // argument: value, data: mask
    fib,                          // argument: value
    not_expired,                  // argument: the first second since 1970 that does not match
    // Of tables. argument: table; flag kTableValue: data: the value, detail: its field + 1 or 0.
    table_source,                 // address
    table_destination,            //
    table_source_mac,             //
    table_destination_mac,        //
    table_via,                    // interface
    table_recv,                   //
    table_xmit,                   //
    table_flow,                   // addresses, protocol and ports
    table_lookup,                 // detail: LookupField; count: 0, or 4 words of mask from data on
                                  // in section words, in the byte order of the packet
    // -- residual tests, of the value of the entry that the rule found last --
    tagged_argument,              // the packet has the tag
    mark_argument,                // data: mask
    // -- residual tests, of the socket of this machine that a packet belongs to --
    socket_user,                  // its owner; data, count: section words, ascending user ids
    // -- residual tests, of what the packet carries --
    payload,                      // argument: section pattern_objects, detail: PayloadPart;
                                  // flag kPatternValue: data: the value that is looked for
    count_
};
// clang-format on

constexpr bool is_residual(Opcode opcode) {
    return opcode >= Opcode::probability;
}

constexpr bool is_table_test(Opcode opcode) {
    return opcode >= Opcode::table_source && opcode <= Opcode::table_lookup;
}

// What `lookup` looks for in a table.
enum class LookupField : std::uint16_t {
    source_address,  // of the version of the packet
    destination_address,
    source_address4,  // IPv4 packets only
    destination_address4,
    source_address6,
    destination_address6,
    source_port,
    destination_port,
    source_mac,
    destination_mac,
    dscp,
    rule_number,
    mark,
    user,  // owner of the socket
    count_
};

// What `diverted` asks: the packet has come back from a divert port on its way in, or out.
inline constexpr std::uint32_t kDivertedIn = 1, kDivertedOut = 2;

inline constexpr std::uint8_t kNegated = 1;  // the test itself is inverted
inline constexpr std::uint8_t kOrNext = 2;   // the next instruction is an alternative to this one
inline constexpr std::uint8_t kTableValue = 4;    // table tests but table_lookup: compare the value
inline constexpr std::uint8_t kPatternValue = 8;  // payload: only patterns of that value

struct Instruction {
    Opcode opcode = Opcode::always;
    std::uint8_t flags = 0;
    std::uint16_t detail = 0;
    std::uint32_t argument = 0;
    std::uint32_t data = 0;
    std::uint32_t count = 0;
};

constexpr bool looks_for_user(const Instruction& test) {
    return test.opcode == Opcode::table_lookup &&
           test.detail == static_cast<std::uint16_t>(LookupField::user);
}

// first <= (port & mask) <= last; host byte order.
struct PortTest {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    std::uint16_t mask = 0xffff;
};

// first <= value <= last; host byte order.
struct Range {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};

struct V4Network {
    Ipv4 address;
    Ipv4 mask;
};

struct V6Network {
    Ipv6 address;
    Ipv6 mask;
};

struct MacTest {
    MacAddress destination, destination_mask;
    MacAddress source, source_mask;
};

inline constexpr std::size_t kInterfaceNameSize = 16;  // with the closing NUL, as in Linux

struct InterfaceTest {
    enum class Kind : std::uint32_t { name, glob, address_v4, address_v6 } kind = Kind::name;
    char pattern[kInterfaceNameSize * 2] = {};  // NUL-terminated; name and glob
    Ipv6 address;                               // address_v6; its first 4 bytes for address_v4
};

static_assert(sizeof(Instruction) == 16);
static_assert(sizeof(PortTest) == 6 && sizeof(Range) == 8 && sizeof(MacTest) == 24);
static_assert(sizeof(V4Network) == 8 && sizeof(V6Network) == 32 && sizeof(InterfaceTest) == 52);
static_assert(std::has_unique_object_representations_v<Instruction>);
static_assert(std::has_unique_object_representations_v<InterfaceTest>);

}  // namespace sluice::contract
