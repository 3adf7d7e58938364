// Owns a pool of packet buffers; move-only. Every buffer of it must be back before it goes, so
// ports are stopped first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/result.h"

struct rte_mempool;

namespace sluice::worker {

struct MempoolSpec {
    std::string name;
    std::uint32_t buffers = 0;
    std::uint32_t room = 0;           // bytes of a buffer, behind the headroom
    int socket = -1;                  // memory node, -1: any
    std::uint16_t private_bytes = 0;  // beside each buffer, a multiple of 8
};

class Mempool {
  public:
    static Result<Mempool> create(const MempoolSpec& spec);

    rte_mempool* get() const { return pool_.get(); }

  private:
    struct Free {
        void operator()(rte_mempool* pool) const;
    };

    explicit Mempool(rte_mempool* pool) : pool_(pool) {}

    std::unique_ptr<rte_mempool, Free> pool_;
};

}  // namespace sluice::worker
