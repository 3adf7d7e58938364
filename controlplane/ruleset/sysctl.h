// The sysctls of ipfw(8) under their own names, as far as they travel with a ruleset.
//
// One table says for each name where its value lives and whether it may be written. Names that ipfw
// has and the appliance does not carry out yet are in the table too: they are refused with "not
// supported yet: …" (69) rather than called unknown (65).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::ruleset {

// What the data plane says about its states. All zero: there is none, or nobody knows.
struct StateFacts {
    std::uint32_t count = 0;         // states now, without parents
    std::uint32_t parent_count = 0;  // counting entries of `limit` now
    std::uint32_t buckets = 0;       // of the hash tables of all workers
    std::uint32_t capacity = 0;      // IPv4 states that there is memory for; bounds dyn_max
};

// What the read-only names tell.
struct SysctlFacts {
    bool default_accept = false;
    std::uint32_t static_count = 1;  // rules, with the default rule
    StateFacts states{};
};

struct SysctlValue {
    std::string name;
    std::uint32_t value = 0;
    bool operator==(const SysctlValue&) const = default;
};

// `verbose` alone is not a name; it is `net.inet.ip.fw.verbose`.
Result<std::uint32_t> read_sysctl(const contract::Sysctls& values, const SysctlFacts& facts,
                                  std::string_view name);

// All names that can be read, sorted.
std::vector<SysctlValue> all_sysctls(const contract::Sysctls& values, const SysctlFacts& facts);

// `value` is a decimal number. As in ipfw, autoinc_step is brought into 1…1000, lifetimes to at
// least 1, and those of fin and rst below the keepalive period. dyn_max has to be within
// `facts.capacity` if that is known.
Result<Done> write_sysctl(contract::Sysctls& values, std::string_view name, std::string_view value,
                          const StateFacts& facts = {});

enum class SysctlKind { writable, read_only, not_supported };

struct SysctlName {
    std::string_view name;
    SysctlKind kind;
    std::string_view help;
};

// The table, for documentation and tests; sorted by name.
std::span<const SysctlName> sysctl_names();

}  // namespace sluice::ruleset
