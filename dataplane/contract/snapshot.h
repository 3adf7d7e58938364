// The snapshot: one immutable, position-independent image of everything that decides about a
// packet.
//
// Purpose. The control plane builds it in a memfd, seals it (write, grow, shrink, seal) and passes
// the descriptor; the data plane copies it into memory of its own, validates it (see validate.h)
// and only then lets workers see it. Layout. The header, then plain arrays ("sections"), each
// aligned to 64 bytes and named by byte offset and element count. Little endian, no pointers, no
// padding with undefined content: the same ruleset gives the same bytes. Rules are in the order of
// the list; the last one is the default rule 65535. Index into the list and rule number are
// different things. `slot` names the counters of a rule and stays the same as long as the rule
// lives, over any number of snapshots. Versions. `layout` is a hash over the sizes of all records;
// another layout is refused in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/instruction.h"
#include "dataplane/contract/pattern.h"

namespace sluice::contract {

inline constexpr std::uint64_t kSnapshotMagic = 0x31504e5343554c53;  // "SLUCSNP1"
inline constexpr std::uint32_t kSnapshotVersion = 8;
inline constexpr std::size_t kSnapshotMaximumSize = std::size_t{1} << 30;

enum class RuleAction : std::uint8_t {
    allow,
    deny,
    count,
    skipto,    // number: as written, target: index of the rule to go on with
    unreach,   // number: ICMP code; `reject` is code 1 with flag kReject
    unreach6,  // number: ICMPv6 code
    reset,
    reset6,
    abort,  // SCTP
    abort6,
    divert,       // number: port
    tee,          // number: port
    fwd,          // next_hop, next_hop_family, next_hop_port
    check_state,  // looks for a state called state_name; matches nothing by itself
    call,         // number: as written, target: index of the rule to go on with, which may lie back
    return_,      // behind the number of the rule that called
    setfib,       // number: routing table
    setdscp,      // number: code point
    tcp_setmss,   // number: largest segment that a SYN may offer
    setmark,      // mark
    reass,        // fragments of IPv4 wait for each other; the whole packet goes on
    count_
};

// Whether a rule makes states, and how many it may.
enum class StateOption : std::uint8_t {
    none,
    keep,   // one for each flow
    limit,  // one for each flow, at most state_limit for each value of the masked key
    count_
};
// Parts of the flow that `limit` tells apart.
namespace limit_mask {
inline constexpr std::uint8_t source_address = 1, source_port = 2, destination_address = 4,
                              destination_port = 8;
}

namespace rule_flag {
inline constexpr std::uint16_t log = 1;
inline constexpr std::uint16_t reject = 2;  // written as `reject`, which logs differently
inline constexpr std::uint16_t link_layer =
    4;  // names MAC, mac-type or layer2: judges non-IP frames too
inline constexpr std::uint16_t probe = 8;      // looks for a state before its tests are run
inline constexpr std::uint16_t defer = 16;     // its action waits for a packet that hits the state
inline constexpr std::uint16_t disabled = 32;  // its set is disabled; only its states use the rule
inline constexpr std::uint16_t orphan = 64;    // deleted; only its states use it (dyn_keep_states)
inline constexpr std::uint16_t untag = 128;    // `tag` is taken off, not put on
inline constexpr std::uint16_t expires = 256;  // a residual test says when; so do its states
// The number of the action, or its next hop, is that of the entry which the rule found last in a
// table; so is state_limit. What stands in the record is 0 then, or 1 for state_limit.
inline constexpr std::uint16_t table_argument = 512;
inline constexpr std::uint16_t table_limit = 1024;
inline constexpr std::uint16_t table_tag = 2048;  // so is the tag
// With log. `logdst syslog`: its lines go there and nowhere else, whatever `verbose` says.
inline constexpr std::uint16_t log_syslog = 4096;
}  // namespace rule_flag

struct RuleRecord {
    std::uint32_t first_instruction = 0;
    std::uint32_t header_count = 0;    // header tests from first_instruction on …
    std::uint32_t residual_count = 0;  // … and residual tests behind them
    std::uint32_t slot = 0;
    std::uint32_t id = 0;         // of the rule, never 0, never used again for another rule
    std::uint32_t target = 0;     // skipto: index of the next rule, > own index. Detached rules:
                                  // where the walk goes on behind any action that lets it
    std::uint32_t log_limit = 0;  // 0: no limit
    std::uint16_t number = 0;     // 1…65535
    std::uint16_t flags = 0;      // rule_flag
    RuleAction action = RuleAction::deny;
    std::uint8_t set = 0;
    std::uint16_t action_number = 0;
    std::uint16_t mtu = 0;              // `unreach needfrag MTU`
    std::uint16_t next_hop_port = 0;    // 0: none
    std::uint16_t next_hop_family = 0;  // 4, 6 or 0
    StateOption state = StateOption::none;
    std::uint8_t limit_mask = 0;    // limit_mask bits; StateOption::limit
    std::uint16_t state_limit = 0;  // at least 1; StateOption::limit
    std::uint16_t tag = 0;          // put on the packet; 0: none
    std::uint32_t state_name = 0;   // state_name_id of the name; check_state: kAnyStateName too
    std::uint32_t state_lifetime_s = 0;  // in place of ack, udp and short lifetime; 0: not given
    Ipv6 next_hop;                       // the first 4 bytes for family 4
    std::uint32_t text_offset = 0;  // canonical text of the rule in section text, without number
    std::uint32_t text_length = 0;
    std::uint32_t mark = 0;  // setmark

    constexpr bool writes_tags() const { return tag != 0 || (flags & rule_flag::table_tag) != 0; }
};

// Names of states travel as numbers. Two names of one ruleset that have the same number are refused
// by the compiler.
inline constexpr std::uint32_t kAnyStateName = 0;
constexpr std::uint32_t state_name_id(std::string_view name) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const char letter : name)
        hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
    return hash == kAnyStateName ? 1 : hash;
}

// The sysctls that travel with the ruleset. Names: net.inet.ip.fw.* unless noted.
struct Sysctls {
    std::uint32_t enable = 1;
    std::uint32_t enable6 = 1;  // net.inet6.ip6.fw.enable
    std::uint32_t verbose = 0;
    std::uint32_t verbose_limit = 0;
    std::uint32_t autoinc_step = 100;
    std::uint32_t deny_unknown_exthdrs = 1;  // net.inet6.ip6.fw.*
    std::uint32_t permit_single_frag6 = 1;   // net.inet6.ip6.fw.*
    std::uint32_t dyn_max = 16384;           // states and parents of all workers together
    std::uint32_t dyn_parent_max = 4096;     // counting entries of `limit`
    std::uint32_t dyn_ack_lifetime = 300;    // all lifetimes in seconds, at least 1
    std::uint32_t dyn_syn_lifetime = 20;
    std::uint32_t dyn_fin_lifetime = 1;  // fin and rst: below kKeepalivePeriod
    std::uint32_t dyn_rst_lifetime = 1;
    std::uint32_t dyn_udp_lifetime = 10;
    std::uint32_t dyn_short_lifetime = 5;
    std::uint32_t dyn_keepalive = 1;
    std::uint32_t dyn_keep_states = 0;
    // Ours. Percent of dyn_max that unanswered states (nothing has come back yet) must leave free.
    std::uint32_t dyn_established_share = 10;
    // Ours. Percent of dyn_max from which on the lifetime of unanswered TCP states shrinks in
    // proportion, to a third when the table is full; 0: never.
    std::uint32_t dyn_adaptive_start = 60;
    std::uint32_t tables_max = 65535;  // tables at the same time; the control plane's matter
    // Ours. 1: a packet whose state finds no room gets its rule's action all the same.
    std::uint32_t dyn_full_pass = 0;
    // Ours. Log lines of one rule in a second, of all workers together; 0: as many as come.
    std::uint32_t verbose_rate = 0;
    // Ours. See PayloadFail.
    std::uint32_t payload_fail = 0;
    // Ours. Percent of a worker's time that may go into payload; 0: as much as it takes.
    std::uint32_t payload_budget = 0;
};

// ip_fw_dynamic.c: states of established connections that end within the interval are asked for a
// sign of life once in each period.
inline constexpr std::uint32_t kKeepalivePeriod = 5;     // seconds
inline constexpr std::uint32_t kKeepaliveInterval = 20;  // seconds

struct Section {
    std::uint64_t offset = 0;  // bytes from the start of the image, a multiple of 64
    std::uint64_t count = 0;   // elements
};

struct SnapshotHeader {
    std::uint64_t magic = kSnapshotMagic;
    std::uint32_t version = kSnapshotVersion;
    std::uint32_t layout = 0;
    std::uint64_t size = 0;        // of the whole image in bytes
    std::uint64_t generation = 0;  // ≥ 1, grows with every snapshot
    std::uint64_t checksum = 0;    // of all other bytes, FNV-1a over 64-bit words
    Sysctls sysctls;
    std::uint32_t live_rules = 0;     // of section rules: those that are walked, default rule last
    std::uint32_t disabled_sets = 0;  // bit N: set N
    Section rules;         // RuleRecord: the live ones, then the detached ones, which only states
                           // refer to
    Section instructions;  // Instruction
    Section ports;         // PortTest
    Section ranges;        // Range
    Section v4_networks;   // V4Network
    Section v6_networks;   // V6Network
    Section words;         // std::uint32_t
    Section mac_tests;     // MacTest
    Section interface_tests;    // InterfaceTest
    Section text;               // char
    Section pattern_objects;    // PatternObject
    Section patterns;           // PatternRecord
    Section pattern_text;       // char
    Section pattern_databases;  // char; each begins at a multiple of 64 bytes
};

inline constexpr std::size_t kSectionAlignment = 64;

static_assert(sizeof(RuleRecord) == 84);
static_assert(std::has_unique_object_representations_v<RuleRecord>);
static_assert(std::has_unique_object_representations_v<SnapshotHeader>);

// Changes whenever the size or number of a record type does.
constexpr std::uint32_t snapshot_layout() {
    std::uint32_t hash = 2166136261u;
    for (std::size_t size :
         {sizeof(SnapshotHeader), sizeof(RuleRecord), sizeof(Instruction), sizeof(PortTest),
          sizeof(Range), sizeof(V4Network), sizeof(V6Network), sizeof(MacTest),
          sizeof(InterfaceTest), sizeof(PatternObject), sizeof(PatternRecord),
          static_cast<std::size_t>(Opcode::count_), static_cast<std::size_t>(RuleAction::count_)})
        hash = (hash ^ static_cast<std::uint32_t>(size)) * 16777619u;
    return hash;
}

}  // namespace sluice::contract
