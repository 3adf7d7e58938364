#include "controlplane/ruleset/sysctl.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "dataplane/contract/table.h"

namespace sluice::ruleset {
namespace {

using contract::Sysctls;
using Field = std::uint32_t Sysctls::*;

constexpr std::uint32_t kMaximumValue = std::numeric_limits<std::int32_t>::max();

// The values that a sysctl takes; what lies outside is refused, or brought to the nearer end.
struct Bounds {
    std::uint32_t first = 0;
    std::uint32_t last = kMaximumValue;
    bool clamp = false;
};
constexpr Bounds kStep{1, 1000, true};
constexpr Bounds kLifetime{1, kMaximumValue, true};
// ip_fw_dynamic.c: a closed connection must not be kept alive.
constexpr Bounds kClosedLifetime{1, contract::kKeepalivePeriod - 1, true};
constexpr Bounds kEstablishedShare{0, 90, false};
constexpr Bounds kPercent{0, 100, false};
constexpr Bounds kPayloadFail{0, static_cast<std::uint32_t>(contract::PayloadFail::count_) - 1,
                              false};
constexpr Bounds kTables{1, contract::kMaximumTables - 1, false};

using Fact = std::uint32_t (*)(const SysctlFacts&);

struct Entry {
    SysctlName name;
    Field field = nullptr;  // of the writable ones
    Bounds bounds = {};
    Fact fact = nullptr;  // of the read-only ones
};

constexpr SysctlKind kWritable = SysctlKind::writable;
constexpr SysctlKind kReadOnly = SysctlKind::read_only;
constexpr SysctlKind kNotYet = SysctlKind::not_supported;

constexpr Entry writable(std::string_view name, std::string_view help, Field field,
                         Bounds bounds = {}) {
    return {{name, kWritable, help}, field, bounds, nullptr};
}
constexpr Entry read_only(std::string_view name, std::string_view help, Fact fact) {
    return {{name, kReadOnly, help}, nullptr, {}, fact};
}
// Of ipfw, and always 0 here.
constexpr Entry constant(std::string_view name, std::string_view help) {
    return read_only(name, help, [](const SysctlFacts&) { return std::uint32_t{0}; });
}
constexpr Entry not_yet(std::string_view name, std::string_view help) {
    return {{name, kNotYet, help}, nullptr, {}, nullptr};
}

// clang-format off
constexpr std::array kTable = {
    writable("net.inet.ip.fw.autoinc_step", "distance of automatic rule numbers, 1 to 1000", &Sysctls::autoinc_step, kStep),
    read_only("net.inet.ip.fw.curr_dyn_buckets", "hash buckets of the state tables", [](const SysctlFacts& f) { return f.states.buckets; }),
    constant("net.inet.ip.fw.debug", "there are no debugging messages; `ipfw replay` shows what becomes of a packet"),
    read_only("net.inet.ip.fw.default_rule", "number of the default rule", [](const SysctlFacts&) { return std::uint32_t{65535}; }),
    read_only("net.inet.ip.fw.default_to_accept", "1: the default rule allows; set default_action in sluice.toml", [](const SysctlFacts& f) { return std::uint32_t{f.default_accept}; }),
    writable("net.inet.ip.fw.dyn_ack_lifetime", "seconds that an established TCP connection may be silent", &Sysctls::dyn_ack_lifetime, kLifetime),
    writable("net.inet.ip.fw.dyn_adaptive_start", "percent of dyn_max from which on half-open TCP states live shorter; 0: never", &Sysctls::dyn_adaptive_start, kPercent),
    read_only("net.inet.ip.fw.dyn_buckets", "the table is sized by `states` in sluice.toml", [](const SysctlFacts& f) { return f.states.buckets; }),
    read_only("net.inet.ip.fw.dyn_count", "states now", [](const SysctlFacts& f) { return f.states.count; }),
    writable("net.inet.ip.fw.dyn_established_share", "percent of dyn_max that unanswered states leave free, 0 to 90", &Sysctls::dyn_established_share, kEstablishedShare),
    writable("net.inet.ip.fw.dyn_fin_lifetime", "seconds that a TCP connection lives on after FIN from both sides, 1 to 4", &Sysctls::dyn_fin_lifetime, kClosedLifetime),
    writable("net.inet.ip.fw.dyn_full_pass", "1: where the table is full, keep-state rules act without a state; 0: the packet is dropped", &Sysctls::dyn_full_pass),
    writable("net.inet.ip.fw.dyn_keep_states", "1: states outlive the deletion of their rule", &Sysctls::dyn_keep_states),
    writable("net.inet.ip.fw.dyn_keepalive", "1: silent TCP connections are asked for a sign of life", &Sysctls::dyn_keepalive),
    writable("net.inet.ip.fw.dyn_max", "states at the same time, of all workers together", &Sysctls::dyn_max),
    read_only("net.inet.ip.fw.dyn_parent_count", "counting entries of `limit` now", [](const SysctlFacts& f) { return f.states.parent_count; }),
    writable("net.inet.ip.fw.dyn_parent_max", "counting entries of `limit` at the same time", &Sysctls::dyn_parent_max),
    writable("net.inet.ip.fw.dyn_rst_lifetime", "seconds that a reset TCP connection lives on, 1 to 4", &Sysctls::dyn_rst_lifetime, kClosedLifetime),
    writable("net.inet.ip.fw.dyn_short_lifetime", "seconds of states that are neither TCP nor UDP", &Sysctls::dyn_short_lifetime, kLifetime),
    writable("net.inet.ip.fw.dyn_syn_lifetime", "seconds that a half-open TCP connection lives", &Sysctls::dyn_syn_lifetime, kLifetime),
    writable("net.inet.ip.fw.dyn_udp_lifetime", "seconds of UDP states", &Sysctls::dyn_udp_lifetime, kLifetime),
    writable("net.inet.ip.fw.enable", "0: IPv4 packets pass without rules", &Sysctls::enable),
    not_yet("net.inet.ip.fw.nat64_debug", "NAT64"),
    not_yet("net.inet.ip.fw.nat64_direct_output", "NAT64"),
    not_yet("net.inet.ip.fw.one_pass", "pipes and NAT"),
    writable("net.inet.ip.fw.payload_budget", "percent of a worker's time that payload rules may take; 0: as much as they need", &Sysctls::payload_budget, kPercent),
    writable("net.inet.ip.fw.payload_fail", "what becomes of packets that cannot be looked at: 0 pass, 1 drop, 2 drop with the rest of the flow", &Sysctls::payload_fail, kPayloadFail),
    constant("net.inet.ip.fw.skipto_cache", "jumps are resolved when rules change and need no cache"),
    read_only("net.inet.ip.fw.state_capacity", "states that there is memory for; set `states` in sluice.toml", [](const SysctlFacts& f) { return f.states.capacity; }),
    read_only("net.inet.ip.fw.static_count", "number of rules", [](const SysctlFacts& f) { return f.static_count; }),
    writable("net.inet.ip.fw.tables_max", "tables at the same time, 1 to 65535", &Sysctls::tables_max, kTables),
    constant("net.inet.ip.fw.tables_sets", "the name of a table is the same in all sets"),
    writable("net.inet.ip.fw.verbose", "1: rules with `log` write log lines", &Sysctls::verbose),
    writable("net.inet.ip.fw.verbose_limit", "log limit of rules added without logamount", &Sysctls::verbose_limit),
    writable("net.inet.ip.fw.verbose_rate", "log lines of one rule in a second; 0: as many as come", &Sysctls::verbose_rate),
    writable("net.inet6.ip6.fw.deny_unknown_exthdrs", "1: IPv6 packets with unknown extension headers are dropped", &Sysctls::deny_unknown_exthdrs),
    writable("net.inet6.ip6.fw.enable", "0: IPv6 packets pass without rules", &Sysctls::enable6),
    writable("net.inet6.ip6.fw.permit_single_frag6", "1: IPv6 packets that are one single fragment pass", &Sysctls::permit_single_frag6),
    read_only("net.link.bridge.ipfw", "a bridge always filters", [](const SysctlFacts&) { return std::uint32_t{1}; }),
    constant("net.link.ether.ipfw", "on a gateway there is no pass for frames; bridges see them anyway"),
};
// clang-format on

constexpr auto kNames = [] {
    std::array<SysctlName, kTable.size()> names{};
    for (std::size_t i = 0; i < kTable.size(); ++i)
        names[i] = kTable[i].name;
    return names;
}();

static_assert(std::is_sorted(kNames.begin(), kNames.end(),
                             [](const SysctlName& a, const SysctlName& b) {
                                 return a.name < b.name;
                             }));

Result<const Entry*> find(std::string_view name) {
    for (const Entry& entry : kTable) {
        if (entry.name.name != name)
            continue;
        if (entry.name.kind == SysctlKind::not_supported)
            return Error{ExitStatus::unavailable, "not supported yet: sysctl " + std::string(name) +
                                                      " (" + std::string(entry.name.help) + ")"};
        return &entry;
    }
    return Error{ExitStatus::data, "unknown sysctl " + std::string(name) +
                                       "; `ipfw sysctl -a` lists those that there are"};
}

std::uint32_t value_of(const Entry& entry, const Sysctls& values, const SysctlFacts& facts) {
    return entry.field != nullptr ? values.*entry.field : entry.fact(facts);
}

Error bad_value(std::string_view name, const Bounds& bounds) {
    return {ExitStatus::data, "bad value for sysctl " + std::string(name) +
                                  ": expected a number from " + std::to_string(bounds.first) +
                                  " to " + std::to_string(bounds.last)};
}

Error read_only_error(const SysctlName& entry) {
    return {ExitStatus::unavailable,
            "sysctl " + std::string(entry.name) + " is read-only: " + std::string(entry.help)};
}

}  // namespace

Result<std::uint32_t> read_sysctl(const Sysctls& values, const SysctlFacts& facts,
                                  std::string_view name) {
    const Result<const Entry*> entry = find(name);
    if (!entry)
        return entry.error();
    return value_of(**entry, values, facts);
}

std::vector<SysctlValue> all_sysctls(const Sysctls& values, const SysctlFacts& facts) {
    std::vector<SysctlValue> result;
    for (const Entry& entry : kTable)
        if (entry.name.kind != SysctlKind::not_supported)
            result.push_back({std::string(entry.name.name), value_of(entry, values, facts)});
    return result;
}

Result<Done> write_sysctl(Sysctls& values, std::string_view name, std::string_view value,
                          const StateFacts& facts) {
    const Result<const Entry*> found = find(name);
    if (!found)
        return found.error();
    const Entry& entry = **found;
    if (entry.name.kind == SysctlKind::read_only)
        return read_only_error(entry.name);
    const Bounds& bounds = entry.bounds;
    std::uint32_t number = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc{} || end != value.data() + value.size() || number > kMaximumValue)
        return bad_value(name, bounds.clamp ? Bounds{} : bounds);
    if (bounds.clamp)
        number = std::clamp(number, bounds.first, bounds.last);
    if (number < bounds.first || number > bounds.last)
        return bad_value(name, bounds);
    if (entry.field == &Sysctls::dyn_max && facts.capacity != 0 && number > facts.capacity)
        return Error{ExitStatus::unavailable,
                     "sysctl " + std::string(name) + " cannot be " + std::to_string(number) +
                         ": sluice-dataplane has taken memory for " +
                         std::to_string(facts.capacity) +
                         " states; set `states` in sluice.toml higher and restart it"};
    values.*entry.field = number;
    return Done{};
}

std::span<const SysctlName> sysctl_names() {
    return kNames;
}

}  // namespace sluice::ruleset
