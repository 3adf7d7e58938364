// Memory for streams that sleep: compressed, in chains of small blocks.
//
// Pages come when they are first used. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice::payload {

class ColdMemory {
  public:
    static constexpr std::uint32_t kNone = 0xffffffff;

    explicit ColdMemory(std::size_t bytes);

    // Where the copy is; kNone: there is no room. REQUIRES: bytes are not empty.
    std::uint32_t put(std::span<const char> bytes);
    // Copies it to `to`, and gives its memory back; how many bytes they were. REQUIRES: there is
    // room for what was put.
    std::size_t take(std::uint32_t place, std::span<char> to);
    void forget(std::uint32_t place);

    std::size_t free_blocks() const { return free_count_; }

  private:
    struct Block {
        std::uint32_t next;    // kNone: the last one
        std::uint32_t length;  // of the bytes here
        char bytes[56];
    };
    static_assert(sizeof(Block) == 64);
    struct Free {
        void operator()(Block* blocks) const;
    };

    std::uint32_t take_block();
    void give_back(std::uint32_t block);

    std::size_t count_;
    std::unique_ptr<Block, Free> blocks_;
    std::uint32_t first_free_ = kNone;
    std::size_t fresh_ = 0;  // blocks from here on have never been used
    std::size_t free_count_ = 0;
};

}  // namespace sluice::payload
