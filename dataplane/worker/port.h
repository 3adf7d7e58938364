// A port of DPDK: probed, configured, started; stopped and closed when its owner goes. Move-only.
//
// Opening has two steps, because how many queues all ports offer decides how many workers run:
// `probe` finds the device and says what it can do, `start` sets up that many queues. All
// functions belong to the main thread; workers use the port's number with rte_eth_rx_burst and
// rte_eth_tx_burst only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/address.h"
#include "common/result.h"
#include "dataplane/contract/counters.h"
#include "dataplane/host/captured_link.h"
#include "dataplane/state/flow_key.h"

struct rte_mempool;

namespace sluice::worker {

struct PortLimits {
    unsigned receive_queues = 0;
    unsigned transmit_queues = 0;
    int socket = -1;  // memory node
};

struct PortSetup {
    unsigned receive_queues = 1;
    unsigned transmit_queues = 1;
    unsigned receive_descriptors = 1024;
    unsigned transmit_descriptors = 1024;
    unsigned mtu = 1500;
    rte_mempool* pool = nullptr;  // must outlive the port
    // Brings packets to the worker that owns their flow, if the port can do that. Null: they may
    // come to any. REQUIRES: there is a receive queue for each worker, in their order.
    const state::OwnerHash* owner_hash = nullptr;
};

class EthPort {
  public:
    // `device` with all its arguments.
    static Result<EthPort> probe(const std::string& name, const std::string& device);

    EthPort(EthPort&& other) noexcept;
    EthPort& operator=(EthPort&&) = delete;
    ~EthPort();

    Result<PortLimits> limits() const;
    Result<Done> start(const PortSetup& setup);

    std::uint16_t id() const { return id_; }
    const std::string& name() const { return name_; }
    // The port has been started with an owner hash and showed that it goes by it.
    bool spreads_by_owner() const { return spreads_by_owner_; }
    MacAddress mac() const;
    bool link_up() const;
    // What the device counts, and its speed.
    void tell(contract::DeviceStatus& status) const;
    // The kernel takes nothing from the Linux interface that the driver reads, if it reads one.
    Result<Done> keep_kernel_out();

  private:
    EthPort(std::string name, std::string device, std::uint16_t id);
    Error error(const std::string& what, int code) const;

    std::string name_;
    std::string device_;
    std::optional<host::CapturedLink> link_;  // of drivers that read a Linux interface
    std::uint16_t id_ = 0;
    bool open_ = true;
    bool spreads_by_owner_ = false;
};

}  // namespace sluice::worker
