#include "dataplane/worker/packet_copy.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::worker {

rte_mbuf* copy_of(std::span<const std::byte> bytes, rte_mempool* pool) {
    rte_mbuf* first = rte_pktmbuf_alloc(pool);
    for (rte_mbuf* last = first; last != nullptr;) {
        const std::size_t piece = std::min<std::size_t>(bytes.size(), rte_pktmbuf_tailroom(last));
        std::memcpy(rte_pktmbuf_mtod(last, void*), bytes.data(), piece);
        last->data_len = static_cast<std::uint16_t>(piece);
        first->pkt_len += static_cast<std::uint32_t>(piece);
        bytes = bytes.subspan(piece);
        if (bytes.empty())
            return first;
        last->next = rte_pktmbuf_alloc(pool);
        ++first->nb_segs;
        if (last->next == nullptr)
            --first->nb_segs;
        last = last->next;
    }
    rte_pktmbuf_free(first);
    return nullptr;
}

}  // namespace sluice::worker
