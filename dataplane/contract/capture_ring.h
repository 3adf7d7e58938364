// Packets as the rules saw them, and the rings through which workers hand copies of them out.
//
// The data plane makes one memfd with one ring per worker, `capture_ring_stride()` bytes apart,
// when somebody watches for the first time (message.h: WatchOrder). Threads, and who trusts whom:
// as in log_ring.h. A full ring drops the packet and counts it; nobody waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

#include "dataplane/contract/packet_filter.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::contract {

inline constexpr std::uint64_t kCaptureRingMagic = 0x3150414343554c53;  // "SLUCCAP1"
inline constexpr std::uint32_t kCaptureRingVersion = 1;
inline constexpr std::uint32_t kCaptureRecords = 1024;  // of each ring, a power of two
inline constexpr std::uint32_t kLongestCapture = 1920;  // bytes of a frame

// What became of the packet.
enum class CaptureVerdict : std::uint8_t {
    pass,
    drop,
    refuse,  // dropped, and the sender is told
    divert,
    tee,
    forward,  // to another next hop
    reass,
    count_
};

constexpr Fate fate_of(CaptureVerdict verdict) {
    switch (verdict) {
        case CaptureVerdict::pass:
        case CaptureVerdict::forward:
            return Fate::accept;
        case CaptureVerdict::drop:
        case CaptureVerdict::refuse:
            return Fate::deny;
        case CaptureVerdict::divert:
        case CaptureVerdict::tee:
        case CaptureVerdict::reass:
        case CaptureVerdict::count_:
            break;
    }
    return Fate::any;
}

struct CaptureRecord {
    std::uint64_t time_ns = 0;  // since 1970
    std::uint64_t watch = 0;    // which order it answers
    std::uint64_t generation = 0;
    std::int32_t rule_number =
        0;  // that decided; -1: dropped before any rule; 0: no rule judged it
    std::uint32_t frame_length = 0;
    std::uint32_t captured_length = 0;
    CaptureVerdict verdict = CaptureVerdict::pass;
    std::uint8_t out = 0;          // direction
    std::uint8_t drop_reason = 0;  // DropReason
    std::uint8_t bridged = 0;
    char receive_interface[kInterfaceNameSize] = {};
    char transmit_interface[kInterfaceNameSize] = {};
};
struct CaptureSlot {
    CaptureRecord record;
    std::byte frame[kLongestCapture] = {};  // from the Ethernet header on
};

struct alignas(64) CaptureRingHeader {
    std::uint64_t magic = kCaptureRingMagic;
    std::uint32_t version = kCaptureRingVersion;
    std::uint32_t capacity = kCaptureRecords;
    std::uint64_t reserved[6] = {};
    alignas(64) std::uint64_t head = 0;  // writer: the worker
    std::uint64_t dropped = 0;           // writer: the worker
    alignas(64) std::uint64_t tail = 0;  // writer: the control plane
};

static_assert(std::has_unique_object_representations_v<CaptureRecord>);
static_assert(sizeof(CaptureRingHeader) == 192 && sizeof(CaptureSlot) % 8 == 0);

constexpr std::uint64_t capture_ring_stride() {
    return (sizeof(CaptureRingHeader) + sizeof(CaptureSlot) * std::uint64_t{kCaptureRecords} +
            4095) &
           ~std::uint64_t{4095};
}

// The producer's and the consumer's view of one ring. Does not own the memory.
class CaptureRing {
  public:
    CaptureRing() = default;

    // `memory` holds capture_ring_stride() bytes of zeros, aligned to 64.
    static CaptureRing create(void* memory) { return CaptureRing(new (memory) CaptureRingHeader); }

    // For the consumer: an empty view comes back when this is no ring.
    static CaptureRing attach(void* memory, std::size_t available) {
        auto* header = static_cast<CaptureRingHeader*>(memory);
        if (available < capture_ring_stride() || header->magic != kCaptureRingMagic ||
            header->version != kCaptureRingVersion || header->capacity != kCaptureRecords)
            return {};
        return CaptureRing(header);
    }

    explicit operator bool() const { return header_ != nullptr; }

    // Producer. `frame` is cut to record.captured_length bytes. REQUIRES: captured_length <=
    // min(frame.size(), kLongestCapture).
    bool push(const CaptureRecord& record, std::span<const std::byte> frame) {
        std::atomic_ref<std::uint64_t> head(header_->head);
        const std::uint64_t at = head.load(std::memory_order_relaxed);
        const std::uint64_t tail =
            std::atomic_ref<std::uint64_t>(header_->tail).load(std::memory_order_acquire);
        if (at - tail >= kCaptureRecords) {
            std::atomic_ref<std::uint64_t> dropped(header_->dropped);
            dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            return false;
        }
        CaptureSlot& slot = slots()[at & (kCaptureRecords - 1)];
        slot.record = record;
        std::memcpy(slot.frame, frame.data(), record.captured_length);
        head.store(at + 1, std::memory_order_release);
        return true;
    }

    // Consumer. False: nothing there. The lengths are those of a record that makes sense.
    bool pop(CaptureSlot& slot) {
        std::atomic_ref<std::uint64_t> tail(header_->tail);
        const std::uint64_t at = tail.load(std::memory_order_relaxed);
        if (at == std::atomic_ref<std::uint64_t>(header_->head).load(std::memory_order_acquire))
            return false;
        slot = slots()[at & (kCaptureRecords - 1)];
        CaptureRecord& record = slot.record;
        record.captured_length = std::min(record.captured_length, kLongestCapture);
        record.receive_interface[kInterfaceNameSize - 1] = '\0';
        record.transmit_interface[kInterfaceNameSize - 1] = '\0';
        tail.store(at + 1, std::memory_order_release);
        return true;
    }

    std::uint64_t dropped() const {
        return std::atomic_ref<std::uint64_t>(header_->dropped).load(std::memory_order_relaxed);
    }

  private:
    explicit CaptureRing(CaptureRingHeader* header) : header_(header) {}
    CaptureSlot* slots() const { return reinterpret_cast<CaptureSlot*>(header_ + 1); }

    CaptureRingHeader* header_ = nullptr;
};

}  // namespace sluice::contract
