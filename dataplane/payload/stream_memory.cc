#include "dataplane/payload/stream_memory.h"

#include <hs/hs_runtime.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "dataplane/contract/counters.h"

namespace sluice::payload {

namespace {

constexpr std::size_t kAlignment = 64;

thread_local StreamMemory* in_use = nullptr;

void* allocate(std::size_t size) {
    return in_use != nullptr ? in_use->take(size) : std::malloc(size);
}

void release(void* block) {
    if (in_use != nullptr)
        in_use->give_back(block);
    else
        std::free(block);
}

}  // namespace

std::unique_ptr<StreamMemory> StreamMemory::create(std::size_t size, std::size_t blocks) {
    [[maybe_unused]] static const hs_error_t once = hs_set_stream_allocator(allocate, release);
    const std::size_t block = (size + kAlignment - 1) & ~(kAlignment - 1);
    if (block == 0 || blocks == 0 || blocks > SIZE_MAX / block)
        return nullptr;
    void* begin = mmap(nullptr, block * blocks, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED)
        return nullptr;
    return std::unique_ptr<StreamMemory>(
        new StreamMemory(static_cast<std::byte*>(begin), block, blocks));
}

StreamMemory::~StreamMemory() {
    munmap(begin_, block_size_ * blocks_);
}

StreamMemory::Use::Use(StreamMemory& memory) {
    in_use = &memory;
}

StreamMemory::Use::~Use() {
    in_use = nullptr;
}

std::uint64_t StreamMemory::open() const {
    return contract::read(open_);
}

void* StreamMemory::take(std::size_t size) {
    if (size > block_size_)
        return nullptr;
    void* block = free_;
    if (block != nullptr)
        std::memcpy(&free_, block, sizeof free_);
    else if (fresh_ < blocks_)
        block = begin_ + block_size_ * fresh_++;
    else
        return nullptr;
    contract::add(open_, 1);
    return block;
}

void StreamMemory::give_back(void* block) {
    std::memcpy(block, &free_, sizeof free_);
    free_ = block;
    contract::add(open_, ~std::uint64_t{0});  // one less
}

}  // namespace sluice::payload
