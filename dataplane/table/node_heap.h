// Where the transactions of a store take the nodes of its tries and give them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/table/cell_memory.h"

namespace sluice::table {

// What every block begins with.
struct BlockHeader {
    std::uint64_t stamp;  // of the transaction that made it; 0: given back
};

class NodeHeap {
  public:
    explicit NodeHeap(std::size_t maximum_bytes) : memory_(maximum_bytes) {}

    struct Block {
        Reference reference = 0;
        std::uint32_t units = 0;
    };

    const BlockMemory& memory() const { return memory_; }
    // A block with this stamp was made by the transaction, and no reader has seen it.
    std::uint64_t stamp() const { return stamp_; }

    Reference take(unsigned units) {
        const Reference block = memory_.take(units);
        if (block == 0) {
            failed_ = true;
            return 0;
        }
        made_.push_back({block, units});
        header(block).stamp = stamp_;
        return block;
    }

    // A block of this transaction is free at once, one that readers may see when it is over.
    void release(Reference block, unsigned units) {
        BlockHeader& head = header(block);
        if (head.stamp != stamp_) {
            retired_.push_back({block, units});
            return;
        }
        head.stamp = 0;
        memory_.give_back(block, units);
    }

    // True: memory ran out; the transaction cannot be published.
    bool failed() const { return failed_; }

    // Ends the transaction. What it replaced, to be given back when nobody reads it any more.
    std::vector<Block> commit() {
        made_.clear();
        ++stamp_;
        return std::exchange(retired_, {});
    }

    // Ends it as if it had not been, though readers may have seen it. What it made, to be given
    // back when nobody reads that any more. A block may have been taken and given back several
    // times.
    std::vector<Block> withdraw() {
        std::vector<Block> made;
        for (const Block& block : made_) {
            BlockHeader& head = header(block.reference);
            if (head.stamp != stamp_)
                continue;
            head.stamp = 0;
            made.push_back(block);
        }
        made_.clear();
        retired_.clear();
        failed_ = false;
        ++stamp_;
        return made;
    }

    void give_back(const std::vector<Block>& blocks) {
        for (const Block& block : blocks)
            memory_.give_back(block.reference, block.units);
    }

  private:
    BlockHeader& header(Reference block) const {
        return *static_cast<BlockHeader*>(memory_.at(block));
    }

    BlockMemory memory_;
    std::uint64_t stamp_ = 1;
    bool failed_ = false;
    std::vector<Block> made_, retired_;
};

}  // namespace sluice::table
