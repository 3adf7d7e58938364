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
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/instruction.h"

namespace sluice::contract {

inline constexpr std::uint64_t kSnapshotMagic = 0x31504e5343554c53;  // "SLUCSNP1"
inline constexpr std::uint32_t kSnapshotVersion = 1;
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
    divert,  // number: port
    tee,     // number: port
    fwd,     // next_hop, next_hop_family, next_hop_port
    count_
};

namespace rule_flag {
inline constexpr std::uint16_t log = 1;
inline constexpr std::uint16_t reject = 2;  // written as `reject`, which logs differently
inline constexpr std::uint16_t link_layer =
    4;  // names MAC, mac-type or layer2: judges non-IP frames too
}  // namespace rule_flag

struct RuleRecord {
    std::uint32_t first_instruction = 0;
    std::uint32_t header_count = 0;    // header tests from first_instruction on …
    std::uint32_t residual_count = 0;  // … and residual tests behind them
    std::uint32_t slot = 0;
    std::uint32_t target = 0;     // skipto: index of the next rule, > own index
    std::uint32_t log_limit = 0;  // 0: no limit
    std::uint16_t number = 0;     // 1…65535
    std::uint16_t flags = 0;      // rule_flag
    RuleAction action = RuleAction::deny;
    std::uint8_t set = 0;
    std::uint16_t action_number = 0;
    std::uint16_t mtu = 0;              // `unreach needfrag MTU`
    std::uint16_t next_hop_port = 0;    // 0: none
    std::uint16_t next_hop_family = 0;  // 4, 6 or 0
    std::uint16_t reserved = 0;
    Ipv6 next_hop;                  // the first 4 bytes for family 4
    std::uint32_t text_offset = 0;  // canonical text of the rule in section text, without number
    std::uint32_t text_length = 0;
};

// The sysctls that travel with the ruleset. Names: net.inet.ip.fw.* unless noted.
struct Sysctls {
    std::uint32_t enable = 1;
    std::uint32_t enable6 = 1;  // net.inet6.ip6.fw.enable
    std::uint32_t verbose = 0;
    std::uint32_t verbose_limit = 0;
    std::uint32_t debug = 0;
    std::uint32_t one_pass = 1;
    std::uint32_t autoinc_step = 100;
    std::uint32_t deny_unknown_exthdrs = 1;  // net.inet6.ip6.fw.*
    std::uint32_t permit_single_frag6 = 1;   // net.inet6.ip6.fw.*
    std::uint32_t reserved[7] = {};
};

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
    std::uint64_t checksum = 0;    // of all bytes behind the header, FNV-1a over 64-bit words
    Sysctls sysctls;
    Section rules;            // RuleRecord
    Section instructions;     // Instruction
    Section ports;            // PortTest
    Section ranges;           // Range
    Section v4_networks;      // V4Network
    Section v6_networks;      // V6Network
    Section words;            // std::uint32_t
    Section mac_tests;        // MacTest
    Section interface_tests;  // InterfaceTest
    Section text;             // char
};

inline constexpr std::size_t kSectionAlignment = 64;

static_assert(sizeof(RuleRecord) == 64);
static_assert(std::has_unique_object_representations_v<RuleRecord>);
static_assert(std::has_unique_object_representations_v<SnapshotHeader>);

// Changes whenever the size or number of a record type does.
constexpr std::uint32_t snapshot_layout() {
    std::uint32_t hash = 2166136261u;
    for (std::size_t size :
         {sizeof(SnapshotHeader), sizeof(RuleRecord), sizeof(Instruction), sizeof(PortTest),
          sizeof(Range), sizeof(V4Network), sizeof(V6Network), sizeof(MacTest),
          sizeof(InterfaceTest), static_cast<std::size_t>(Opcode::count_),
          static_cast<std::size_t>(RuleAction::count_)})
        hash = (hash ^ static_cast<std::uint32_t>(size)) * 16777619u;
    return hash;
}

}  // namespace sluice::contract
