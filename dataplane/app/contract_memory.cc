#include "dataplane/app/contract_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace sluice::dataplane {

namespace {

Error memory_error(const char* name, std::size_t size) {
    const int code = errno;
    return {ExitStatus::os, "no memory for the " + std::string(name) + " (" +
                                std::to_string(size >> 20) +
                                " MB), lower slot_capacity or log_ring_records in the settings: " +
                                std::strerror(code)};
}

}  // namespace

Result<SharedMemory> SharedMemory::create(const char* name, std::size_t size, Access access) {
    SharedMemory memory;
    memory.file_ = UniqueFd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.file_ || ftruncate(memory.file_.get(), static_cast<off_t>(size)) != 0 ||
        fcntl(memory.file_.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)
        return memory_error(name, size);
    const int protection = access == Access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void* data = mmap(nullptr, size, protection, MAP_SHARED, memory.file_.get(), 0);
    if (data == MAP_FAILED)
        return memory_error(name, size);
    memory.data_ = static_cast<std::byte*>(data);
    memory.size_ = size;
    return memory;
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

SharedMemory::~SharedMemory() {
    if (data_ != nullptr)
        munmap(data_, size_);
}

Result<Done> SharedMemory::seal_future_writes() {
    if (fcntl(file_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
        return Error{ExitStatus::os, std::string("the counters cannot be sealed: ") +
                                         std::strerror(errno) + "; Linux 5.1 or later is needed"};
    return Done{};
}

Result<ContractMemory> ContractMemory::create(unsigned workers, std::uint32_t slot_capacity,
                                              std::uint32_t log_ring_records) {
    ContractMemory memory;
    memory.workers_ = workers;
    memory.slot_capacity_ = slot_capacity;
    memory.log_ring_records_ = log_ring_records;
    const std::uint64_t stride = contract::counter_worker_stride(slot_capacity);
    constexpr std::uint64_t kFirst = 4096;  // a page, so that no two workers share one
    auto counters = SharedMemory::create("sluice counters", kFirst + workers * stride,
                                         SharedMemory::Access::read_write);
    if (!counters)
        return counters.error();
    auto* header = new (counters->data()) contract::CounterHeader;
    header->worker_count = workers;
    header->slot_capacity = slot_capacity;
    header->worker_offset = kFirst;
    header->worker_stride = stride;
    if (auto sealed = counters->seal_future_writes(); !sealed)
        return sealed.error();
    const std::uint64_t ring_stride = contract::log_ring_stride(log_ring_records);
    auto rings = SharedMemory::create("sluice log rings", workers * ring_stride,
                                      SharedMemory::Access::read_write);
    if (!rings)
        return rings.error();
    for (unsigned worker = 0; worker < workers; ++worker)
        memory.rings_.push_back(
            contract::LogRing::create(rings->data() + worker * ring_stride, log_ring_records));
    auto annotations =
        SharedMemory::create("sluice annotations", sizeof(contract::SlotAnnotation) * slot_capacity,
                             SharedMemory::Access::read_only);
    if (!annotations)
        return annotations.error();
    memory.counters_ = std::move(*counters);
    memory.log_rings_ = std::move(*rings);
    memory.annotations_ = std::move(*annotations);
    return memory;
}

Result<ContractMemory::Captures> ContractMemory::captures() {
    if (capture_rings_.empty()) {
        const std::uint64_t stride = contract::capture_ring_stride();
        auto memory = SharedMemory::create("sluice captures", workers_ * stride,
                                           SharedMemory::Access::read_write);
        if (!memory)
            return Error{ExitStatus::os,
                         "there is no memory for captures: " + std::string(std::strerror(errno))};
        captures_ = std::move(*memory);
        for (unsigned worker = 0; worker < workers_; ++worker)
            capture_rings_.push_back(
                contract::CaptureRing::create(captures_.data() + worker * stride));
    }
    return Captures{.rings = capture_rings_, .file = captures_.descriptor()};
}

std::vector<worker::WorkerMemory> ContractMemory::worker_memory() const {
    const auto* header = reinterpret_cast<const contract::CounterHeader*>(counters_.data());
    const auto* annotations =
        reinterpret_cast<const contract::SlotAnnotation*>(annotations_.data());
    std::vector<worker::WorkerMemory> memory;
    for (unsigned worker = 0; worker < workers_; ++worker) {
        std::byte* block =
            counters_.data() + header->worker_offset + worker * header->worker_stride;
        auto* counters = reinterpret_cast<contract::WorkerCounters*>(block);
        memory.push_back(
            {.counters = counters,
             .outputs = {.counters = reinterpret_cast<contract::RuleCounters*>(counters + 1),
                         .annotations = annotations,
                         .slot_capacity = slot_capacity_,
                         .log = rings_[worker],
                         .log_dropped = &counters->log_dropped,
                         .log_limited = &counters->log_limited}});
    }
    return memory;
}

}  // namespace sluice::dataplane
