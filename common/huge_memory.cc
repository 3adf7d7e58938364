#include "common/huge_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace sluice {

// A page more is mapped than is needed, and what lies before and behind whole ones given back.
std::optional<HugeMemory> HugeMemory::map(std::size_t size) {
    size = (size + kPage - 1) / kPage * kPage;
    void* room = mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return std::nullopt;
    auto* begin = static_cast<std::byte*>(room);
    const std::size_t before = (kPage - reinterpret_cast<std::uintptr_t>(begin) % kPage) % kPage;
    if (before != 0)
        munmap(begin, before);
    munmap(begin + before + size, kPage - before);
    madvise(begin + before, size, MADV_HUGEPAGE);
    return HugeMemory(begin + before, size);
}

HugeMemory::HugeMemory(HugeMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

HugeMemory::~HugeMemory() {
    if (data_ != nullptr)
        munmap(data_, size_);
}

bool HugeMemory::populate() const {
    return madvise(data_, size_, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

}  // namespace sluice
