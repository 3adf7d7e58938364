// Pattern objects: named sets of patterns that rules look for in what packets carry.
//
// They are part of the snapshot, so that they change, return and are read back with the rules:
//
//     PatternObject[], in the order of their names; PatternRecord[], those of an object one after
//     the other, in its order; their texts; databases as bytes
//
// An object of type `bytes` has a database: what hs_serialize_database made of its patterns, in
// packet mode of a block database, in stream mode of a streaming one. The numbers that a match
// reports are places of patterns in the object, from 0 on. An object without patterns has none, and
// neither has one of type `names`, which the data plane makes of the texts. Patterns that stand in
// rules (`payload "…"`) are in objects without a name, one for each type, in packet mode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice::contract {

inline constexpr std::uint32_t kMaximumPatternObjects = 1024;
inline constexpr std::uint32_t kMaximumPatterns = 1'000'000;  // of all objects
inline constexpr std::size_t kPatternNameSize = 64;           // with the closing NUL
inline constexpr std::uint32_t kPacketDepth = 1460;           // if no other is given: packet mode
inline constexpr std::uint32_t kStreamDepth = 8192;           // … and stream mode
inline constexpr std::uint32_t kMaximumDepth = 1u << 30;

enum class PatternType : std::uint8_t {
    bytes,  // literals and regular expressions, for all parts of a packet
    names,  // of domains, each with all below it or alone, for parts that are names
    count_
};

enum class PatternMode : std::uint8_t {
    packet,  // each packet by itself
    stream,  // what one side of a flow says, in its order; a match holds for the rest of the flow
    count_
};

// Which side of a flow is looked at. Packets without a state are of the first.
enum class PatternDirection : std::uint8_t {
    both,
    forward,  // `dir out`: who has made the state
    reverse,  // `dir in`: what comes back
    count_
};

struct PatternObject {
    std::uint64_t content = 0;          // a hash of all that the database was made from: two
                                        // objects with one content have the same database
    std::uint64_t database_offset = 0;  // in section pattern_databases
    std::uint64_t database_size = 0;    // in bytes; 0: none
    std::uint32_t first_pattern = 0;    // in section patterns
    std::uint32_t pattern_count = 0;
    std::uint32_t depth = kPacketDepth;  // bytes of a packet, or of a side of a flow
    PatternType type = PatternType::bytes;
    PatternMode mode = PatternMode::packet;
    PatternDirection direction = PatternDirection::both;
    std::uint8_t ignore_case = 0;  // of literals; names have none anyway
    char name[kPatternNameSize] = {};
};

struct PatternRecord {
    std::uint32_t value = 0;
    std::uint32_t text_offset = 0;  // in section pattern_text
    std::uint32_t text_length = 0;
};

// What a rule looks at.
enum class PayloadPart : std::uint16_t {
    payload,    // all that is behind the header of the upper layer
    http_host,  // the field Host of a request
    http_uri,   // its target, as it is written
    tls_sni,    // the server name of a ClientHello
    dns_qname,  // the name of the first question
    count_
};

// Parts that names can be looked for in.
constexpr bool is_name(PayloadPart part) {
    return part == PayloadPart::http_host || part == PayloadPart::tls_sni ||
           part == PayloadPart::dns_qname;
}

// Why a packet was not looked at as its rule wants it.
enum class PayloadSkip : std::uint8_t {
    budget,     // net.inet.ip.fw.payload_budget is used up
    no_flow,    // there is no room for one more flow
    no_stream,  // there is no memory for one more stream
    mid_flow,   // the flow began before anybody looked
    gap,        // bytes went by that nobody has seen
    count_
};
inline constexpr std::size_t kPayloadSkips = static_cast<std::size_t>(PayloadSkip::count_);
inline constexpr const char* kPayloadSkipLabels[kPayloadSkips] = {"budget", "no_flow", "no_stream",
                                                                  "mid_flow", "gap"};

// net.inet.ip.fw.payload_fail: what becomes of such a packet.
enum class PayloadFail : std::uint32_t {
    pass,         // the test does not match, as if nothing had been found
    drop_packet,  // it is dropped
    drop_flow,    // so are all that follow it in its flow
    count_
};

// What the data plane tells of one object, in front of a number for each pattern: in how many
// packets or streams it was found since the object became what it is.
struct PatternReport {
    std::uint64_t database_bytes = 0;  // as it runs
    std::uint64_t scratch_bytes = 0;   // of all workers
    std::uint64_t stream_bytes = 0;    // of one side of one flow
    std::uint64_t streams = 0;         // that are open now
    std::uint64_t pattern_count = 0;
};

static_assert(sizeof(PatternObject) == 104 && sizeof(PatternRecord) == 12);
static_assert(sizeof(PatternReport) == 40);
static_assert(std::has_unique_object_representations_v<PatternObject>);
static_assert(std::has_unique_object_representations_v<PatternRecord>);

}  // namespace sluice::contract
