#include "dataplane/worker/port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "dataplane/worker/device.h"
#include "dataplane/worker/eal.h"
#include "dataplane/worker/flow_spreading.h"

namespace sluice::worker {

namespace {

constexpr std::uint64_t kHashFields =
    RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;

// How much longer than an IP packet a frame may be, as the driver counts.
std::uint32_t frame_overhead(const rte_eth_dev_info& info) {
    if (info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu)
        return info.max_rx_pktlen - info.max_mtu;
    return RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
}

// Virtual drivers state nominal limits and then take whatever fits their buffers; asking them for
// more than they state is an error.
std::uint32_t possible_mtu(const rte_eth_dev_info& info, unsigned mtu) {
    std::uint32_t most = info.max_mtu == 0 ? mtu : info.max_mtu;
    const std::uint32_t overhead = frame_overhead(info);
    if (info.max_rx_pktlen > overhead)
        most = std::min(most, info.max_rx_pktlen - overhead);
    return std::min(most, mtu);
}

}  // namespace

EthPort::EthPort(std::string name, std::string device, std::uint16_t id)
    : name_(std::move(name)), device_(std::move(device)), id_(id) {
    if (const std::string_view interface = captured_interface(device_); !interface.empty())
        link_.emplace(std::string(interface));
}

EthPort::EthPort(EthPort&& other) noexcept
    : name_(std::move(other.name_)),
      device_(std::move(other.device_)),
      link_(std::move(other.link_)),
      id_(other.id_),
      open_(std::exchange(other.open_, false)),
      spreads_by_owner_(other.spreads_by_owner_) {}

EthPort::~EthPort() {
    if (!open_)
        return;
    rte_eth_dev_stop(id_);
    rte_eth_dev_close(id_);
}

Error EthPort::error(const std::string& what, int code) const {
    std::string sentence = "port " + name_ + " (" + device_ + "): " + what + ": " +
                           rte_strerror(code < 0 ? -code : code);
    if (const std::string detail = take_dpdk_message(); !detail.empty())
        sentence += " (" + detail + ")";
    return {ExitStatus::os, sentence};
}

Result<EthPort> EthPort::probe(const std::string& name, const std::string& device) {
    const std::string known_as(device_name(device));
    std::uint16_t id = 0;
    take_dpdk_message();
    // PCI devices have been probed when DPDK started.
    if (rte_eth_dev_get_port_by_name(known_as.c_str(), &id) == 0)
        return EthPort(name, device, id);
    if (rte_dev_probe(device.c_str()) != 0 ||
        rte_eth_dev_get_port_by_name(known_as.c_str(), &id) != 0) {
        std::string sentence = "port " + name + ": the device \"" + device + "\" cannot be opened";
        if (const std::string detail = take_dpdk_message(); !detail.empty())
            sentence += " (" + detail + ")";
        return Error{ExitStatus::os, sentence + "; " + device_hint(device)};
    }
    return EthPort(name, device, id);
}

Result<PortLimits> EthPort::limits() const {
    rte_eth_dev_info info{};
    if (const int code = rte_eth_dev_info_get(id_, &info); code != 0)
        return error("the driver does not describe itself", code);
    PortLimits limits;
    limits.receive_queues = info.max_rx_queues;
    limits.transmit_queues = info.max_tx_queues;
    limits.socket = rte_eth_dev_socket_id(id_);
    if (limits.receive_queues == 0 || limits.transmit_queues == 0)
        return Error{ExitStatus::os,
                     "port " + name_ + " (" + device_ +
                         ") can only receive or only send; a bridge needs both, give the device "
                         "the missing arguments"};
    return limits;
}

Result<Done> EthPort::start(const PortSetup& setup) {
    take_dpdk_message();
    rte_eth_dev_info info{};
    if (const int code = rte_eth_dev_info_get(id_, &info); code != 0)
        return error("the driver does not describe itself", code);
    rte_eth_conf configuration{};
    configuration.rxmode.mtu = possible_mtu(info, setup.mtu);
    configuration.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    configuration.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kHashFields;
    if (setup.receive_queues > 1 && configuration.rx_adv_conf.rss_conf.rss_hf != 0)
        configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    else
        configuration.rx_adv_conf.rss_conf.rss_hf = 0;
    std::optional<FlowSpreading> spreading;
    if (setup.owner_hash != nullptr && setup.receive_queues > 1) {
        spreading.emplace(info, *setup.owner_hash);
        if (spreading->possible())
            configuration.rx_adv_conf.rss_conf = spreading->configuration();
    }
    const auto receive_queues = static_cast<std::uint16_t>(setup.receive_queues);
    const auto transmit_queues = static_cast<std::uint16_t>(setup.transmit_queues);
    if (const int code =
            rte_eth_dev_configure(id_, receive_queues, transmit_queues, &configuration);
        code != 0)
        return error("cannot set up " + std::to_string(receive_queues) + " receive and " +
                         std::to_string(transmit_queues) +
                         " transmit queues, lower workers in the settings",
                     code);
    auto receive_descriptors = static_cast<std::uint16_t>(setup.receive_descriptors);
    auto transmit_descriptors = static_cast<std::uint16_t>(setup.transmit_descriptors);
    rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors, &transmit_descriptors);
    const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(id_));
    for (std::uint16_t queue = 0; queue < receive_queues; ++queue)
        if (const int code = rte_eth_rx_queue_setup(id_, queue, receive_descriptors, socket,
                                                    nullptr, setup.pool);
            code != 0)
            return error("receive queue " + std::to_string(queue) + " of " +
                             std::to_string(receive_descriptors) + " descriptors is refused",
                         code);
    for (std::uint16_t queue = 0; queue < transmit_queues; ++queue)
        if (const int code =
                rte_eth_tx_queue_setup(id_, queue, transmit_descriptors, socket, nullptr);
            code != 0)
            return error("transmit queue " + std::to_string(queue) + " of " +
                             std::to_string(transmit_descriptors) + " descriptors is refused",
                         code);
    if (const int code = rte_eth_dev_start(id_); code != 0)
        return error("does not start", code);
    // A bridge takes every frame. Drivers without filters (ring, null, pcap) need not be told.
    if (const int code = rte_eth_promiscuous_enable(id_); code != 0 && code != -ENOTSUP)
        return error("cannot be made promiscuous, which a bridge needs", code);
    spreads_by_owner_ = spreading && spreading->apply(id_, setup.receive_queues);
    return Done{};
}

MacAddress EthPort::mac() const {
    rte_ether_addr address{};
    MacAddress mac;
    if (rte_eth_macaddr_get(id_, &address) == 0)
        std::memcpy(mac.bytes.data(), address.addr_bytes, mac.bytes.size());
    return mac;
}

void EthPort::tell(contract::DeviceStatus& status) const {
    rte_eth_link link{};
    const bool known =
        rte_eth_link_get_nowait(id_, &link) == 0 && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
    contract::set(status.bits_per_second, known ? std::uint64_t{link.link_speed} * 1'000'000 : 0);
    rte_eth_stats stats{};
    if (rte_eth_stats_get(id_, &stats) != 0)
        return;
    contract::set(status.missed, stats.imissed);
    contract::set(status.receive_errors, stats.ierrors);
    contract::set(status.send_errors, stats.oerrors);
    contract::set(status.without_buffer, stats.rx_nombuf);
}

Result<Done> EthPort::keep_kernel_out() {
    return link_ ? link_->keep_kernel_out() : Result<Done>(Done{});
}

bool EthPort::link_up() const {
    if (link_ && !link_->is_up())
        return false;
    rte_eth_link link{};
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace sluice::worker
