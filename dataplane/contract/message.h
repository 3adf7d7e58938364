// Messages between the two processes.
//
// The data plane listens on a SOCK_SEQPACKET Unix socket (default /run/sluice/dataplane.sock); the
// control plane connects. One control plane at a time; a second connection is refused with Rejected
// and closed. Every message starts with MessageHeader and has the length of its struct; another
// version or length is answered with Rejected in words, and nothing changes.
//
//     data plane → Hello     descriptors: counters (read-only), log rings, annotations, memfd of
//                            TableDescriptor[table_count], and the running snapshot if there is
//                            one, whose cost it tells. Sent once after accept.
//     control plane → Offer  descriptor: sealed memfd with a snapshot
//     data plane → Accepted  all workers run this generation; what it costs
//                | Rejected  the old generation stays; reason in words
//     control plane → StatesRequest
//     data plane → StatesReply  descriptor: memfd of StateRecord[record_count], in no order; the
//                               states of some cells of the tables. `next` says where to go on
//                | Rejected
//     control plane → KillStates
//     data plane → KillReply    the states are gone
//                | Rejected
//     control plane → RecheckStates
//     data plane → RecheckReply the states of some cells of the tables have been judged anew.
//                               `next` says where to go on
//                | Rejected
//     control plane → TablesRequest  descriptor: sealed memfd with a batch of changes (table.h)
//     data plane → Working           while it takes long, at least every kWorkingInterval
//                  TablesReply       descriptor: memfd with the answer
//                | Rejected
//     control plane → Order     confirm, give back, lock, panic: see OrderKind
//     data plane → OrderDone    it holds on every worker
//                | Rejected
//     data plane → Returned     descriptor: the snapshot that runs again. Unasked: the time for
//                               `confirm` is over, or, in front of OrderDone, it was ordered
//     control plane → TraceRequest
//     data plane → TraceReply   descriptor: memfd of TraceStep[step_count] (trace.h), if there are
//     any
//                | Rejected
//     control plane → PatternRequest
//     data plane → PatternReply  descriptor: memfd of PatternReport and std::uint64_t[] (pattern.h)
//                | Rejected
//     control plane → WatchOrder
//     data plane → WatchReply   descriptor: memfd with the capture rings (capture_ring.h), if the
//                               watch has begun. It ends by order, or with the connection
//                | Rejected
//
// One request is outstanding at a time. Strings are NUL-terminated inside their arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/capture_ring.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/instruction.h"
#include "dataplane/contract/pattern.h"
#include "dataplane/contract/trace.h"

namespace sluice::contract {

inline constexpr std::uint32_t kMessageMagic = 0x43554c53;  // "SLUC"
inline constexpr std::uint16_t kMessageVersion = 7;
// A generation follows the running one. Near the end of the numbers there would be none to follow.
inline constexpr std::uint64_t kGenerationLimit = std::uint64_t{1} << 63;
inline constexpr char kDefaultContractSocket[] = "/run/sluice/dataplane.sock";

enum class MessageType : std::uint16_t {
    hello = 1,
    offer = 2,
    accepted = 3,
    rejected = 4,
    states_request = 5,
    states_reply = 6,
    kill_states = 7,
    kill_reply = 8,
    tables_request = 9,
    tables_reply = 10,
    working = 11,
    recheck_states = 12,
    recheck_reply = 13,
    order = 20,
    order_done = 21,
    returned = 22,
    trace_request = 30,
    trace_reply = 31,
    watch_order = 40,
    watch_reply = 41,
    pattern_request = 50,
    pattern_reply = 51,
};

// What happens to packets whatever the rules say.
enum class Panic : std::uint32_t {
    off,   // the rules decide
    deny,  // every packet that rules would judge is dropped
    pass,  // every such packet passes, unless it is malformed
};

struct MessageHeader {
    std::uint32_t magic = kMessageMagic;
    std::uint16_t version = kMessageVersion;
    MessageType type = MessageType::hello;
    std::uint64_t length = 0;  // of the whole message in bytes
};

struct PortDescription {
    char name[kInterfaceNameSize] = {};  // the name that rules use: `via NAME`
    MacAddress mac;
    std::uint8_t link_up = 0;
    std::uint8_t peer = 0xff;  // index of the port that bridges with this one
};

// What the rules cost a packet of one family at worst, and the memory that they take to be found.
struct FamilyCost {
    std::uint64_t bytes = 0;
    std::uint32_t boxes = 0;         // that the rules became; none for rules of other families
    std::uint32_t trees = 0;         // that are searched one after the other
    std::uint32_t worst_nodes = 0;   // on the longest way through all of them
    std::uint32_t worst_blocks = 0;  // of eight boxes, at the end of it
    std::uint32_t cut_short = 0;     // 1: the bound on memory made the way longer
    std::uint32_t reserved = 0;
    bool operator==(const FamilyCost&) const = default;
};

struct RulesetCost {
    std::uint64_t bytes = 0;
    std::uint64_t build_us = 0;
    std::uint32_t rules = 0;     // live ones, with the default rule
    char instructions[12] = {};  // that search: "portable", "avx2", "avx512"
    FamilyCost v4, v6, other;    // other: what is not IP
    bool operator==(const RulesetCost&) const = default;
};

struct Hello {
    MessageHeader header{.type = MessageType::hello, .length = 0};
    std::uint64_t boot_id = 0;     // random, another one after each start of the data plane
    std::uint64_t generation = 0;  // running now; 0: no ruleset yet
    std::uint32_t process_id = 0;
    std::uint32_t worker_count = 0;
    std::uint32_t port_count = 0;
    std::uint32_t slot_capacity = 0;
    std::uint32_t log_ring_capacity = 0;  // records per worker
    std::uint32_t state_capacity = 0;     // IPv4 states that there is memory for, all workers
    std::uint64_t state_memory = 0;       // bytes taken for states at start
    std::uint32_t state_buckets = 0;      // of the hash tables of all workers
    std::uint32_t table_count = 0;
    RulesetCost cost;                      // of the running ruleset, if there is one
    std::uint64_t highest_generation = 0;  // that was ever accepted
    std::uint64_t returned_from = 0;  // it went back to `generation` and nothing came since; or 0
    std::uint64_t confirm_ms = 0;     // until it goes back; 0: nothing waits for `confirm`
    std::uint32_t next_rule_id = 0;   // ids below this one were given to rules
    std::uint32_t locked = 0;         // 1: offers and changes to tables are refused
    Panic panic = Panic::off;
    std::uint32_t reserved = 0;
    char dpdk_version[32] = {};
    PortDescription ports[kMaximumPorts];
};

struct Offer {
    MessageHeader header{.type = MessageType::offer, .length = 0};
    std::uint64_t generation = 0;   // as in the image: > all accepted before, < kGenerationLimit
    std::uint64_t size = 0;         // of the image in bytes
    std::uint64_t with_tables = 0;  // 1: the changes that were prepared take effect with it
    // 0: it stays. Else the data plane goes back to what it runs now, by its own clock, unless the
    // order to confirm comes in time; until then it refuses other offers. Not with tables.
    std::uint64_t revert_after_ms = 0;
};
inline constexpr std::uint64_t kLongestReversionMs = std::uint64_t{24} * 3600 * 1000;

struct Accepted {
    MessageHeader header{.type = MessageType::accepted, .length = 0};
    std::uint64_t generation = 0;
    RulesetCost cost;
};

struct Rejected {
    MessageHeader header{.type = MessageType::rejected, .length = 0};
    std::uint64_t generation = 0;  // that was offered
    char reason[240] = {};
};

// Which states are meant. All that is given must hold; a default filter means every state.
struct StateFilter {
    std::uint8_t ip_version = 0;     // 4 or 6; 0: either
    std::uint8_t prefix_length = 0;  // of address; in bits of its family
    std::uint8_t protocol = 0;
    std::uint8_t has_protocol = 0;    // 1: protocol counts
    std::uint16_t port = 0;           // of either end; 0: any
    std::uint16_t rule_number = 0;    // 0: any
    std::uint32_t minimum_age_s = 0;  // since the state was made
    std::uint32_t name = 0;           // state_name_id; 0: any
    Ipv6 address{};                   // of either end, the first 4 bytes for version 4; counts if
                                      // ip_version is not 0
};

// A place in the tables of the workers. The default one is the beginning.
struct StatePosition {
    std::uint32_t worker = 0;
    std::uint32_t cell = 0;
};

enum class StatesWanted : std::uint32_t { records, count };

struct StatesRequest {
    MessageHeader header{.type = MessageType::states_request, .length = 0};
    StateFilter filter;
    StatePosition from;
    StatesWanted wanted = StatesWanted::records;
    std::uint32_t reserved = 0;
};

enum class StateKind : std::uint8_t { state, limited, parent };

struct StateRecord {
    std::uint64_t packets = 0;  // that hit the state; the one that made it is not among them
    std::uint64_t bytes = 0;
    Ipv6 source;  // of the packet that made it; the first 4 bytes for version 4
    Ipv6 destination;
    std::uint16_t source_port = 0;  // host byte order, like all integers here
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
    std::uint8_t ip_version = 0;  // 4 or 6
    StateKind kind = StateKind::state;
    std::uint8_t answered = 0;      // 1: a packet came back
    std::uint16_t rule_number = 0;  // of the rule that made it; as it runs now
    std::uint16_t tcp_flags = 0;    // seen: FIN, SYN, RST; << 8: from the other side
    std::uint32_t rule_slot = 0;
    std::uint32_t rule_id = 0;
    std::uint32_t name = 0;       // state_name_id
    std::uint32_t expires_s = 0;  // from now
    std::uint32_t age_s = 0;
    std::uint32_t children = 0;  // kind parent: states that it counts, in this worker
    std::uint16_t worker = 0;
    std::uint8_t limit_mask = 0;  // kind parent: which parts of the key count
    std::uint8_t reserved = 0;
};

// One piece of the answer: so much as the data plane looks at without keeping others waiting.
struct StatesReply {
    MessageHeader header{.type = MessageType::states_reply, .length = 0};
    std::uint64_t state_count = 0;   // that the filter means, in this piece; without parents
    std::uint32_t record_count = 0;  // in the file; 0: there is no file
    std::uint32_t last = 0;          // 1: there is nothing more
    StatePosition next;              // of the next request
};

// Parents are not killed; they go when the states that they count have gone.
struct KillStates {
    MessageHeader header{.type = MessageType::kill_states, .length = 0};
    StateFilter filter;
};

struct KillReply {
    MessageHeader header{.type = MessageType::kill_reply, .length = 0};
    std::uint64_t count = 0;  // states that were killed
};

// The states of some cells are judged by the running rules as if the first packet of each flow came
// now: they stay, go on under the rule that would make them now, or are killed.
struct RecheckStates {
    MessageHeader header{.type = MessageType::recheck_states, .length = 0};
    StatePosition from;
};

struct RecheckReply {
    MessageHeader header{.type = MessageType::recheck_reply, .length = 0};
    std::uint64_t kept = 0;
    std::uint64_t moved = 0;
    std::uint64_t killed = 0;
    StatePosition next;      // of the next request
    std::uint64_t last = 0;  // 1: there is nothing more
};

enum class TablesMode : std::uint32_t {
    skip,     // a change that fails is left out
    stop,     // a change that fails undoes the batch
    prepare,  // the same, and nobody sees it before the next offer, which says whether to keep it
    count_
};

struct TablesRequest {
    MessageHeader header{.type = MessageType::tables_request, .length = 0};
    std::uint64_t size = 0;  // of the batch in bytes
    TablesMode mode = TablesMode::skip;
    std::uint32_t reserved = 0;
};

struct TablesReply {
    MessageHeader header{.type = MessageType::tables_reply, .length = 0};
    std::uint64_t size = 0;  // of the answer in bytes
};

// The batch is large and not done yet: wait.
struct Working {
    MessageHeader header{.type = MessageType::working, .length = 0};
};
inline constexpr std::uint32_t kWorkingIntervalMs = 500;

enum class OrderKind : std::uint32_t {
    confirm,    // what was offered with revert_after_ms stays
    give_back,  // it goes at once
    lock,       // one-way until the data plane ends: no offers, no changes to tables, no `pass`
    panic,      // see Order::panic
    count_
};

struct Order {
    MessageHeader header{.type = MessageType::order, .length = 0};
    OrderKind kind = OrderKind::confirm;
    Panic panic = Panic::off;  // of OrderKind::panic
};

struct OrderDone {
    MessageHeader header{.type = MessageType::order_done, .length = 0};
    std::uint64_t generation = 0;  // that runs
};

struct Returned {
    MessageHeader header{.type = MessageType::returned, .length = 0};
    std::uint64_t generation = 0;  // that runs again
    std::uint64_t from = 0;        // that was not confirmed
    RulesetCost cost;
};

inline constexpr std::size_t kLongestTracedFrame = 1536;

// Which way would this packet take?
struct TraceRequest {
    MessageHeader header{.type = MessageType::trace_request, .length = 0};
    ChanceIs chance = ChanceIs::match;
    std::uint32_t out = 0;                            // 1: the packet goes out
    char interface[kInterfaceNameSize] = {};          // it comes or goes by; empty: none
    char receive_interface[kInterfaceNameSize] = {};  // of one that goes out; empty: none
    std::uint64_t frame_length = 0;
    std::uint8_t frame[kLongestTracedFrame] = {};  // from the Ethernet header on
};

struct TraceReply {
    MessageHeader header{.type = MessageType::trace_reply, .length = 0};
    std::uint64_t step_count = 0;  // 0: there is no file
    TraceVerdict verdict;
};

static_assert(std::has_unique_object_representations_v<TraceRequest>);
static_assert(std::has_unique_object_representations_v<TraceReply>);

// Copies of the packets that meet the filter are to be made from now on, or not any more. One watch
// at a time: a second one takes the place of the first.
struct WatchOrder {
    MessageHeader header{.type = MessageType::watch_order, .length = 0};
    PacketFilter filter;
    std::uint32_t snap_length = kLongestCapture;  // bytes of each frame, 1 to kLongestCapture
    std::uint64_t on = 0;                         // 0: the end
};

struct WatchReply {
    MessageHeader header{.type = MessageType::watch_reply, .length = 0};
    std::uint64_t watch = 0;  // that the records name; 0: nobody watches
};

static_assert(std::has_unique_object_representations_v<WatchOrder>);

// How often the patterns of an object of the running ruleset were found.
struct PatternRequest {
    MessageHeader header{.type = MessageType::pattern_request, .length = 0};
    char name[kPatternNameSize] = {};  // of the object
};

struct PatternReply {
    MessageHeader header{.type = MessageType::pattern_reply, .length = 0};
    std::uint64_t size = 0;  // of the file in bytes
};

static_assert(std::has_unique_object_representations_v<PatternRequest>);
static_assert(std::has_unique_object_representations_v<PatternReply>);

inline constexpr std::uint64_t kMaximumTableBatch = std::uint64_t{1} << 31;

static_assert(std::has_unique_object_representations_v<TablesRequest>);
static_assert(std::has_unique_object_representations_v<StatesRequest>);
static_assert(std::has_unique_object_representations_v<StatesReply>);
static_assert(std::has_unique_object_representations_v<StateRecord>);
static_assert(std::has_unique_object_representations_v<RecheckStates>);
static_assert(std::has_unique_object_representations_v<RecheckReply>);
static_assert(sizeof(StateFilter) == 32 && sizeof(StateRecord) == 88);
static_assert(std::has_unique_object_representations_v<Hello>);
static_assert(std::has_unique_object_representations_v<Accepted>);
static_assert(std::has_unique_object_representations_v<Rejected>);
static_assert(std::has_unique_object_representations_v<Order>);
static_assert(std::has_unique_object_representations_v<Returned>);
static_assert(sizeof(MessageHeader) == 16 && sizeof(PortDescription) == 24);

}  // namespace sluice::contract
