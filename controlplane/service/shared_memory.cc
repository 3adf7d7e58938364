#include "controlplane/service/shared_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace sluice::service {
namespace {

using contract::RuleCounters;
using contract::SlotAnnotation;

Error unusable(const std::string& what) {
    return {ExitStatus::unavailable, "the data plane's shared memory cannot be used: " + what};
}

// A worker may write while we read, so a sum can lag behind a baseline by a packet: never below 0.
std::uint64_t since(std::uint64_t value, std::uint64_t baseline) {
    return value > baseline ? value - baseline : 0;
}

std::uint64_t load(std::uint64_t& value) {
    return std::atomic_ref<std::uint64_t>(value).load(std::memory_order_relaxed);
}

}  // namespace

Result<Mapping> Mapping::map(int fd, std::size_t minimum, bool writable, const char* name) {
    struct stat status {};
    if (fstat(fd, &status) != 0)
        return unusable(std::string(name) + ": " + std::strerror(errno));
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0 || size < minimum)
        return unusable(std::string(name) + " has " + std::to_string(size) + " bytes, expected " +
                        std::to_string(minimum));
    void* data = mmap(nullptr, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return unusable(std::string(name) + ": " + std::strerror(errno));
    Mapping mapping;
    mapping.data_ = static_cast<std::byte*>(data);
    mapping.size_ = size;
    return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    if (this != &other) {
        if (data_ != nullptr)
            munmap(data_, size_);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Mapping::~Mapping() {
    if (data_ != nullptr)
        munmap(data_, size_);
}

Result<SharedMemory> SharedMemory::map(const contract::Hello& hello, int counters_fd, int rings_fd,
                                       int annotations_fd) {
    SharedMemory memory;
    const std::uint64_t workers = hello.worker_count;
    const std::uint64_t slots = hello.slot_capacity;

    Result<Mapping> counters =
        Mapping::map(counters_fd, sizeof(contract::CounterHeader), false, "counters");
    if (!counters)
        return counters.error();
    contract::CounterHeader header;
    std::memcpy(&header, counters->data(), sizeof header);
    if (header.magic != contract::kCounterMagic || header.version != contract::kCounterVersion)
        return unusable("counters of another version; install both from the same release");
    const std::uint64_t block = sizeof(contract::WorkerCounters) + slots * sizeof(RuleCounters);
    if (header.worker_count != workers || header.slot_capacity != slots ||
        header.worker_offset % 64 != 0 || header.worker_offset < contract::kFirstWorkerOffset ||
        header.worker_stride % 64 != 0 || header.worker_stride < block ||
        header.worker_offset > counters->size() ||
        workers > (counters->size() - header.worker_offset) / header.worker_stride)
        return unusable("counters do not have the size that they claim");
    memory.devices_ = {reinterpret_cast<const contract::DeviceStatus*>(
                           counters->data() + sizeof(contract::CounterHeader)),
                       contract::kMaximumPorts};
    for (std::uint64_t w = 0; w < workers; ++w) {
        const std::byte* worker =
            counters->data() + header.worker_offset + w * header.worker_stride;
        const std::byte* rules = worker + sizeof(contract::WorkerCounters);
        memory.totals_.push_back(reinterpret_cast<const contract::WorkerCounters*>(worker));
        memory.workers_.emplace_back(reinterpret_cast<const RuleCounters*>(rules), slots);
    }

    const std::size_t ring_stride = contract::log_ring_stride(hello.log_ring_capacity);
    Result<Mapping> rings = Mapping::map(rings_fd, ring_stride * workers, true, "log rings");
    if (!rings)
        return rings.error();
    for (std::uint64_t w = 0; w < workers; ++w) {
        contract::LogRing ring =
            contract::LogRing::attach(rings->data() + w * ring_stride, ring_stride);
        if (!ring)
            return unusable("log rings do not have the size that they claim");
        memory.rings_.push_back(ring);
    }

    Result<Mapping> annotations =
        Mapping::map(annotations_fd, slots * sizeof(SlotAnnotation), true, "annotations");
    if (!annotations)
        return annotations.error();
    memory.annotations_ = {reinterpret_cast<SlotAnnotation*>(annotations->data()), slots};

    memory.mappings_ =
        std::make_shared<const Mappings>(Mappings{.counters = std::move(*counters),
                                                  .rings = std::move(*rings),
                                                  .annotations = std::move(*annotations)});
    return memory;
}

RuleTotals SharedMemory::sum(std::uint32_t slot) const {
    RuleTotals totals;
    for (const auto& worker : workers_) {
        if (slot >= worker.size())
            return {};
        const RuleCounters& counters = worker[slot];
        totals.packets += contract::read(counters.packets);
        totals.bytes += contract::read(counters.bytes);
        totals.last_match_s = std::max(totals.last_match_s, contract::read(counters.last_match_s));
    }
    return totals;
}

RuleTotals SharedMemory::totals(std::uint32_t slot) const {
    if (slot >= annotations_.size())
        return {};
    const RuleTotals all = sum(slot);
    SlotAnnotation& annotation = annotations_[slot];
    RuleTotals result{.packets = since(all.packets, load(annotation.zero_packets)),
                      .bytes = since(all.bytes, load(annotation.zero_bytes)),
                      .last_match_s = 0,
                      .since_s = load(annotation.since_s)};
    // `zero` clears the time too: it is of interest again with the next match.
    if (result.packets != 0)
        result.last_match_s = all.last_match_s;
    return result;
}

std::uint64_t SharedMemory::states_of(std::uint32_t slot) const {
    std::uint64_t states = 0;
    for (const auto& worker : workers_)
        if (slot < worker.size())
            states += contract::read(worker[slot].states);
    return states;
}

SharedMemory::StateCounts SharedMemory::state_counts() const {
    StateCounts counts;
    for (const contract::WorkerCounters* worker : totals_) {
        counts.states += contract::read(worker->states);
        counts.parents += contract::read(worker->parents);
    }
    return counts;
}

void SharedMemory::take_baseline(std::uint32_t slot, std::uint64_t now_s) {
    if (slot >= annotations_.size())
        return;
    const RuleTotals all = sum(slot);
    SlotAnnotation& annotation = annotations_[slot];
    contract::set(annotation.zero_packets, all.packets);
    contract::set(annotation.zero_bytes, all.bytes);
    contract::set(annotation.since_s, now_s);
}

void SharedMemory::begin_anew(std::uint32_t slot, std::uint64_t now_s) {
    if (slot >= annotations_.size())
        return;
    take_baseline(slot, now_s);
    SlotAnnotation& annotation = annotations_[slot];
    contract::set(annotation.first_packets, annotation.zero_packets);
    contract::set(annotation.first_bytes, annotation.zero_bytes);
}

metrics::Counters SharedMemory::counters() const {
    return {.workers = totals_,
            .rules = workers_,
            .devices = devices_,
            .annotations = annotations_,
            .mapping = mappings_};
}

}  // namespace sluice::service
