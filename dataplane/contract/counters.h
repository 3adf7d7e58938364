// Counters in shared memory.
//
// The data plane makes one memfd of this layout at start and hands it to the control plane:
//
//     CounterHeader, DeviceStatus[kMaximumPorts], then, from `worker_offset` on, per worker a block
//     of `worker_stride` bytes:
//         WorkerCounters, then RuleCounters[slot_capacity]
//
// Threads: every block has one writer, its worker, and DeviceStatus has the main thread. They use
// relaxed load, add, store (`add`). The control plane maps the file read-only and sums over the
// workers with relaxed loads (`read`). Values only grow as long as the data plane lives, but those
// that say "now"; `ipfw zero` is a baseline kept in annotations.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/contract/drop_reason.h"
#include "dataplane/contract/pattern.h"

namespace sluice::contract {

inline constexpr std::uint64_t kCounterMagic = 0x31544e4343554c53;  // "SLUCCNT1"
inline constexpr std::uint32_t kCounterVersion = 7;
inline constexpr std::size_t kMaximumPorts = 32;

struct alignas(32) RuleCounters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;         // IP lengths
    std::uint64_t last_match_s = 0;  // seconds since 1970, 0: never
    std::uint64_t states = 0;        // that the rule has in this worker's shard now
};

struct alignas(64) PortCounters {
    std::uint64_t received_packets = 0;
    std::uint64_t received_bytes = 0;  // frame lengths without FCS
    std::uint64_t sent_packets = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t dropped_packets = 0;  // received here and not forwarded, whatever the reason
    std::uint64_t reserved[3] = {};
};

struct alignas(64) WorkerCounters {
    std::uint64_t heartbeat = 0;   // rises with every turn of the poll loop
    std::uint64_t generation = 0;  // of the snapshot that the last burst saw
    std::uint64_t bursts = 0;
    std::uint64_t log_dropped = 0;        // records that found the log ring full
    std::uint64_t replies_sent = 0;       // ICMP errors and TCP resets
    std::uint64_t replies_limited = 0;    // not sent, over budget
    std::uint64_t non_ip = 0;             // frames that no rule judged, passed on
    std::uint64_t states = 0;             // in this worker's shard now, without parents
    std::uint64_t unanswered_states = 0;  // of these: nothing has come back yet
    std::uint64_t parents = 0;            // counting entries of `limit` in this shard now
    std::uint64_t states_made = 0;
    std::uint64_t keepalives_sent = 0;
    std::uint64_t handed_over = 0;  // packets given to the worker that owns their flow
    std::uint64_t misdirected = 0;  // of these: the port's hash should have brought them there
    std::uint64_t handover_waits =
        0;  // turns that received less, as another worker's queue was full
    std::uint64_t fragments_kept = 0;         // by `reass`
    std::uint64_t datagrams_reassembled = 0;  // from them
    std::uint64_t routed = 0;                 // packets that a gateway has sent to their next hop
    std::uint64_t to_host = 0;                // frames given to the kernel of this machine
    std::uint64_t from_host = 0;              // frames that it sends
    std::uint64_t errors_sent = 0;  // ICMP errors of a router; `replies_sent` counts them too
    std::uint64_t waited_for_neighbour = 0;  // packets that were kept until it was known
    std::uint64_t flooded = 0;               // frames that a bridge sent to all its ports
    std::uint64_t diverted = 0;              // packets given to the programs of divert ports
    std::uint64_t teed = 0;                  // copies given to them
    std::uint64_t injected = 0;              // packets that they gave back, or made
    std::uint64_t without_state = 0;         // packets that went on although theirs found no room
    std::uint64_t log_limited = 0;           // records not written: over verbose_rate
    std::uint64_t payload_scans = 0;      // looks of a pattern object at a packet or a piece of one
    std::uint64_t payload_bytes = 0;      // that they looked at
    std::uint64_t payload_matches = 0;    // packets in which an object found something new
    std::uint64_t payload_flows = 0;      // that are followed now
    std::uint64_t payload_kept = 0;       // segments kept until those before them came
    std::uint64_t payload_restarted = 0;  // streams begun anew because their object has changed
    std::uint64_t payload_skips[8] = {};  // by PayloadSkip
    std::uint64_t reserved[6] = {};
    std::uint64_t drops[64] = {};  // by DropReason
    PortCounters ports[kMaximumPorts];
};

// What the device of a port says of itself, once a second.
struct alignas(64) DeviceStatus {
    std::uint64_t link_up = 0;          // now: 0 or 1
    std::uint64_t bits_per_second = 0;  // now; 0: unknown
    std::uint64_t missed = 0;           // packets that nobody fetched in time
    std::uint64_t receive_errors = 0;
    std::uint64_t send_errors = 0;
    std::uint64_t without_buffer = 0;  // packets that found no buffer
    std::uint64_t buffers = 0;         // for packets of this port, all of them
    std::uint64_t free_buffers = 0;    // now
};

static_assert(kDropReasonCount <= 64 && kPayloadSkips <= 8);
static_assert(sizeof(RuleCounters) == 32 && sizeof(PortCounters) == 64);
static_assert(sizeof(DeviceStatus) == 64);

struct alignas(64) CounterHeader {
    std::uint64_t magic = kCounterMagic;
    std::uint32_t version = kCounterVersion;
    std::uint32_t worker_count = 0;
    std::uint32_t slot_capacity = 0;
    std::uint32_t reserved = 0;
    std::uint64_t worker_offset = 0;  // of the first block, in bytes
    std::uint64_t worker_stride = 0;
};

// Where the first worker's block may begin: a page, so that no two writers share one.
inline constexpr std::uint64_t kFirstWorkerOffset = 4096;
static_assert(sizeof(CounterHeader) + kMaximumPorts * sizeof(DeviceStatus) <= kFirstWorkerOffset);

constexpr std::uint64_t counter_worker_stride(std::uint32_t slot_capacity) {
    return (sizeof(WorkerCounters) + sizeof(RuleCounters) * std::uint64_t{slot_capacity} + 4095) &
           ~std::uint64_t{4095};
}

// Adds to a counter of which the caller is the only writer. No locked instruction.
inline void add(std::uint64_t& counter, std::uint64_t n) {
    std::atomic_ref<std::uint64_t> cell(counter);
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

inline void set(std::uint64_t& counter, std::uint64_t value) {
    std::atomic_ref<std::uint64_t>(counter).store(value, std::memory_order_relaxed);
}

// `counter` may lie in a read-only mapping: a relaxed load of 8 aligned bytes.
inline std::uint64_t read(const std::uint64_t& counter) {
    return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

}  // namespace sluice::contract
