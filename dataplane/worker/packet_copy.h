// Copies of bytes in packet buffers.
#pragma once

#include <cstddef>
#include <span>

struct rte_mbuf;
struct rte_mempool;

namespace sluice::worker {

// A buffer, or a chain of buffers, with these bytes. Null: the pool has none left.
rte_mbuf* copy_of(std::span<const std::byte> bytes, rte_mempool* pool);

}  // namespace sluice::worker
