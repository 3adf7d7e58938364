// Names for numbers: services and protocols, hosts, users and groups.
//
// Services and protocols come from /etc/services and /etc/protocols, read once per process by us
// (getservbyname is neither thread-safe nor quick), on top of a small built-in table that is there
// even when the files are not, and of aliases that ipfw rulesets use and Linux lacks (`natd` for
// 8668, `icmp6`, …). Numbers are printed with the names that FreeBSD uses where those differ
// (`ipencap`, `ipv6-icmp`, …), so that listings look as they always did.
//
// Hosts, users and groups are asked from a NameResolver, because a daemon must not block on DNS:
// the command line resolves, the daemon is given a resolver that refuses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "common/address.h"

namespace sluice::language {

using HostAddress = std::variant<Ipv4, Ipv6>;

enum class AddressFamily { any, ipv4, ipv6 };

class NameResolver {
  public:
    virtual ~NameResolver() = default;

    // The first address of a host that is of `family`; with `any` IPv4 goes before IPv6.
    virtual std::optional<HostAddress> host(const std::string& name,
                                            AddressFamily family) const = 0;
    virtual std::optional<std::uint32_t> user(const std::string& name) const = 0;
    virtual std::optional<std::uint32_t> group(const std::string& name) const = 0;

    // Seconds since 1970, from which `expires 1h` counts.
    virtual std::uint64_t now_s() const { return 0; }

    // For printing. None: print the number.
    virtual std::optional<std::string> host_name(const HostAddress& address) const = 0;
    virtual std::optional<std::string> user_name(std::uint32_t id) const = 0;
    virtual std::optional<std::string> group_name(std::uint32_t id) const = 0;
};

// getaddrinfo, getpwnam, getgrnam and their inverses. May block.
const NameResolver& system_resolver();

// Knows no name at all.
const NameResolver& refusing_resolver();

class NameDatabase {
  public:
    // Built-in names and aliases, then what the texts of the two files add.
    NameDatabase(std::string_view services, std::string_view protocols);

    // The database made of /etc/services and /etc/protocols, read at first use.
    static const NameDatabase& instance();

    // `protocol` is "tcp", "udp", … or empty when the rule does not say: then the service may be
    // listed under any protocol, tcp first.
    std::optional<std::uint16_t> service(std::string_view name,
                                         std::string_view protocol = {}) const;
    std::optional<std::string> service_name(std::uint16_t port,
                                            std::string_view protocol = {}) const;

    std::optional<std::uint8_t> protocol(std::string_view name) const;
    std::optional<std::string> protocol_name(std::uint8_t number) const;

    // For suggestions.
    const std::unordered_map<std::string, std::uint8_t>& protocols() const {
        return protocol_numbers_;
    }

  private:
    void add_service(std::string_view name, std::uint16_t port, std::string_view protocol);
    void add_protocol(std::string_view name, std::uint8_t number);
    void read_services(std::string_view text);
    void read_protocols(std::string_view text);

    std::unordered_map<std::string, std::uint16_t> service_ports_;  // key "name/proto"
    std::unordered_map<std::string, std::string> service_names_;    // key "port/proto"
    std::unordered_map<std::string, std::uint8_t> protocol_numbers_;
    std::unordered_map<std::uint8_t, std::string> protocol_names_;
};

}  // namespace sluice::language
