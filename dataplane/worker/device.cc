#include "dataplane/worker/device.h"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace sluice::worker {

namespace {

// Ethernet header, two VLAN tags, FCS.
constexpr unsigned kFrameOverhead = 14 + 2 * 4 + 4;
// The kernel puts its own header, an address and padding in front of each frame of a packet ring.
constexpr unsigned kPacketRingOverhead = 128;
constexpr unsigned kPageSize = 4096;

bool is_hexadecimal(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
}

bool has_driver(std::string_view device, std::string_view driver) {
    return device.substr(0, driver.size()) == driver;
}

unsigned round_up(unsigned value, unsigned step) {
    return (value + step - 1) / step * step;
}

void add_argument(std::string& device, std::string_view key, unsigned value) {
    device += ',';
    device += key;
    device += '=' + std::to_string(value);
}

}  // namespace

std::string_view device_name(std::string_view device) {
    return device.substr(0, device.find(','));
}

std::string_view captured_interface(std::string_view device) {
    return has_driver(device, "net_af_packet") || has_driver(device, "net_af_xdp")
               ? device_argument(device, "iface")
               : std::string_view{};
}

// Domain:bus:device.function, the domain may be left out.
bool is_pci_address(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    if (dot == name.npos || !is_hexadecimal(name.substr(dot + 1)))
        return false;
    name = name.substr(0, dot);
    const std::size_t last = name.rfind(':');
    if (last == name.npos || !is_hexadecimal(name.substr(last + 1)))
        return false;
    name = name.substr(0, last);
    const std::size_t first = name.rfind(':');
    return first == name.npos
               ? is_hexadecimal(name)
               : is_hexadecimal(name.substr(0, first)) && is_hexadecimal(name.substr(first + 1));
}

std::string_view device_argument(std::string_view device, std::string_view key) {
    std::size_t comma = device.find(',');
    while (comma != device.npos) {
        device.remove_prefix(comma + 1);
        comma = device.find(',');
        const std::string_view argument = device.substr(0, comma);
        if (argument.size() > key.size() && argument.substr(0, key.size()) == key &&
            argument[key.size()] == '=')
            return argument.substr(key.size() + 1);
    }
    return {};
}

std::uint32_t buffer_room(std::string_view device, unsigned mtu) {
    constexpr unsigned kStep = 1024, kLeast = 2048, kMost = 32768;
    unsigned room = std::max(round_up(mtu + kFrameOverhead, kStep), kLeast);
    // net_af_packet refuses buffers that are smaller than a frame of its ring.
    const std::string_view text = device_argument(device, "framesz");
    unsigned frame_size = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), frame_size).ec == std::errc())
        room = std::max(room, std::min(frame_size, kMost));
    return room;
}

std::string complete_device(std::string_view device, unsigned mtu, unsigned workers) {
    std::string result(device);
    if (!has_driver(device, "net_af_packet"))
        return result;
    if (device_argument(device, "qpairs").empty())
        add_argument(result, "qpairs", workers);
    if (device_argument(device, "framesz").empty() && device_argument(device, "blocksz").empty()) {
        // A block is whole pages and whole frames: the driver lays the ring out as if it were one
        // piece.
        const unsigned frame = round_up(mtu + kFrameOverhead + kPacketRingOverhead, 1024);
        unsigned block = frame;
        while (block % kPageSize != 0)
            block += frame;
        add_argument(result, "framesz", frame);
        add_argument(result, "blocksz", block);
        // The driver's own 512 frames overflow while the worker waits for a CPU.
        if (device_argument(device, "framecnt").empty())
            add_argument(result, "framecnt", frame <= kPageSize ? 2048 : 1024);
    }
    return result;
}

bool needs_huge_pages(std::string_view device) {
    return has_driver(device, "net_af_xdp");
}

std::string device_hint(std::string_view device) {
    if (is_pci_address(device_name(device)))
        return "bind the device to vfio-pci with dpdk-devbind.py, and reserve huge pages";
    const std::string_view interface = device_argument(device, "iface");
    if ((has_driver(device, "net_af_packet") || has_driver(device, "net_af_xdp")) &&
        interface.empty())
        return "name the Linux interface, as in \"" + std::string(device_name(device)) +
               ",iface=eth1\"";
    const bool needs_interface =
        has_driver(device, "net_af_packet") || has_driver(device, "net_af_xdp");
    if (needs_interface && if_nametoindex(std::string(interface).c_str()) == 0)
        return "there is no interface " + std::string(interface) +
               " in this network namespace, see `ip link`";
    if (geteuid() != 0)
        return "run as root, or with CAP_NET_RAW and CAP_NET_ADMIN";
    if (!has_driver(device, "net_"))
        return "it is neither a PCI address nor the name of a virtual device, which begins with "
               "net_";
    return "is that a driver of DPDK? See the key device in sluice.toml";
}

}  // namespace sluice::worker
