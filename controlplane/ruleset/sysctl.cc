#include "controlplane/ruleset/sysctl.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace sluice::ruleset {
namespace {

using contract::Sysctls;
using Field = std::uint32_t Sysctls::*;

constexpr std::uint32_t kMaximumValue = std::numeric_limits<std::int32_t>::max();
constexpr std::uint32_t kMaximumStep = 1000;
constexpr std::string_view kDefaultRule = "net.inet.ip.fw.default_rule";
constexpr std::string_view kDefaultToAccept = "net.inet.ip.fw.default_to_accept";
constexpr std::string_view kStaticCount = "net.inet.ip.fw.static_count";

struct Entry {
    SysctlName name;
    Field field = nullptr;  // of the writable ones
};

constexpr SysctlKind kWritable = SysctlKind::writable;
constexpr SysctlKind kReadOnly = SysctlKind::read_only;
constexpr SysctlKind kNotYet = SysctlKind::not_supported;

// clang-format off
constexpr std::array kTable = {
    Entry{{"net.inet.ip.fw.autoinc_step", kWritable, "distance of automatic rule numbers, 1 to 1000"}, &Sysctls::autoinc_step},
    Entry{{"net.inet.ip.fw.curr_dyn_buckets", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.debug", kNotYet, "debugging messages"}},
    Entry{{kDefaultRule, kReadOnly, "number of the default rule"}},
    Entry{{kDefaultToAccept, kReadOnly, "1: the default rule allows; set default_action in sluice.toml"}},
    Entry{{"net.inet.ip.fw.dyn_ack_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_buckets", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_count", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_fin_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_keep_states", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_keepalive", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_max", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_parent_count", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_parent_max", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_rst_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_short_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_syn_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.dyn_udp_lifetime", kNotYet, "dynamic rules"}},
    Entry{{"net.inet.ip.fw.enable", kWritable, "0: IPv4 packets pass without rules"}, &Sysctls::enable},
    Entry{{"net.inet.ip.fw.nat64_debug", kNotYet, "NAT64"}},
    Entry{{"net.inet.ip.fw.nat64_direct_output", kNotYet, "NAT64"}},
    Entry{{"net.inet.ip.fw.one_pass", kNotYet, "pipes and NAT"}},
    Entry{{"net.inet.ip.fw.skipto_cache", kNotYet, "a cache that this engine does not have"}},
    Entry{{kStaticCount, kReadOnly, "number of rules"}},
    Entry{{"net.inet.ip.fw.tables_max", kNotYet, "tables"}},
    Entry{{"net.inet.ip.fw.tables_sets", kNotYet, "tables"}},
    Entry{{"net.inet.ip.fw.verbose", kWritable, "1: rules with `log` write log lines"}, &Sysctls::verbose},
    Entry{{"net.inet.ip.fw.verbose_limit", kWritable, "log limit of rules added without logamount"}, &Sysctls::verbose_limit},
    Entry{{"net.inet6.ip6.fw.deny_unknown_exthdrs", kWritable, "1: IPv6 packets with unknown extension headers are dropped"}, &Sysctls::deny_unknown_exthdrs},
    Entry{{"net.inet6.ip6.fw.enable", kWritable, "0: IPv6 packets pass without rules"}, &Sysctls::enable6},
    Entry{{"net.inet6.ip6.fw.permit_single_frag6", kWritable, "1: IPv6 packets that are one single fragment pass"}, &Sysctls::permit_single_frag6},
    Entry{{"net.link.bridge.ipfw", kNotYet, "the bridge always filters"}},
    Entry{{"net.link.ether.ipfw", kNotYet, "the layer-2 pass"}},
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
    if (entry.field != nullptr)
        return values.*entry.field;
    if (entry.name.name == kDefaultRule)
        return 65535;
    if (entry.name.name == kStaticCount)
        return facts.static_count;
    return facts.default_accept ? 1 : 0;
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

Result<Done> write_sysctl(Sysctls& values, std::string_view name, std::string_view value) {
    const Result<const Entry*> entry = find(name);
    if (!entry)
        return entry.error();
    if ((*entry)->name.kind == SysctlKind::read_only)
        return Error{ExitStatus::unavailable, "sysctl " + std::string(name) + " is read-only"};
    std::uint32_t number = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc{} || end != value.data() + value.size() || number > kMaximumValue)
        return Error{ExitStatus::data, "bad value for sysctl " + std::string(name) +
                                           ": expected a number from 0 to " +
                                           std::to_string(kMaximumValue)};
    const Field field = (*entry)->field;
    if (field == &Sysctls::autoinc_step)
        number = std::clamp(number, std::uint32_t{1}, kMaximumStep);
    values.*field = number;
    return Done{};
}

std::span<const SysctlName> sysctl_names() {
    return kNames;
}

}  // namespace sluice::ruleset
