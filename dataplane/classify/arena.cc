#include "dataplane/classify/arena.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace sluice::classify {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t size, std::size_t to) {
    return (size + to - 1) / to * to;
}

}  // namespace

Arena::Arena(std::size_t lines) {
    const bool large = lines * kLine >= kHugePage / 2;
    const std::size_t alignment = large ? kHugePage : kLine;
    size_ = round_up(lines * kLine, alignment);
    auto* bytes = static_cast<std::byte*>(std::aligned_alloc(alignment, size_));
    if (bytes == nullptr)
        std::abort();  // as operator new would
    // A wish: without huge pages it is only slower.
    if (large)
        (void)madvise(bytes, size_, MADV_HUGEPAGE);
    std::memset(bytes, 0, size_);
    bytes_.reset(bytes);
}

void Arena::Free::operator()(std::byte* bytes) const {
    std::free(bytes);
}

}  // namespace sluice::classify
