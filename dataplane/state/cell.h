// A state in memory: two records, side by side in two arrays of the shard.
//
// Cell, 64 bytes, one cache line: all that a packet reads and writes when it hits the state. An
// IPv6 state takes a second cell for its addresses. ColdCell, 32 bytes: what only creation, expiry,
// keepalives and listings need.
//
// Threads: written by the worker that owns the shard. Any other thread may read a Cell at any time
// with `read_cell`: the sequence is odd while the worker writes, and another one after it. Fields
// are stored and loaded as relaxed atomics, which costs nothing on the machines that we know.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "common/address.h"
#include "dataplane/packet/packet.h"

namespace sluice::state {

using CellIndex = std::uint32_t;
inline constexpr CellIndex kNoCell = 0xffffffff;

// `limit` counts its states in parents: cells with the masked key, from source to destination, the
// number of children in `packets`, and the limit_mask in `tcp_seen`.
enum class CellKind : std::uint8_t { free, state4, state6, parent4, parent6, addresses };

constexpr bool is_state(CellKind kind) {
    return kind == CellKind::state4 || kind == CellKind::state6;
}
constexpr bool is_parent(CellKind kind) {
    return kind == CellKind::parent4 || kind == CellKind::parent6;
}
constexpr bool is_ip6(CellKind kind) {
    return kind == CellKind::state6 || kind == CellKind::parent6;
}

namespace mark {
inline constexpr std::uint8_t initiator_is_low = 1;
inline constexpr std::uint8_t ack_forward =
    2;  // an ACK that moves on was seen since the last stamp
inline constexpr std::uint8_t ack_reverse = 4;
inline constexpr std::uint8_t answered = 8;    // a packet came back
inline constexpr std::uint8_t limited = 16;    // counted by a parent
inline constexpr std::uint8_t childless = 32;  // a parent in the list of those without children
}  // namespace mark

// TCP flags that decide about the lifetime. In Cell::tcp_seen: low nibble from the initiator, high
// nibble from the other side.
namespace tcp_seen {
inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4;
inline constexpr std::uint8_t both_syn = syn | syn << 4;
inline constexpr std::uint8_t both_fin = fin | fin << 4;
}  // namespace tcp_seen

struct alignas(64) Cell {
    std::uint32_t low_address = 0;   // of the key; IPv6: sum of the addresses' words
    std::uint32_t high_address = 0;  // IPv6: index of the cell that holds both addresses
    std::uint16_t low_port = 0;
    std::uint16_t high_port = 0;
    std::uint32_t name = 0;  // contract::state_name_id
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    // -- the first 32 bytes are the two addresses in a cell of kind `addresses` --
    std::uint32_t sequence = 0;
    CellKind kind = CellKind::free;  // read after the sequence; the same in all cells
    std::uint8_t protocol = 0;
    std::uint8_t marks = 0;
    std::uint8_t tcp_seen = 0;
    std::uint32_t rule_slot = 0;
    std::uint32_t rule_id = 0;
    std::uint32_t expires_s = 0;  // seconds of Packet::uptime_s
    std::uint32_t due_s = 0;      // when the timer wheel looks at it, never after expires_s
    std::uint32_t acknowledged_forward = 0;
    std::uint32_t acknowledged_reverse = 0;
};
static_assert(sizeof(Cell) == 64);

// How the packet that made a state came in: to send a keepalive back the same way, and to judge the
// flow anew.
struct LinkOrigin {
    MacAddress initiator;  // both: of frames that are bridged
    MacAddress responder;
    std::uint16_t vlan = 0;  // tag control information, if `tagged`
    std::uint8_t interface = 0;
    enum class Framing : std::uint8_t {
        unknown,  // not even the interface
        plain,    // bridged, the IP header behind the Ethernet header …
        tagged,   // … or behind one VLAN tag …
        other,    // … or further behind
        routed,   // of the frame only the interface that it came in by
        own,      // made by this machine
    } framing = Framing::unknown;
};
static_assert(sizeof(LinkOrigin) == 16 && packet::kMaximumInterfaces <= 256);

// How this packet came in, as that of the one that makes a state. Written field by field where it
// is to stay: a copy would wait for the stores.
void note_origin(LinkOrigin& origin, const packet::Packet& packet);
// For any thread; right if the cell that it belongs to has not changed meanwhile.
LinkOrigin read_origin(const LinkOrigin& origin);

struct ColdCell {
    CellIndex next = kNoCell;  // in the list of its second in the timer wheel
    CellIndex previous = kNoCell;
    std::uint32_t made_s = 0;
    CellIndex parent = kNoCell;  // of a limited state; of a parent: see mark::childless
    LinkOrigin origin;
};
static_assert(sizeof(ColdCell) == 32);

template <typename T>
void store(T& field, T value) {
    std::atomic_ref<T>(field).store(value, std::memory_order_relaxed);
}

template <typename T>
T load(const T& field) {
    T value;
    __atomic_load(&field, &value, __ATOMIC_RELAXED);
    return value;
}

// Fields that lie side by side, read at once.
template <typename Word, typename Field>
Word word_at(const Field& first) {
    Word word;
    std::memcpy(&word, &first, sizeof word);
    return word;
}

// While it lives the owner changes the cell.
class CellWriter {
  public:
    explicit CellWriter(Cell& cell) : sequence_(cell.sequence) {
        store(sequence_, sequence_ + 1);
        std::atomic_thread_fence(std::memory_order_release);
    }
    CellWriter(const CellWriter&) = delete;
    ~CellWriter() {
        std::atomic_ref<std::uint32_t>(sequence_).store(sequence_ + 1, std::memory_order_release);
    }

  private:
    std::uint32_t& sequence_;
};

// A copy of the cell as it was at one instant. False: it is being changed again and again.
bool read_cell(const Cell& cell, Cell& copy);

}  // namespace sluice::state
