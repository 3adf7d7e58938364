// Receive-side scaling that brings each packet to the worker that owns its flow: the key of
// state::OwnerHash, addresses and ports as the input, and a redirection table that repeats the
// workers. What a port was told is read back; a port that does not show all of it is not trusted.
//
// Nothing depends on it but speed: workers compute the owner of every packet and hand over what
// came to the wrong one.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/state/flow_key.h"

struct rte_eth_dev_info;
struct rte_eth_rss_conf;

namespace sluice::worker {

class FlowSpreading {
  public:
    FlowSpreading(const rte_eth_dev_info& info, const state::OwnerHash& hash);
    FlowSpreading(const FlowSpreading&) = delete;

    // The port has a key of a length that we can give it, all hash fields, and a redirection table
    // that our directory fits into.
    bool possible() const { return possible_; }

    // For rte_eth_dev_configure. It points into this object.
    rte_eth_rss_conf configuration();

    // To be called when the port runs, with one queue for each worker. True: it says that it
    // spreads flows by the owner.
    bool apply(std::uint16_t device, unsigned queues);

  private:
    bool keeps_key(std::uint16_t device) const;

    std::array<std::uint8_t, state::OwnerHash::kKeySize> key_;
    std::uint8_t key_size_ = 0;
    std::uint16_t table_size_ = 0;
    std::uint64_t fields_ = 0;
    bool possible_ = false;
};

}  // namespace sluice::worker
