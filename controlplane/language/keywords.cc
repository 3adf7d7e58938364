#include "controlplane/language/keywords.h"

#include <algorithm>
#include <array>

namespace sluice::language {

namespace {

constexpr Keyword<ActionKind> kActions[] = {
    {"allow", ActionKind::allow, "", "let the packet pass; ends the search"},
    {"accept", ActionKind::allow},
    {"pass", ActionKind::allow},
    {"permit", ActionKind::allow},
    {"deny", ActionKind::deny, "", "discard the packet; ends the search"},
    {"drop", ActionKind::deny},
    {"reject", ActionKind::reject, "", "discard, answer ICMP host unreachable"},
    {"unreach", ActionKind::unreach, "CODE [MTU]", "discard, answer ICMP unreachable"},
    {"unreach6", ActionKind::unreach6, "CODE", "discard, answer ICMPv6 unreachable"},
    {"reset", ActionKind::reset, "", "discard, answer TCP reset"},
    {"reset6", ActionKind::reset6, "", "discard, answer TCP reset over IPv6"},
    {"abort", ActionKind::abort, "", "discard, answer SCTP abort"},
    {"abort6", ActionKind::abort6, "", "discard, answer SCTP abort over IPv6"},
    {"count", ActionKind::count, "", "count and go on"},
    {"check-state", ActionKind::check_state, "[:NAME|:any]", "look for a state of the packet"},
    {"skipto", ActionKind::skipto, "N|tablearg", "go on at rule N"},
    {"call", ActionKind::call, "N|tablearg", "go on at rule N until return"},
    {"return", ActionKind::return_, "", "go on after the rule that called"},
    {"divert", ActionKind::divert, "PORT|tablearg", "hand the packet to a divert port"},
    {"tee", ActionKind::tee, "PORT|tablearg", "copy to a divert port and go on"},
    {"fwd", ActionKind::fwd, "ADDR[,PORT]|tablearg", "change the next hop"},
    {"forward", ActionKind::fwd},
    {"pipe", ActionKind::pipe, "N|tablearg", "send through a dummynet pipe"},
    {"queue", ActionKind::queue, "N|tablearg", "send through a dummynet queue"},
    {"netgraph", ActionKind::netgraph, "COOKIE|tablearg", "hand to netgraph"},
    {"ngtee", ActionKind::ngtee, "COOKIE|tablearg", "copy to netgraph and go on"},
    {"nat", ActionKind::nat, "N|global|tablearg", "translate addresses"},
    {"nat64lsn", ActionKind::nat64lsn, "NAME", "stateful NAT64"},
    {"nat64stl", ActionKind::nat64stl, "NAME", "stateless NAT64"},
    {"nat64clat", ActionKind::nat64clat, "NAME", "464XLAT, the customer's side"},
    {"nptv6", ActionKind::nptv6, "NAME", "IPv6 prefix translation"},
    {"eaction", ActionKind::eaction, "MODULE [INSTANCE]", "an external action"},
    {"setfib", ActionKind::setfib, "N|tablearg", "choose a routing table and go on"},
    {"setdscp", ActionKind::setdscp, "DSCP|tablearg", "set the DSCP and go on"},
    {"tcp-setmss", ActionKind::tcp_setmss, "N", "lower the MSS of a SYN and go on"},
    {"setmark", ActionKind::setmark, "VALUE|tablearg", "mark the packet and go on"},
    {"reass", ActionKind::reass, "", "reassemble and go on with the whole packet"},
};

constexpr Keyword<Modifier> kModifiers[] = {
    {"log", Modifier::log, "[logamount N] [logdst DST,…]", "write a line for each match"},
    {"altq", Modifier::altq, "QUEUE", "choose an ALTQ queue"},
    {"tag", Modifier::tag, "N|tablearg", "put a tag on the packet"},
    {"untag", Modifier::untag, "N|tablearg", "take a tag off the packet"},
};

constexpr Keyword<LogDestination> kLogDestinations[] = {
    {"syslog", LogDestination::syslog},
    {"bpf", LogDestination::bpf},
    {"rtsock", LogDestination::rtsock},
};

constexpr Keyword<Option> kOptions[] = {
    {"in", Option::in, "", "incoming packets"},
    {"out", Option::out, "", "outgoing packets"},
    {"via", Option::via, "IF|IF*|ADDR|any|table(T[,V])", "interface the packet goes through"},
    {"recv", Option::recv, "IF|IF*|ADDR|any|table(T[,V])", "interface it came by"},
    {"xmit", Option::xmit, "IF|IF*|ADDR|any|table(T[,V])", "interface it leaves by"},
    {"established", Option::established, "", "TCP, but not a first SYN"},
    {"estab", Option::established},
    {"setup", Option::setup, "", "TCP with SYN and without ACK"},
    {"tcpflags", Option::tcpflags, "syn,!fin,ack,psh,rst,urg", "TCP flags"},
    {"tcpflgs", Option::tcpflags},
    {"tcpoptions", Option::tcpoptions, "mss,!window,sack,ts,cc", "TCP options"},
    {"tcpopts", Option::tcpoptions},
    {"tcpseq", Option::tcpseq, "N", "TCP sequence number"},
    {"tcpack", Option::tcpack, "N", "TCP acknowledgement number"},
    {"tcpwin", Option::tcpwin, "LIST", "TCP window"},
    {"tcpmss", Option::tcpmss, "LIST", "MSS option of a SYN"},
    {"tcpdatalen", Option::tcpdatalen, "LIST", "bytes after the TCP header"},
    {"icmptypes", Option::icmptypes, "LIST", "ICMP types"},
    {"icmptype", Option::icmptypes},
    {"icmp6types", Option::icmp6types, "LIST", "ICMPv6 types"},
    {"icmp6type", Option::icmp6types},
    {"frag", Option::frag, "[df,!mf,rf,offset]", "fragments, but not the first"},
    {"fragment", Option::frag},
    {"ipoptions", Option::ipoptions, "ssrr,!lsrr,rr,ts", "IP options"},
    {"ipopts", Option::ipoptions},
    {"ipopt", Option::ipoptions},
    {"iptos", Option::iptos, "lowdelay,!throughput,…", "bits of the TOS byte"},
    {"dscp", Option::dscp, "LIST", "differentiated services code points"},
    {"ipprecedence", Option::ipprecedence, "N", "precedence, 0-7"},
    {"ipttl", Option::ipttl, "LIST", "time to live"},
    {"ipid", Option::ipid, "LIST", "IP identification"},
    {"iplen", Option::iplen, "LIST", "length of the IP packet"},
    {"ipver", Option::ipversion, "N", "version of IP"},
    {"ipversion", Option::ipversion},
    {"keep-state", Option::keep_state, "[:NAME] [lifetime N]", "let the flow pass from now on"},
    {"record-state", Option::record_state, "[:NAME]", "the same, without looking first"},
    {"limit", Option::limit, "KEYS N [:NAME]", "keep-state for at most N flows"},
    {"set-limit", Option::set_limit, "KEYS N [:NAME]", "limit, without looking first"},
    {"defer-action", Option::defer_action, "", "make the state, do not act yet"},
    {"skip-action", Option::defer_action},
    {"defer-immediate-action", Option::defer_immediate_action, "",
     "the same, also for packets of a state that is there"},
    {"expires", Option::expires, "1h30m|2026-12-31T23:59Z", "the rule ends then"},
    {"defer-immed-action", Option::defer_immediate_action},
    {"skip-immediate-action", Option::defer_immediate_action},
    {"skip-immed-action", Option::defer_immediate_action},
    {"layer2", Option::layer2, "", "frames seen at layer 2"},
    {"bridged", Option::layer2},
    {"MAC", Option::mac, "DST SRC", "MAC addresses, destination first"},
    {"mac", Option::mac},
    {"mac-type", Option::mac_type, "LIST", "Ethernet types"},
    {"src-mac", Option::source_mac, "table(T[,V])", "source MAC address in a table"},
    {"dst-mac", Option::destination_mac, "table(T[,V])", "destination MAC address in a table"},
    {"uid", Option::uid, "USER", "owner of the local socket"},
    {"gid", Option::gid, "GROUP", "group of the local socket"},
    {"jail", Option::jail, "N", "jail of the local socket"},
    {"proto", Option::proto, "PROTO", "protocol"},
    {"ip4", Option::ip4, "", "IPv4 packets"},
    {"ipv4", Option::ip4},
    {"ip6", Option::ip6, "", "IPv6 packets"},
    {"ipv6", Option::ip6},
    {"src-ip", Option::source_ip, "ADDR", "source address"},
    {"dst-ip", Option::destination_ip, "ADDR", "destination address"},
    {"src-ip6", Option::source_ip6, "ADDR", "IPv6 source address"},
    {"src-ipv6", Option::source_ip6},
    {"dst-ip6", Option::destination_ip6, "ADDR", "IPv6 destination address"},
    {"dst-ipv6", Option::destination_ip6},
    {"src-port", Option::source_port, "PORTS", "source ports"},
    {"dst-port", Option::destination_port, "PORTS", "destination ports"},
    {"lookup", Option::lookup, "FIELD[:MASK] T", "search a field in a table"},
    {"flow", Option::flow, "table(T[,V])", "search the flow in a table"},
    {"flow-id", Option::flow_id, "LIST", "IPv6 flow labels"},
    {"ext6hdr", Option::ext6hdr, "frag,hopopt,route,…", "IPv6 extension headers"},
    {"fib", Option::fib, "N", "routing table of the packet"},
    {"ipsec", Option::ipsec, "", "packets that came out of IPsec"},
    {"sockarg", Option::sockarg, "", "set tablearg from the local socket"},
    {"diverted", Option::diverted, "", "packets that came back from a divert port"},
    {"diverted-loopback", Option::diverted_loopback, "", "the same, incoming"},
    {"diverted-output", Option::diverted_output, "", "the same, outgoing"},
    {"verrevpath", Option::verrevpath, "", "the route back leaves by the receiving interface"},
    {"versrcreach", Option::versrcreach, "", "there is a route to the source"},
    {"antispoof", Option::antispoof, "", "a connected source came by its own interface"},
    {"tagged", Option::tagged, "LIST|tablearg", "packets with one of the tags"},
    {"mark", Option::mark, "VALUE[:MASK]|tablearg", "packets with the mark"},
    {"payload", Option::payload, "NAME[,VALUE]|\"TEXT\"", "what the packet carries"},
    {"http-host", Option::http_host, "NAME[,VALUE]|\"DOMAIN\"", "host of an HTTP request"},
    {"http-uri", Option::http_uri, "NAME[,VALUE]|\"TEXT\"", "target of an HTTP request"},
    {"tls-sni", Option::tls_sni, "NAME[,VALUE]|\"DOMAIN\"", "server name that TLS asks for"},
    {"dns-qname", Option::dns_qname, "NAME[,VALUE]|\"DOMAIN\"", "name that a DNS query asks for"},
};

constexpr Keyword<std::uint8_t> kTcpFlags[] = {
    {"syn", tcp_flag::syn}, {"fin", tcp_flag::fin}, {"ack", tcp_flag::ack},
    {"psh", tcp_flag::psh}, {"rst", tcp_flag::rst}, {"urg", tcp_flag::urg},
};

constexpr Keyword<std::uint8_t> kTcpOptions[] = {
    {"mss", tcp_option::mss},   {"maxseg", tcp_option::mss}, {"window", tcp_option::window},
    {"sack", tcp_option::sack}, {"ts", tcp_option::ts},      {"timestamp", tcp_option::ts},
    {"cc", tcp_option::cc},
};

constexpr Keyword<std::uint8_t> kIpOptions[] = {
    {"ssrr", ip_option::ssrr},
    {"lsrr", ip_option::lsrr},
    {"rr", ip_option::rr},
    {"ts", ip_option::ts},
};

// `congestion` is both bits of ECN and so includes the bit of `mincost`: reading it and printing
// gives `mincost,congestion`, as ipfw does.
constexpr Keyword<std::uint8_t> kIpTos[] = {
    {"lowdelay", ip_tos::lowdelay},       {"throughput", ip_tos::throughput},
    {"reliability", ip_tos::reliability}, {"mincost", ip_tos::mincost},
    {"congestion", ip_tos::congestion},   {"ecntransport", ip_tos::mincost},
};

constexpr Keyword<std::uint8_t> kFragmentFlags[] = {
    {"rf", fragment_flag::rf},
    {"df", fragment_flag::df},
    {"mf", fragment_flag::mf},
    {"offset", fragment_flag::offset},
};

constexpr Keyword<std::uint8_t> kExtensionHeaders[] = {
    {"frag", ext6_header::frag},     {"hopopt", ext6_header::hopopt}, {"route", ext6_header::route},
    {"dstopt", ext6_header::dstopt}, {"ah", ext6_header::ah},         {"esp", ext6_header::esp},
    {"rthdr0", ext6_header::rthdr0}, {"rthdr2", ext6_header::rthdr2},
};

constexpr Keyword<std::uint32_t> kUnreachCodes[] = {
    {"net", 0},      {"host", 1},           {"protocol", 2},         {"port", 3},
    {"needfrag", 4}, {"srcfail", 5},        {"net-unknown", 6},      {"host-unknown", 7},
    {"isolated", 8}, {"net-prohib", 9},     {"host-prohib", 10},     {"tosnet", 11},
    {"toshost", 12}, {"filter-prohib", 13}, {"host-precedence", 14}, {"precedence-cutoff", 15},
};

constexpr Keyword<std::uint32_t> kUnreach6Codes[] = {
    {"no-route", 0},
    {"admin-prohib", 1},
    {"address", 3},
    {"port", 4},
};

constexpr Keyword<std::uint32_t> kDscpNames[] = {
    {"be", 0},    {"cs0", 0},   {"cs1", 8},   {"af11", 10}, {"af12", 12}, {"af13", 14},
    {"cs2", 16},  {"af21", 18}, {"af22", 20}, {"af23", 22}, {"cs3", 24},  {"af31", 26},
    {"af32", 28}, {"af33", 30}, {"cs4", 32},  {"af41", 34}, {"af42", 36}, {"af43", 38},
    {"cs5", 40},  {"va", 44},   {"ef", 46},   {"cs6", 48},  {"cs7", 56},
};

constexpr Keyword<std::uint32_t> kEthernetTypes[] = {
    {"ip", 0x0800},         {"ipv4", 0x0800},     {"ipv6", 0x86dd},     {"arp", 0x0806},
    {"rarp", 0x8035},       {"vlan", 0x8100},     {"loop", 0x9000},     {"trail", 0x1000},
    {"at", 0x809b},         {"atalk", 0x809b},    {"aarp", 0x80f3},     {"pppoe_disc", 0x8863},
    {"pppoe_sess", 0x8864}, {"ipx_8022", 0x00e0}, {"ipx_8023", 0x0000}, {"ipx_ii", 0x8137},
    {"ipx_snap", 0x8137},   {"ipx", 0x8137},      {"ns", 0x0600},
};

constexpr std::string_view kLookupFields[] = {
    "dst-ip",  "src-ip",  "dst-ip4", "src-ip4", "dst-ip6", "src-ip6", "dst-port", "src-port",
    "dst-mac", "src-mac", "dscp",    "jail",    "uid",     "mark",    "rulenum",
};

constexpr std::string_view kReserved[] = {
    "from", "to", "or", "|", "not", "!", "{", "}", "(", ")", "any", "me", "me6", "tablearg",
};

// Optimal string alignment: insertions, deletions, replacements, neighbours swapped.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
    }
    return last[b.size()];
}

std::string lowered(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return result;
}

}  // namespace

std::span<const Keyword<ActionKind>> action_keywords() {
    return kActions;
}
std::span<const Keyword<Modifier>> modifier_keywords() {
    return kModifiers;
}
std::span<const Keyword<Option>> option_keywords() {
    return kOptions;
}
std::span<const Keyword<LogDestination>> log_destination_keywords() {
    return kLogDestinations;
}
std::span<const Keyword<std::uint32_t>> unreach_codes() {
    return kUnreachCodes;
}
std::span<const Keyword<std::uint32_t>> unreach6_codes() {
    return kUnreach6Codes;
}
std::span<const Keyword<std::uint32_t>> dscp_names() {
    return kDscpNames;
}
std::span<const Keyword<std::uint32_t>> ethernet_types() {
    return kEthernetTypes;
}
std::span<const std::string_view> lookup_fields() {
    return kLookupFields;
}

std::span<const Keyword<std::uint8_t>> flag_keywords(FlagField field) {
    switch (field) {
        case FlagField::tcp_flags:
            return kTcpFlags;
        case FlagField::tcp_options:
            return kTcpOptions;
        case FlagField::ip_options:
            return kIpOptions;
        case FlagField::ip_tos:
            return kIpTos;
        case FlagField::fragment:
            return kFragmentFlags;
        case FlagField::ext6hdr:
            return kExtensionHeaders;
    }
    return {};
}

bool is_reserved(std::string_view word) {
    // Most words that are asked about are ports, and none of ours begins like them.
    if (!word.empty() && word.front() >= '0' && word.front() <= '9')
        return false;
    return word.starts_with("//") ||
           std::find(std::begin(kReserved), std::end(kReserved), word) != std::end(kReserved) ||
           find_keyword(option_keywords(), word) != nullptr;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    constexpr std::size_t kLongestWord = 32;  // longer than any of ours; bounds the work
    if (word.size() < 2 || word.size() > kLongestWord)
        return {};
    std::string wanted = lowered(word);
    // One mistake in a short word, two in a longer one.
    std::size_t limit = wanted.size() <= 4 ? 1 : 2;
    std::string_view best;
    for (std::string_view candidate : candidates) {
        if (candidate.size() < 2)
            continue;
        std::size_t distance = edit_distance(wanted, lowered(candidate));
        if (distance <= limit && (best.empty() || distance < edit_distance(wanted, lowered(best))))
            best = candidate;
    }
    if (!best.empty())
        return best;
    // A beginning of exactly one word.
    constexpr std::size_t kShortestBeginning = 3;
    if (wanted.size() < kShortestBeginning)
        return {};
    for (std::string_view candidate : candidates)
        if (lowered(candidate).starts_with(wanted)) {
            if (!best.empty())
                return {};
            best = candidate;
        }
    return best;
}

}  // namespace sluice::language
