// The text that names a device, as it stands in the settings: a PCI address, or a virtual device
// with arguments ("net_af_packet0,iface=eth1").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::worker {

// The part in front of the first comma, by which DPDK knows the device.
std::string_view device_name(std::string_view device);

bool is_pci_address(std::string_view name);

// The value of `key` in the arguments of `device`; empty if it is not there.
std::string_view device_argument(std::string_view device, std::string_view key);

// Bytes that a packet buffer needs so that a frame with an IP packet of `mtu` bytes and two VLAN
// tags fits in one piece, and so that the driver of `device` accepts it.
std::uint32_t buffer_room(std::string_view device, unsigned mtu);

// Adds what follows from mtu and number of workers and does not stand there yet: frame and ring
// sizes and queue pairs of net_af_packet.
std::string complete_device(std::string_view device, unsigned mtu, unsigned workers);

// The Linux interface that the driver reads by sockets, past the kernel; empty: none.
std::string_view captured_interface(std::string_view device);

// net_af_xdp of DPDK 22.11 shares its buffers with the kernel and loses packets where these do not
// lie one behind the other, as in ordinary memory.
bool needs_huge_pages(std::string_view device);

// What an operator can do when `device` could not be opened.
std::string device_hint(std::string_view device);

}  // namespace sluice::worker
