#include "dataplane/payload/cold_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice::payload {

void ColdMemory::Free::operator()(Block* blocks) const {
    std::free(blocks);
}

ColdMemory::ColdMemory(std::size_t bytes)
    : count_(std::min<std::size_t>(bytes / sizeof(Block), kNone)),
      blocks_(static_cast<Block*>(std::calloc(std::max<std::size_t>(count_, 1), sizeof(Block)))),
      free_count_(blocks_ ? count_ : 0) {
    count_ = free_count_;
}

std::uint32_t ColdMemory::take_block() {
    const std::uint32_t block = first_free_;
    --free_count_;
    if (block == kNone)
        return static_cast<std::uint32_t>(fresh_++);
    first_free_ = blocks_.get()[block].next;
    return block;
}

void ColdMemory::give_back(std::uint32_t block) {
    blocks_.get()[block].next = first_free_;
    first_free_ = block;
    ++free_count_;
}

std::uint32_t ColdMemory::put(std::span<const char> bytes) {
    constexpr std::size_t kRoom = sizeof(Block::bytes);
    if ((bytes.size() + kRoom - 1) / kRoom > free_count_)
        return kNone;
    std::uint32_t first = kNone;
    std::uint32_t* link = &first;
    while (!bytes.empty()) {
        const std::size_t length = std::min(bytes.size(), kRoom);
        *link = take_block();
        Block& block = blocks_.get()[*link];
        std::memcpy(block.bytes, bytes.data(), length);
        block.length = static_cast<std::uint32_t>(length);
        block.next = kNone;
        link = &block.next;
        bytes = bytes.subspan(length);
    }
    return first;
}

std::size_t ColdMemory::take(std::uint32_t place, std::span<char> to) {
    std::size_t size = 0;
    while (place != kNone) {
        const Block& block = blocks_.get()[place];
        std::memcpy(to.data() + size, block.bytes, block.length);
        size += block.length;
        const std::uint32_t next = block.next;
        give_back(place);
        place = next;
    }
    return size;
}

void ColdMemory::forget(std::uint32_t place) {
    while (place != kNone) {
        const std::uint32_t next = blocks_.get()[place].next;
        give_back(place);
        place = next;
    }
}

}  // namespace sluice::payload
