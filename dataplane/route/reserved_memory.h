// Address space whose pages cost nothing until somebody writes to them, and then come zeroed.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::route {

class ReservedMemory {
  public:
    ReservedMemory() = default;
    explicit ReservedMemory(std::size_t bytes) {
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) {
            memory_ = memory;
            bytes_ = bytes;
        }
    }
    ReservedMemory(ReservedMemory&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    ReservedMemory& operator=(ReservedMemory&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ReservedMemory(const ReservedMemory&) = delete;
    ReservedMemory& operator=(const ReservedMemory&) = delete;
    ~ReservedMemory() {
        if (memory_ != nullptr)
            munmap(memory_, bytes_);
    }

    explicit operator bool() const { return memory_ != nullptr; }
    template <typename T>
    T* as() const {
        return static_cast<T*>(memory_);
    }
    // Bytes of the pages that are there.
    std::uint64_t resident() const {
        constexpr std::size_t kPage = 4096;
        std::vector<unsigned char> pages((bytes_ + kPage - 1) / kPage);
        if (memory_ == nullptr || mincore(memory_, bytes_, pages.data()) != 0)
            return 0;
        return kPage *
               static_cast<std::uint64_t>(std::count_if(
                   pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; }));
    }
    // Few and large pages from now on, where the kernel has them: random look-ups in a large table
    // else miss the TLB each time. What has been written already is moved.
    void prefer_huge_pages() const {
        constexpr int kCollapse = 25;  // MADV_COLLAPSE, since Linux 6.1
        madvise(memory_, bytes_, MADV_HUGEPAGE);
        madvise(memory_, bytes_, kCollapse);
    }

  private:
    void* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace sluice::route
