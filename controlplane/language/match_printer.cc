// The options of a rule as text.
#include <cstdio>

#include "controlplane/language/quoted_text.h"
#include "controlplane/language/rule_printer.h"

namespace sluice::language {

std::string hexadecimal(std::uint32_t value, int width) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%0*x", width, value);
    return text;
}

std::string table_text(const TableReference& table) {
    return "table(" + table.name + (table.value ? "," + *table.value : "") + ")";
}

std::string RulePrinter::match(const AddressMatch& match) {
    bool ipv6 = std::holds_alternative<Me6>(match.what) ||
                std::holds_alternative<std::vector<Ipv6Network>>(match.what);
    return std::string(match.side == Side::source ? "src-ip" : "dst-ip") + (ipv6 ? "6 " : " ") +
           address(match);
}

std::string RulePrinter::match(const PortMatch& match) {
    return (match.side == Side::source ? "src-port " : "dst-port ") + ports(match);
}

std::string RulePrinter::match(const ProtocolMatch& match) {
    bool version = match.kind == ProtocolMatch::Kind::ip4 || match.kind == ProtocolMatch::Kind::ip6;
    // Without a body a bare `ip6` would be read as the protocol of one.
    return (version && has_body_ ? "" : "proto ") + protocol(match);
}

std::string RulePrinter::match(const DirectionMatch& match) {
    return match.direction == DirectionMatch::Direction::in ? "in" : "out";
}

std::string RulePrinter::match(const InterfaceMatch& match) {
    std::string text;
    switch (match.role) {
        case InterfaceMatch::Role::via:
            text = "via ";
            break;
        case InterfaceMatch::Role::recv:
            text = "recv ";
            break;
        case InterfaceMatch::Role::xmit:
            text = "xmit ";
            break;
    }
    struct Visitor {
        std::string operator()(const Any&) { return "any"; }
        std::string operator()(const InterfaceName& name) { return name.pattern; }
        std::string operator()(const Ipv4& address) { return to_string(address); }
        std::string operator()(const Ipv6& address) { return to_string(address); }
        std::string operator()(const TableReference& table) { return table_text(table); }
    };
    return text + std::visit(Visitor{}, match.what);
}

namespace {

std::string_view flag_option_name(FlagField field) {
    switch (field) {
        case FlagField::tcp_flags:
            return "tcpflags";
        case FlagField::tcp_options:
            return "tcpoptions";
        case FlagField::ip_options:
            return "ipoptions";
        case FlagField::ip_tos:
            return "iptos";
        case FlagField::fragment:
            return "frag";
        case FlagField::ext6hdr:
            return "ext6hdr";
    }
    return {};
}

}  // namespace

std::string RulePrinter::match(const FlagMatch& match) {
    if (match.field == FlagField::tcp_flags && match.set == tcp_flag::syn &&
        match.clear == tcp_flag::ack)
        return "setup";
    std::string text(flag_option_name(match.field));
    if (match.field == FlagField::fragment && match.set == fragment_flag::offset &&
        match.clear == 0)
        return text;
    std::span<const Keyword<std::uint8_t>> names = flag_keywords(match.field);
    std::string list;
    for (const auto& flag : names) {
        if (keyword_name(names, flag.value) != flag.name)
            continue;
        if ((match.set & flag.value) == flag.value)
            list += (list.empty() ? "" : ",") + std::string(flag.name);
        if ((match.clear & flag.value) == flag.value)
            list += (list.empty() ? "!" : ",!") + std::string(flag.name);
    }
    return text + " " + list;
}

namespace {

std::string_view list_option_name(ListField field) {
    switch (field) {
        case ListField::ip_length:
            return "iplen";
        case ListField::ip_id:
            return "ipid";
        case ListField::ip_ttl:
            return "ipttl";
        case ListField::tcp_window:
            return "tcpwin";
        case ListField::tcp_mss:
            return "tcpmss";
        case ListField::tcp_data_length:
            return "tcpdatalen";
        case ListField::tagged:
            return "tagged";
        case ListField::mac_type:
            return "mac-type";
        case ListField::dscp:
            return "dscp";
        case ListField::icmp_types:
            return "icmptypes";
        case ListField::icmp6_types:
            return "icmp6types";
        case ListField::flow_id:
            return "flow-id";
    }
    return {};
}

}  // namespace

std::string RulePrinter::match(const ListMatch& match) {
    std::string text = std::string(list_option_name(match.field)) + " ";
    if (match.from_table)
        return text + "tablearg";
    auto value = [&](std::uint32_t number) {
        if (match.field == ListField::dscp)
            if (auto name = keyword_name(dscp_names(), number); !name.empty())
                return std::string(name);
        if (match.field == ListField::mac_type) {
            if (options_.resolve_names)
                if (auto name = keyword_name(ethernet_types(), number); !name.empty())
                    return std::string(name);
            return hexadecimal(number, 4);
        }
        return std::to_string(number);
    };
    for (std::size_t i = 0; i < match.ranges.size(); ++i) {
        const NumberRange& range = match.ranges[i];
        text += (i == 0 ? "" : ",") + value(range.first);
        if (range.last != range.first)
            text += "-" + value(range.last);
    }
    return text;
}

std::string RulePrinter::match(const NumberMatch& match) {
    std::string number = std::to_string(match.value);
    switch (match.field) {
        case NumberField::tcp_sequence:
            return "tcpseq " + number;
        case NumberField::tcp_acknowledgement:
            return "tcpack " + number;
        case NumberField::ip_version:
            return "ipver " + number;
        case NumberField::ip_precedence:
            return "ipprecedence " + number;
        case NumberField::fib:
            return "fib " + number;
        case NumberField::jail:
            return "jail " + number;
        case NumberField::uid:
            if (match.value == 0)
                return "uid root";
            if (options_.resolver != nullptr)
                number = options_.resolver->user_name(match.value).value_or(number);
            return "uid " + number;
        case NumberField::gid:
            if (options_.resolver != nullptr)
                number = options_.resolver->group_name(match.value).value_or(number);
            return "gid " + number;
        case NumberField::mark:
            break;
    }
    std::string text = "mark " + (match.from_table ? "tablearg" : hexadecimal(match.value));
    return match.mask == UINT32_MAX ? text : text + ":" + hexadecimal(match.mask);
}

namespace {

std::string mac_text(const MacAddress& address, const MacAddress& mask) {
    unsigned length = 0;
    while (length < 48 && (mask.bytes[length / 8] >> (7 - length % 8) & 1) != 0)
        ++length;
    for (unsigned i = length; i < 48; ++i)
        if ((mask.bytes[i / 8] >> (7 - i % 8) & 1) != 0)
            return to_string(address) + "&" + to_string(mask);
    if (length == 0)
        return "any";
    return length == 48 ? to_string(address) : to_string(address) + "/" + std::to_string(length);
}

}  // namespace

std::string RulePrinter::match(const MacMatch& match) {
    return "MAC " + mac_text(match.destination, match.destination_mask) + " " +
           mac_text(match.source, match.source_mask);
}

std::string RulePrinter::match(const MacTableMatch& match) {
    return (match.side == Side::source ? "src-mac " : "dst-mac ") + table_text(match.table);
}

std::string RulePrinter::match(const SimpleMatch& match) {
    switch (match.flag) {
        case Flag::established:
            return "established";
        case Flag::layer2:
            return "layer2";
        case Flag::diverted:
            return "diverted";
        case Flag::diverted_loopback:
            return "diverted-loopback";
        case Flag::diverted_output:
            return "diverted-output";
        case Flag::verrevpath:
            return "verrevpath";
        case Flag::versrcreach:
            return "versrcreach";
        case Flag::antispoof:
            return "antispoof";
        case Flag::ipsec:
            return "ipsec";
        case Flag::sockarg:
            return "sockarg";
    }
    return {};
}

std::string RulePrinter::match(const LookupMatch& match) {
    return "lookup " + match.field + (match.mask ? ":" + *match.mask : "") + " " + match.table.name;
}

std::string RulePrinter::match(const FlowTableMatch& match) {
    return "flow " + table_text(match.table);
}

namespace {

std::string_view payload_option_name(PayloadPart part) {
    switch (part) {
        case PayloadPart::payload:
            return "payload";
        case PayloadPart::http_host:
            return "http-host";
        case PayloadPart::http_uri:
            return "http-uri";
        case PayloadPart::tls_sni:
            return "tls-sni";
        case PayloadPart::dns_qname:
            return "dns-qname";
    }
    return {};
}

}  // namespace

std::string RulePrinter::match(const PayloadMatch& match) {
    const std::string option = std::string(payload_option_name(match.part)) + " ";
    if (const auto* literal = std::get_if<PayloadLiteral>(&match.what))
        return option + quoted_text(literal->bytes);
    const auto& reference = std::get<PatternReference>(match.what);
    return option + reference.name +
           (reference.value ? "," + std::to_string(*reference.value) : "");
}

std::string RulePrinter::term(const Term& term) {
    return (term.negated ? "not " : "") +
           std::visit([this](const auto& value) { return match(value); }, term.match);
}

}  // namespace sluice::language
