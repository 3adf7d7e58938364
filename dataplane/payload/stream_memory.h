// Memory for the streams of one database and one thread: blocks of one size.
//
// Hyperscan asks a function of the process for the memory of a stream; that function takes it from
// here while a StreamMemory is in use on its thread. Addresses are reserved when it is made, pages
// come when they are first used, and all goes at once. So opening a stream is no call of malloc,
// and streams that nobody has closed cost nothing to get rid of.
//
// Threads: `use` and what happens meanwhile is one thread's; `open` may be read by any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::payload {

class StreamMemory {
  public:
    // Blocks of `size` bytes at least. Null: there are not so many addresses.
    static std::unique_ptr<StreamMemory> create(std::size_t size, std::size_t blocks);
    ~StreamMemory();
    StreamMemory(const StreamMemory&) = delete;

    // As long as it lives, this thread's streams come from `memory`.
    class Use {
      public:
        explicit Use(StreamMemory& memory);
        Use(const Use&) = delete;
        ~Use();
    };

    std::uint64_t open() const;

    // What the library calls. Null: no block is left.
    void* take(std::size_t size);
    void give_back(void* block);

  private:
    StreamMemory(std::byte* begin, std::size_t size, std::size_t blocks)
        : begin_(begin), block_size_(size), blocks_(blocks) {}

    std::byte* begin_;
    std::size_t block_size_;
    std::size_t blocks_;
    std::size_t fresh_ = 0;  // blocks from here on have never been used
    void* free_ = nullptr;   // each leads to the next
    std::uint64_t open_ = 0;
};

}  // namespace sluice::payload
