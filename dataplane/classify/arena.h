// An array of cache lines, on huge pages where it is large enough to profit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::classify {

class Arena {
  public:
    static constexpr std::size_t kLine = 64;

    Arena() = default;
    // All bytes are zero.
    explicit Arena(std::size_t lines);

    template <typename T>
    T* at(std::uint32_t line) {
        return reinterpret_cast<T*>(bytes_.get() + line * kLine);
    }
    const std::byte* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }  // bytes

  private:
    struct Free {
        void operator()(std::byte* bytes) const;
    };
    std::unique_ptr<std::byte[], Free> bytes_;
    std::size_t size_ = 0;
};

}  // namespace sluice::classify
