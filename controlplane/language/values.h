// One word → one value: numbers, lists, ports, addresses, tables, MAC addresses, flags.
//
// These functions know nothing of rules. An error names the offset in the word where it is, so that
// the caller can turn it into a column. Nothing is cut to size: what does not fit is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "controlplane/language/keywords.h"
#include "controlplane/language/model.h"
#include "controlplane/language/names.h"
#include "controlplane/language/parse_error.h"

namespace sluice::language {

struct ValueError {
    ExitStatus status = ExitStatus::data;
    std::size_t offset = 0;
    std::string message;
    std::string suggestion = {};
};

template <typename T>
using Value = Result<T, ValueError>;

inline constexpr std::size_t kMaximumListEntries = 62;  // of a port or number list, as in ipfw
inline constexpr std::size_t kUnlimited = SIZE_MAX;     // of lists that are kept as bits
inline constexpr std::size_t kMaximumNameLength = 63;   // tables, states, instances

// Decimal, or hexadecimal with 0x. A leading zero is taken as decimal when `leading_zeros` (rule
// numbers are written 00100), else refused, for other tools read octal there.
std::optional<std::uint64_t> parse_integer(std::string_view text, bool leading_zeros = false);

// `what` is how the number is called in the message: "ICMP type".
Value<std::uint32_t> parse_number(std::string_view text, std::uint32_t minimum,
                                  std::uint32_t maximum, std::string_view what);

// How the entries of a number list are read.
struct ListRules {
    std::string_view what;
    std::uint32_t minimum = 0;
    std::uint32_t maximum = 65535;
    bool ranges = true;
    std::span<const Keyword<std::uint32_t>> names = {};
    bool sorted_values = false;  // ranges are taken apart, values sorted and without doubles
    // Where the values are kept as bits, a few ranges may print as many entries, which must be read
    // back: there any number of them fits.
    std::size_t maximum_entries = kMaximumListEntries;
};

const ListRules& list_rules(ListField field);

Value<std::vector<NumberRange>> parse_list(std::string_view text, const ListRules& rules);

// `protocol` is the protocol whose services are meant, or empty.
Value<std::vector<PortEntry>> parse_ports(std::string_view text, std::string_view protocol);

// Whether a word in the place of ports is meant to be ports: it begins with a digit, or the part
// before the first separator is a service.
bool looks_like_ports(std::string_view text, std::string_view protocol);

// A service, or a port number 1…65535.
Value<std::uint32_t> parse_divert_port(std::string_view text);

using Address = decltype(AddressMatch::what);

// any, me, me6, hosts, networks, lists, sets, tables.
// Names are looked up as those of hosts of `family`.
Value<Address> parse_address(std::string_view text, AddressFamily family,
                             const NameResolver& resolver);

// `table(NAME[,VALUE])`; none when the text does not begin with `table(`.
std::optional<Value<TableReference>> parse_table_reference(std::string_view text);

// Letters, digits, `_`, `-` and `.`, at most kMaximumNameLength.
bool is_valid_name(std::string_view text);

// `1.2.3.4`, `2001:db8::1` or the name of a host that has an address of `family`. An address that
// is written out is taken whatever the family is.
Value<HostAddress> parse_host(std::string_view text, AddressFamily family,
                              const NameResolver& resolver);

struct MacAndMask {
    MacAddress address, mask;
};

// `any`, `00:11:22:33:44:55`, `…/24`, `…&ff:ff:ff:00:00:00`
Value<MacAndMask> parse_mac_and_mask(std::string_view text);

struct FlagBits {
    std::uint8_t set = 0;
    std::uint8_t clear = 0;
};

// `syn,!ack`
Value<FlagBits> parse_flags(std::string_view text, FlagField field);

// 1.2.3.4, also 1.2.3 and 0xffffff00 as inet_aton reads them, for masks.
std::optional<Ipv4> parse_ipv4_mask(std::string_view text);

}  // namespace sluice::language
