// The words of the language. The parser, the printer, the suggestions and `ipfw -h` all read these
// tables; a word that is not in one of them does not exist.
//
// The first entry of a value is its canonical word, the one that is printed; later entries of the
// same value are aliases and have no help text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/language/model.h"

namespace sluice::language {

template <typename Value>
struct Keyword {
    std::string_view name;
    Value value;
    std::string_view arguments = {};
    std::string_view help = {};
};

template <typename Value>
const Keyword<Value>* find_keyword(std::span<const Keyword<Value>> table, std::string_view name) {
    for (const auto& keyword : table)
        if (keyword.name == name)
            return &keyword;
    return nullptr;
}

// The word that is printed for a value; empty when it has none.
template <typename Value>
std::string_view keyword_name(std::span<const Keyword<Value>> table, Value value) {
    for (const auto& keyword : table)
        if (keyword.value == value)
            return keyword.name;
    return {};
}

// How an option is read.
enum class Option {
    in,
    out,
    via,
    recv,
    xmit,
    established,
    setup,
    tcpflags,
    tcpoptions,
    tcpseq,
    tcpack,
    tcpwin,
    tcpmss,
    tcpdatalen,
    icmptypes,
    icmp6types,
    frag,
    ipoptions,
    iptos,
    dscp,
    ipprecedence,
    ipttl,
    ipid,
    iplen,
    ipversion,
    keep_state,
    record_state,
    limit,
    set_limit,
    defer_action,
    defer_immediate_action,
    expires,
    layer2,
    mac,
    mac_type,
    source_mac,
    destination_mac,
    uid,
    gid,
    jail,
    proto,
    ip4,
    ip6,
    source_ip,
    destination_ip,
    source_ip6,
    destination_ip6,
    source_port,
    destination_port,
    lookup,
    flow,
    flow_id,
    ext6hdr,
    fib,
    ipsec,
    sockarg,
    diverted,
    diverted_loopback,
    diverted_output,
    verrevpath,
    versrcreach,
    antispoof,
    tagged,
    mark,
    payload,
    http_host,
    http_uri,
    tls_sni,
    dns_qname
};

// What may stand between the action and the protocol.
enum class Modifier { log, altq, tag, untag };

enum class LogDestination { syslog, bpf, rtsock };

std::span<const Keyword<ActionKind>> action_keywords();
std::span<const Keyword<Modifier>> modifier_keywords();
std::span<const Keyword<Option>> option_keywords();
std::span<const Keyword<LogDestination>> log_destination_keywords();

// The bits of a FlagMatch.
std::span<const Keyword<std::uint8_t>> flag_keywords(FlagField field);

// Codes of `unreach` and `unreach6`, DSCP names, Ethernet types, fields of `lookup`.
std::span<const Keyword<std::uint32_t>> unreach_codes();
std::span<const Keyword<std::uint32_t>> unreach6_codes();
std::span<const Keyword<std::uint32_t>> dscp_names();
std::span<const Keyword<std::uint32_t>> ethernet_types();
std::span<const std::string_view> lookup_fields();

// Words that no host, service or interface may have for a name where a rule is read, because they
// have a meaning there: `from`, `to`, `or`, …, and all options.
bool is_reserved(std::string_view word);

// The nearest of `candidates`, if it is near enough to have been meant; else empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

template <typename Value>
std::string_view nearest_keyword(std::string_view word, std::span<const Keyword<Value>> table) {
    std::vector<std::string_view> names;
    for (const auto& keyword : table)
        names.push_back(keyword.name);
    return nearest(word, names);
}

}  // namespace sluice::language
