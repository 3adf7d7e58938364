// Zeroed memory of the process that lies in huge pages, where the kernel has any: what is read at
// random places then needs few entries of the TLB.
//
// The size is rounded up to whole huge pages. Pages are provided when they are first used, or by
// `populate`.
#pragma once

#include <cstddef>
#include <optional>

namespace sluice {

class HugeMemory {
  public:
    static constexpr std::size_t kPage = std::size_t{2} << 20;

    // None: there is no memory (errno says why).
    static std::optional<HugeMemory> map(std::size_t size);

    HugeMemory(HugeMemory&& other) noexcept;
    HugeMemory& operator=(HugeMemory&&) = delete;
    ~HugeMemory();

    // Aligned to a huge page.
    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

    // Has the kernel provide all of it now. False: it has not enough (errno). Kernels that do not
    // know how provide pages when they are first used, and that is true.
    bool populate() const;

  private:
    HugeMemory(std::byte* data, std::size_t size) : data_(data), size_(size) {}

    std::byte* data_;
    std::size_t size_;
};

}  // namespace sluice
