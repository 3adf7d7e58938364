// Log records and the ring through which a worker hands them to the control plane.
//
// The data plane makes one memfd with one ring per worker, `log_ring_stride(capacity)` bytes apart.
// Threads: single producer (the worker: `head`, `dropped`, records), single consumer (`tail`).
// A full ring drops the new record and counts it. The producer trusts nothing that the consumer
// writes: a senseless `tail` makes the ring look full, never an access out of bounds.
//
// A record holds what `ipfw: 2060 Accept TCP …` needs, not the text: the control plane writes that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::contract {

inline constexpr std::uint64_t kLogRingMagic = 0x31474f4c43554c53;  // "SLUCLOG1"
inline constexpr std::uint32_t kLogRingVersion = 2;
inline constexpr std::uint16_t kNoInterface = 0xffff;

enum class LogKind : std::uint8_t {
    rule,              // a rule with `log` matched
    refused,           // dropped before any rule: "-1 Refuse"
    pullup_failed,     // dropped because a header is not wholly there: "pullup failed"
    state_limit,       // dropped because a limit is reached: "drop session", at most once a second
    state_table_full,  // dropped because no state can be made, at most once a second
    call_stack,        // a call is one too deep, or has nothing to return to; once a second
};

namespace log_flag {
inline constexpr std::uint8_t out = 1;       // direction
inline constexpr std::uint8_t ports = 2;     // source_port and destination_port are valid
inline constexpr std::uint8_t icmp = 4;      // icmp_type and icmp_code are valid
inline constexpr std::uint8_t fragment = 8;  // fragment_* are valid
inline constexpr std::uint8_t more_fragments = 16;
inline constexpr std::uint8_t reject = 32;  // the rule was written `reject`
inline constexpr std::uint8_t syslog = 64;  // the line goes to syslog alone: `logdst syslog`
}  // namespace log_flag

struct LogRecord {
    std::uint64_t time_ms = 0;   // since 1970
    std::uint64_t sequence = 0;  // number of the packet in its worker; its index in a replay
    std::uint32_t slot = 0;
    std::uint32_t log_limit = 0;  // 0: none
    std::uint32_t ip_id = 0;
    std::uint16_t rule_number = 0;  // kind rule
    LogKind kind = LogKind::rule;
    RuleAction action = RuleAction::deny;
    std::uint16_t action_number = 0;
    std::uint8_t ip_version = 0;  // 0: not IP
    std::uint8_t protocol = 0;
    std::uint8_t flags = 0;
    std::uint8_t next_hop_family = 0;
    std::uint16_t next_hop_port = 0;
    std::uint16_t source_port = 0;  // host byte order, like all integers here
    std::uint16_t destination_port = 0;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    std::uint16_t receive_interface = kNoInterface;
    std::uint16_t transmit_interface = kNoInterface;
    std::uint16_t fragment_offset = 0;  // bytes
    std::uint16_t fragment_length = 0;  // bytes of payload in this fragment
    std::uint16_t reserved = 0;
    std::uint32_t states = 0;  // state_limit: how many there are, parents too
    Ipv6 source;               // the first 4 bytes for version 4
    Ipv6 destination;
    Ipv6 next_hop;
    std::uint32_t mark = 0;  // setmark
    std::uint8_t padding[16] = {};
};

struct alignas(64) LogRingHeader {
    std::uint64_t magic = kLogRingMagic;
    std::uint32_t version = kLogRingVersion;
    std::uint32_t capacity = 0;  // records, a power of two
    std::uint64_t reserved[6] = {};
    alignas(64) std::uint64_t head = 0;  // writer: the worker
    std::uint64_t dropped = 0;           // writer: the worker
    alignas(64) std::uint64_t tail = 0;  // writer: the control plane
};

static_assert(sizeof(LogRecord) == 128 && sizeof(LogRingHeader) == 192);
static_assert(std::has_unique_object_representations_v<LogRecord>);

constexpr std::uint64_t log_ring_stride(std::uint32_t capacity) {
    return (sizeof(LogRingHeader) + sizeof(LogRecord) * std::uint64_t{capacity} + 4095) &
           ~std::uint64_t{4095};
}

// The producer's and the consumer's view of one ring. Does not own the memory.
class LogRing {
  public:
    LogRing() = default;

    // `memory` holds `log_ring_stride(capacity)` bytes, aligned to 64.
    static LogRing create(void* memory, std::uint32_t capacity) {
        auto* header = new (memory) LogRingHeader;
        header->capacity = capacity;
        return LogRing(header, capacity);
    }

    // For the consumer. `available` is the size of the mapping behind `memory`; an empty ring view
    // comes back when header and size do not fit each other.
    static LogRing attach(void* memory, std::size_t available) {
        auto* header = static_cast<LogRingHeader*>(memory);
        if (available < sizeof(LogRingHeader) || header->magic != kLogRingMagic ||
            header->version != kLogRingVersion || header->capacity == 0 ||
            (header->capacity & (header->capacity - 1)) != 0 ||
            log_ring_stride(header->capacity) > available)
            return {};
        return LogRing(header, header->capacity);
    }

    explicit operator bool() const { return header_ != nullptr; }

    // Producer. False: the ring is full, the record is dropped and counted.
    bool push(const LogRecord& record) {
        std::atomic_ref<std::uint64_t> head(header_->head);
        const std::uint64_t at = head.load(std::memory_order_relaxed);
        const std::uint64_t tail =
            std::atomic_ref<std::uint64_t>(header_->tail).load(std::memory_order_acquire);
        if (at - tail >= capacity_) {
            std::atomic_ref<std::uint64_t> dropped(header_->dropped);
            dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            return false;
        }
        records()[at & (capacity_ - 1)] = record;
        head.store(at + 1, std::memory_order_release);
        return true;
    }

    // Consumer. False: nothing there.
    bool pop(LogRecord& record) {
        std::atomic_ref<std::uint64_t> tail(header_->tail);
        const std::uint64_t at = tail.load(std::memory_order_relaxed);
        if (at == std::atomic_ref<std::uint64_t>(header_->head).load(std::memory_order_acquire))
            return false;
        record = records()[at & (capacity_ - 1)];
        tail.store(at + 1, std::memory_order_release);
        return true;
    }

    std::uint64_t dropped() const {
        return std::atomic_ref<std::uint64_t>(header_->dropped).load(std::memory_order_relaxed);
    }

  private:
    LogRing(LogRingHeader* header, std::uint32_t capacity) : header_(header), capacity_(capacity) {}
    LogRecord* records() const { return reinterpret_cast<LogRecord*>(header_ + 1); }

    LogRingHeader* header_ = nullptr;
    std::uint32_t capacity_ = 0;  // own copy: the header is shared memory
};

}  // namespace sluice::contract
