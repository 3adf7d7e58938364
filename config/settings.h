// The settings of the appliance: what both processes read from sluice.toml when they start.
//
// Every key has a default, which is the one that the commented sluice.toml shows; only [[port]] has
// none. `load` is strict: a key it does not know, a value of the wrong type, out of range or at
// odds with another one is an error that names file, line, column and what was expected. Text that
// only one process can judge (a device, a socket path) is passed on as written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/address.h"
#include "common/result.h"

namespace sluice::config {

inline constexpr char kDefaultPath[] = "/etc/sluice/sluice.toml";
inline constexpr std::size_t kMaximumWorkers = 64;
inline constexpr std::size_t kMaximumPorts = 32;

enum class Idle : std::uint8_t {
    automatic,  // back off where the workers would leave no CPU to anybody else
    poll,       // never sleep
    backoff,    // sleep in growing steps while nothing arrives
};

// Of the Linux interfaces that ports read, while the data plane does not run.
enum class LinksWhenDown : std::uint8_t { up, down };

struct DataPlane {
    std::string user;  // that the process becomes; empty: it stays who it is
    std::string socket = "/run/sluice/dataplane.sock";      // where the control plane connects
    std::string divert_socket = "/run/sluice/divert.sock";  // where programs get diverted packets
    unsigned workers = 1;
    std::vector<unsigned> cpus;  // one per worker, or empty: any
    Idle idle = Idle::automatic;
    unsigned max_sleep_us = 500;
    unsigned burst = 64;                   // packets
    unsigned receive_descriptors = 1024;   // per queue
    unsigned transmit_descriptors = 1024;  // per queue
    unsigned handover_packets = 2048;      // that wait between two workers
    bool huge_pages = true;
    unsigned memory_mb = 512;
    unsigned slot_capacity = 131072;    // rules that can have counters
    unsigned flood_rate = 10000;        // frames a second to all ports of a bridge, all workers
    unsigned states = 131072;           // IPv4 states with memory, all workers; IPv6 counts twice
    unsigned payload_flows = 100000;    // whose payload is followed at once, all workers
    unsigned payload_memory_mb = 256;   // for that, all workers
    unsigned log_ring_records = 8192;   // per worker
    unsigned reload_timeout_ms = 2000;  // for all workers to take a new ruleset over
    LinksWhenDown links_when_down = LinksWhenDown::up;
    std::string log_level = "warning";  // of DPDK's own messages
    std::vector<std::string> eal_arguments;
};

struct InterfaceAddress {
    std::variant<Ipv4, Ipv6> address;
    unsigned prefix_length = 0;
};

// What becomes of packets that came in by the port and passed the rules.
enum class PortRole : std::uint8_t {
    pair,     // they leave by the peer
    bridge,   // they leave by the port of the same bridge behind which their destination was seen
    gateway,  // they are routed, or go to the kernel of this machine
};

struct Port {
    std::string name;    // as rules say it: `via NAME`
    std::string device;  // PCI address, or virtual device with its arguments
    PortRole role = PortRole::pair;
    std::string peer;    // of a pair: the name of the other port
    std::string bridge;  // of a bridge: its name
    unsigned mtu = 1500;
    std::vector<InterfaceAddress> addresses;  // what `me` means; a gateway port's twin gets them
};

struct Reply {
    unsigned rate = 200;  // packets per second, all workers together
    unsigned burst = 200;
};

struct ControlPlane {
    std::string user;  // as in DataPlane
    std::string control_socket = "/run/sluice/control.sock";
    std::string control_group;  // may use the socket beside root; empty: root alone
    std::string log_file = "/var/log/ipfw.log";  // empty: none
    bool syslog = true;
    bool json_log = false;        // both get lines of JSON instead of classic ones
    bool default_accept = false;  // rule 65535
};

// Who may use the control socket beside root and the group of the socket, which may do everything:
// names of users, and of groups with an @ in front.
struct Control {
    std::vector<std::string> read;     // look
    std::vector<std::string> operate;  // and zero counters, change tables, kill states
    std::vector<std::string> admin;    // and everything else
    std::string audit_log;             // a line for every change; empty: none beside our own log
    // Of the rulesets that were accepted; empty: nothing outlives both daemons.
    std::string state_directory = "/var/lib/sluice";
};

struct Endpoint {
    Ipv4 address;
    std::uint16_t port = 0;

    bool operator==(const Endpoint&) const = default;
};

// Which rules have series of their own.
enum class RuleMetrics : std::uint8_t {
    automatic,  // all, unless they are too many: then those of `labelled`
    all,
    labelled,  // rules that log, count, or have a comment or label; and the default rule
    none,
};

struct Metrics {
    // Where they are served; nothing: nowhere.
    std::optional<Endpoint> listen = Endpoint{.address = Ipv4::from_host(0x7f000001), .port = 9655};
    RuleMetrics rules = RuleMetrics::automatic;
    bool status_page = true;  // at the same place
};

struct Settings {
    DataPlane dataplane;
    std::vector<Port> ports;
    Reply reply;
    ControlPlane controlplane;
    Control control;
    Metrics metrics;

    // The other port of a pair; the port itself if it is not one of a pair.
    // REQUIRES: the settings come from `load` or `parse`; then every peer exists.
    std::size_t peer_index(std::size_t port) const;
};

// `name` stands for the file in messages.
Result<Settings> parse(std::string_view text, std::string_view name);

Result<Settings> load(const std::string& path);

}  // namespace sluice::config
