#include "dataplane/worker/flow_spreading.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace sluice::worker {

namespace {

// Without these, TCP and UDP would be spread by addresses only, and come to another worker.
constexpr std::uint64_t kNeededFields = RTE_ETH_RSS_NONFRAG_IPV4_TCP |
                                        RTE_ETH_RSS_NONFRAG_IPV6_TCP |
                                        RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
constexpr std::uint64_t kFields = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
constexpr std::uint8_t kUsualKeySize = 40;  // of a driver that does not say

std::vector<rte_eth_rss_reta_entry64> empty_table(unsigned size) {
    std::vector<rte_eth_rss_reta_entry64> table(size / RTE_ETH_RETA_GROUP_SIZE);
    for (rte_eth_rss_reta_entry64& group : table)
        group.mask = UINT64_MAX;
    return table;
}

std::uint16_t& entry(std::vector<rte_eth_rss_reta_entry64>& table, unsigned index) {
    return table[index / RTE_ETH_RETA_GROUP_SIZE].reta[index % RTE_ETH_RETA_GROUP_SIZE];
}

}  // namespace

FlowSpreading::FlowSpreading(const rte_eth_dev_info& info, const state::OwnerHash& hash)
    : key_(hash.key()),
      key_size_(info.hash_key_size == 0 ? kUsualKeySize : info.hash_key_size),
      table_size_(info.reta_size),
      fields_(info.flow_type_rss_offloads & kFields) {
    possible_ = key_size_ <= key_.size() && (fields_ & kNeededFields) == kNeededFields &&
                table_size_ >= state::OwnerHash::kDirectorySize && std::has_single_bit(table_size_);
}

rte_eth_rss_conf FlowSpreading::configuration() {
    rte_eth_rss_conf configuration{};
    configuration.rss_key = key_.data();
    configuration.rss_key_len = key_size_;
    configuration.rss_hf = fields_;
    return configuration;
}

bool FlowSpreading::apply(std::uint16_t device, unsigned queues) {
    if (!possible_)
        return false;
    // Some drivers take the key when they are configured, some only now.
    rte_eth_rss_conf wanted = configuration();
    if (!keeps_key(device) &&
        (rte_eth_dev_rss_hash_update(device, &wanted) != 0 || !keeps_key(device)))
        return false;
    auto table = empty_table(table_size_);
    for (unsigned i = 0; i < table_size_; ++i)
        entry(table, i) = static_cast<std::uint16_t>(state::OwnerHash::worker_of(i, queues));
    auto seen = empty_table(table_size_);
    if (rte_eth_dev_rss_reta_update(device, table.data(), table_size_) != 0 ||
        rte_eth_dev_rss_reta_query(device, seen.data(), table_size_) != 0)
        return false;
    for (unsigned i = 0; i < table_size_; ++i)
        if (entry(seen, i) != entry(table, i))
            return false;
    return true;
}

bool FlowSpreading::keeps_key(std::uint16_t device) const {
    std::array<std::uint8_t, UINT8_MAX> bytes{};
    rte_eth_rss_conf seen{};
    seen.rss_key = bytes.data();
    seen.rss_key_len = key_size_;
    return rte_eth_dev_rss_hash_conf_get(device, &seen) == 0 &&
           (seen.rss_hf & kNeededFields) == kNeededFields &&
           std::equal(key_.begin(), key_.begin() + key_size_, bytes.begin());
}

}  // namespace sluice::worker
