// The model of a rule: what ipfw text means, before anything is compiled.
//
// A rule is an action and a conjunction of groups; a group is a disjunction of terms ("or-block");
// a term is one match, possibly negated. That is exactly the expressive power of ipfw(8). The body
// (`proto from … to …`) is kept apart from the options because it is printed apart.
//
// Everything here is a plain value. Names have been resolved: hosts to addresses, services to
// ports, users to ids. Integers are in host byte order, addresses in network byte order.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/address.h"

namespace sluice::language {

inline constexpr std::uint16_t kDefaultRuleNumber = 65535;
inline constexpr unsigned kSetCount = 32;  // 0…31; set 31 survives a flush

// ---- Matches -----------------------------------------------------------------------------------

enum class Side { source, destination };

struct Ipv4Network {
    Ipv4 address;  // host bits cut
    Ipv4 mask;     // need not be contiguous
    bool operator==(const Ipv4Network&) const = default;
};

struct Ipv6Network {
    Ipv6 address;  // host bits cut
    Ipv6 mask;     // need not be contiguous
    bool operator==(const Ipv6Network&) const = default;
};

// `net/24{1,5-9}`: members are the set bits, counted from `base`. `length` is 24…32.
struct AddressSet {
    Ipv4 base;
    std::uint8_t length = 24;
    std::bitset<256> members;
    bool operator==(const AddressSet&) const = default;
};

// `table(NAME[,VALUE])`
struct TableReference {
    std::string name;
    std::optional<std::string> value;
    bool operator==(const TableReference&) const = default;
};

struct Any {
    bool operator==(const Any&) const = default;
};
struct Me {
    bool operator==(const Me&) const = default;
};
struct Me6 {
    bool operator==(const Me6&) const = default;
};

struct AddressMatch {
    Side side = Side::source;
    std::variant<Any, Me, Me6, std::vector<Ipv4Network>, std::vector<Ipv6Network>, AddressSet,
                 TableReference>
        what;
    bool operator==(const AddressMatch&) const = default;
};

// A port, a range of ports, or (the manual of 2003) `port:mask`.
struct PortEntry {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    std::optional<std::uint16_t> mask;  // then `first` is the value and `last` equals it
    bool operator==(const PortEntry&) const = default;
};

struct PortMatch {
    Side side = Side::source;
    std::vector<PortEntry> entries;
    bool operator==(const PortMatch&) const = default;
};

// `ip`/`all` is Any, `ip4` and `ip6` test the version, the rest the protocol number.
struct ProtocolMatch {
    enum class Kind { any, ip4, ip6, number } kind = Kind::any;
    std::uint8_t number = 0;
    bool operator==(const ProtocolMatch&) const = default;
};

struct DirectionMatch {
    enum class Direction { in, out } direction = Direction::in;
    bool operator==(const DirectionMatch&) const = default;
};

inline constexpr std::size_t kMaximumInterfaceNameLength = 31;

struct InterfaceName {
    std::string pattern;   // up to kMaximumInterfaceNameLength characters
    bool is_glob = false;  // fnmatch(3) characters *?[ in it
    bool operator==(const InterfaceName&) const = default;
};

struct InterfaceMatch {
    enum class Role { via, recv, xmit } role = Role::via;
    // Any is only kept inside an or-block; elsewhere `via any` is no test at all.
    std::variant<Any, InterfaceName, Ipv4, Ipv6, TableReference> what;
    bool operator==(const InterfaceMatch&) const = default;
};

// Tests of bits: all of `set` must be there, none of `clear`.
enum class FlagField { tcp_flags, tcp_options, ip_options, ip_tos, fragment, ext6hdr };

// The bits of each field; their words, in the order in which they are printed, are in keywords.cc.
namespace tcp_flag {  // as in the TCP header
inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32;
}
namespace tcp_option {
inline constexpr std::uint8_t mss = 1, window = 2, sack = 4, ts = 8, cc = 16;
}
namespace ip_option {
inline constexpr std::uint8_t lsrr = 1, ssrr = 2, rr = 4, ts = 8;
}
namespace ip_tos {  // as in the TOS byte
inline constexpr std::uint8_t congestion = 3, mincost = 2, reliability = 4, throughput = 8,
                              lowdelay = 16;
}
namespace fragment_flag {
inline constexpr std::uint8_t offset = 1, mf = 2, df = 4, rf = 8;
}
namespace ext6_header {
inline constexpr std::uint8_t frag = 1, hopopt = 2, route = 4, dstopt = 8, ah = 16, esp = 32,
                              rthdr0 = 64, rthdr2 = 128;
}

struct FlagMatch {
    FlagField field = FlagField::tcp_flags;
    std::uint8_t set = 0;
    std::uint8_t clear = 0;
    bool operator==(const FlagMatch&) const = default;
};

// Tests of a number against a list of values and ranges.
enum class ListField {
    ip_length,
    ip_id,
    ip_ttl,
    tcp_window,
    tcp_mss,
    tcp_data_length,
    tagged,
    mac_type,
    dscp,
    icmp_types,
    icmp6_types,
    flow_id
};

struct NumberRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool operator==(const NumberRange&) const = default;
};

struct ListMatch {
    ListField field = ListField::ip_length;
    std::vector<NumberRange> ranges;  // as typed; icmp types and dscp sorted and without doubles
    bool from_table = false;          // `tagged tablearg`
    bool operator==(const ListMatch&) const = default;
};

// Tests of a number against one value.
enum class NumberField {
    tcp_sequence,
    tcp_acknowledgement,
    ip_version,
    ip_precedence,
    fib,
    uid,
    gid,
    jail,
    mark
};

struct NumberMatch {
    NumberField field = NumberField::ip_version;
    std::uint32_t value = 0;
    std::uint32_t mask = 0xffffffff;  // only `mark` may have another one
    bool from_table = false;          // `mark tablearg`
    bool operator==(const NumberMatch&) const = default;
};

// `MAC dst src`; a mask of zeros is `any`.
struct MacMatch {
    MacAddress destination, destination_mask;
    MacAddress source, source_mask;
    bool operator==(const MacMatch&) const = default;
};

struct MacTableMatch {
    Side side = Side::source;
    TableReference table;
    bool operator==(const MacTableMatch&) const = default;
};

// Options without an argument.
enum class Flag {
    established,
    layer2,
    diverted,
    diverted_loopback,
    diverted_output,
    verrevpath,
    versrcreach,
    antispoof,
    ipsec,
    sockarg
};

struct SimpleMatch {
    Flag flag = Flag::established;
    bool operator==(const SimpleMatch&) const = default;
};

// `lookup FIELD[:MASK] TABLE`
struct LookupMatch {
    std::string field;
    std::optional<std::string> mask;
    TableReference table;
    bool operator==(const LookupMatch&) const = default;
};

// `flow table(T)`
struct FlowTableMatch {
    TableReference table;
    bool operator==(const FlowTableMatch&) const = default;
};

// What of a packet is looked at.
enum class PayloadPart {
    payload,  // all that is behind the header of the upper layer
    http_host,
    http_uri,
    tls_sni,
    dns_qname
};

// Parts that hold the name of a domain.
constexpr bool is_name(PayloadPart part) {
    return part == PayloadPart::http_host || part == PayloadPart::tls_sni ||
           part == PayloadPart::dns_qname;
}

// A pattern that stands in the rule: these bytes, or, of a part that is a name, this domain (in
// lower case) with all below it, or, behind a `=`, alone.
struct PayloadLiteral {
    std::string bytes;
    bool operator==(const PayloadLiteral&) const = default;
};

// `NAME[,VALUE]`: any pattern of an object, or only those with that value.
struct PatternReference {
    std::string name;
    std::optional<std::uint32_t> value;
    bool operator==(const PatternReference&) const = default;
};

// `payload "cmd.exe"`, `http-host blocked`
struct PayloadMatch {
    PayloadPart part = PayloadPart::payload;
    std::variant<PayloadLiteral, PatternReference> what;
    bool operator==(const PayloadMatch&) const = default;
};

using Match = std::variant<AddressMatch, PortMatch, ProtocolMatch, DirectionMatch, InterfaceMatch,
                           FlagMatch, ListMatch, NumberMatch, MacMatch, MacTableMatch, SimpleMatch,
                           LookupMatch, FlowTableMatch, PayloadMatch>;

struct Term {
    bool negated = false;
    Match match;
    bool operator==(const Term&) const = default;
};

// Matches if any of the terms does. In `options` never empty.
struct Group {
    std::vector<Term> any_of;
    bool operator==(const Group&) const = default;
};

// ---- Actions -----------------------------------------------------------------------------------

enum class ActionKind {
    allow,
    deny,
    reject,
    unreach,
    unreach6,
    reset,
    reset6,
    abort,
    abort6,
    count,
    check_state,
    skipto,
    call,
    return_,
    divert,
    tee,
    fwd,
    pipe,
    queue,
    netgraph,
    ngtee,
    nat,
    nat64lsn,
    nat64stl,
    nat64clat,
    nptv6,
    eaction,
    setfib,
    setdscp,
    tcp_setmss,
    setmark,
    reass
};

// A number written out, or taken from the last table look-up (`tablearg`).
struct Argument {
    bool from_table = false;
    std::uint32_t value = 0;
    bool operator==(const Argument&) const = default;
};

struct NextHop {
    std::variant<Ipv4, Ipv6, Any> address;  // Any stands for `tablearg`
    std::uint16_t port = 0;                 // 0: none given
    bool operator==(const NextHop&) const = default;
};

struct Action {
    ActionKind kind = ActionKind::count;
    Argument argument;       // code, port, rule number, pipe, fib, dscp, mark, mss
    std::uint16_t mtu = 0;   // `unreach needfrag MTU`
    std::string label = {};  // skipto and call: in place of the rule number
    std::string name;        // module of eaction; instance of nat64*, nptv6; `global` of nat;
                             // name of the states that check-state looks for ("" = any)
    std::string instance;    // instance of eaction
    NextHop next_hop;        // fwd
    bool operator==(const Action&) const = default;
};

// ---- Rule --------------------------------------------------------------------------------------

struct Log {
    std::optional<std::uint32_t> amount;    // none: verbose_limit at the time the rule is added
    std::vector<std::string> destinations;  // `logdst`
    bool operator==(const Log&) const = default;
};

struct StateOption {
    enum class Kind { keep_state, record_state, limit, set_limit } kind = Kind::keep_state;
    std::string name = "default";
    // limit and set-limit
    bool by_source = false, by_destination = false, by_source_port = false,
         by_destination_port = false;
    Argument limit;
    std::optional<std::uint32_t> lifetime_s;  // `keep-state lifetime N`, ours
    bool operator==(const StateOption&) const = default;
};

enum class Defer { none, action, immediate_action };

struct Tag {
    enum class Kind { tag, untag } kind = Kind::tag;
    Argument number;
    bool operator==(const Tag&) const = default;
};

// `proto from source [ports] to destination [ports]`. An empty group is `any` (`ip`).
struct Body {
    Group protocol;
    Group source;
    std::optional<Term> source_ports;  // holds a PortMatch
    Group destination;
    std::optional<Term> destination_ports;
    bool operator==(const Body&) const = default;
};

struct Rule {
    std::uint16_t number = 0;  // 0: to be given
    std::uint8_t set = 0;
    std::string label = {};             // `:NAME`, for skipto and call; ours
    std::optional<double> probability;  // 0 < p <= 1
    Action action;
    std::optional<Log> log;
    std::optional<std::string> altq;
    std::optional<Tag> tag;
    std::optional<Body> body;  // none: no `from … to …` was written
    std::vector<Group> options;
    std::optional<StateOption> state;
    Defer defer = Defer::none;
    std::optional<std::uint32_t> expires_s = {};  // since 1970, UTC; `expires 1h`, ours
    std::string comment;
    bool operator==(const Rule&) const = default;
};

}  // namespace sluice::language
