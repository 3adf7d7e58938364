#include "dataplane/worker/mempool.h"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

namespace sluice::worker {

namespace {
constexpr unsigned kCache = 256;  // buffers that a worker keeps to itself
}

void Mempool::Free::operator()(rte_mempool* pool) const {
    rte_mempool_free(pool);
}

Result<Mempool> Mempool::create(const MempoolSpec& spec) {
    rte_mempool* pool = rte_pktmbuf_pool_create(
        spec.name.c_str(), spec.buffers, kCache, spec.private_bytes,
        static_cast<std::uint16_t>(RTE_PKTMBUF_HEADROOM + spec.room), spec.socket);
    if (pool == nullptr) {
        const std::uint64_t megabytes = std::uint64_t{spec.buffers} * (spec.room + 512) >> 20;
        return Error{ExitStatus::os, "no memory for " + std::to_string(spec.buffers) +
                                         " packet buffers (" + std::to_string(megabytes) +
                                         " MB): raise memory_mb, or lower mtu or "
                                         "receive_descriptors in the settings (" +
                                         rte_strerror(rte_errno) + ")"};
    }
    return Mempool(pool);
}

}  // namespace sluice::worker
