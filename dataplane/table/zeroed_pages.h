// Memory straight from the kernel: zeroed, costing nothing before it is written, and in huge pages
// where it is large enough for them and there are any, which spares look-ups most misses of the
// TLB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace sluice::table {

class ZeroedPages {
  public:
    ZeroedPages() = default;
    ZeroedPages(const ZeroedPages&) = delete;
    ZeroedPages& operator=(const ZeroedPages&) = delete;
    ZeroedPages(ZeroedPages&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
    ZeroedPages& operator=(ZeroedPages&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~ZeroedPages() {
        if (data_ != nullptr)
            munmap(data_, size_);
    }

    // Its `get` is null if there is no memory.
    static ZeroedPages take(std::size_t size) {
        constexpr std::size_t kHuge = std::size_t{2} << 20;
        const std::size_t room = size < kHuge ? 0 : kHuge;
        void* found =
            mmap(nullptr, size + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ZeroedPages pages;
        if (found == MAP_FAILED)
            return pages;
        auto* begin = static_cast<std::byte*>(found);
        const std::size_t before =
            room == 0 ? 0 : (kHuge - reinterpret_cast<std::uintptr_t>(begin) % kHuge) % kHuge;
        if (before != 0)
            munmap(begin, before);
        if (room != before)
            munmap(begin + before + size, room - before);
        pages.data_ = begin + before;
        pages.size_ = size;
        if (room != 0)
            (void)madvise(pages.data_, size, MADV_HUGEPAGE);
        return pages;
    }

    void* get() const { return data_; }

  private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace sluice::table
