// The options of a rule.
#include <algorithm>

#include "controlplane/language/expiry.h"
#include "controlplane/language/rule_reader.h"

namespace sluice::language {

namespace {

bool is_state(Option option) {
    return option == Option::keep_state || option == Option::record_state ||
           option == Option::limit || option == Option::set_limit;
}

bool is_defer(Option option) {
    return option == Option::defer_action || option == Option::defer_immediate_action;
}

bool is_interface_any(const Match& match) {
    const auto* interface = std::get_if<InterfaceMatch>(&match);
    return interface != nullptr && std::holds_alternative<Any>(interface->what);
}

// A match that holds for every packet, so that it is no test at all.
bool matches_all(const Match& match) {
    if (is_interface_any(match))
        return true;
    if (const auto* protocol = std::get_if<ProtocolMatch>(&match))
        return protocol->kind == ProtocolMatch::Kind::any;
    if (const auto* address = std::get_if<AddressMatch>(&match))
        return std::holds_alternative<Any>(address->what);
    return false;
}

}  // namespace

bool RuleReader::read_options() {
    while (!cursor_.at_end() && !at_comment()) {
        Group group;
        bool read = read_block([&](bool in_block) {
            bool negated = false;
            if (!read_not(negated))
                return false;
            const auto* keyword = find_keyword(option_keywords(), cursor_.word());
            if (keyword == nullptr)
                return fail_unknown_option();
            if (is_state(keyword->value) || is_defer(keyword->value))
                return read_state(keyword->value, negated, in_block);
            if (keyword->value == Option::expires)
                return read_expiry(negated, in_block);
            std::optional<Term> term;
            if (!read_option(term, negated, in_block))
                return false;
            if (term)
                group.any_of.push_back(std::move(*term));
            return true;
        });
        if (!read)
            return false;
        if (!group.any_of.empty())
            rule_.options.push_back(std::move(group));
    }
    if (rule_.defer != Defer::none && !rule_.state)
        return cursor_.fail(ExitStatus::usage,
                            "defer-action needs keep-state, record-state, limit or set-limit");
    return true;
}

bool RuleReader::fail_unknown_option() {
    std::string_view word = cursor_.word();
    if (cursor_.at_end())
        return cursor_.fail_missing("option");
    if (is_or(word))
        return cursor_.fail(ExitStatus::usage, "\"or\" outside of a block; write { A or B }");
    if (is_closing(word))
        return cursor_.fail(ExitStatus::usage,
                            "found " + quote(word) + " without an opening \"{\"");
    std::string suggestion(nearest_keyword(word, option_keywords()));
    std::string message = "unknown option " + quote(word);
    if (suggestion.empty() && protocol_of(word, true) && (word.front() < '0' || word.front() > '9'))
        suggestion = "proto " + std::string(word);
    if (find_keyword(modifier_keywords(), word) != nullptr) {
        message = quote(word) + " stands between the action and the protocol";
        suggestion.clear();
    }
    // A service name whose dash was not escaped is the likeliest word in this place.
    if (suggestion.empty() && word.find('-') != word.npos &&
        NameDatabase::instance().service(word)) {
        for (char c : word)
            suggestion += c == '-' ? std::string("\\-") : std::string(1, c);
    }
    return cursor_.fail(ExitStatus::usage, message + "; expected an option or the end of the rule",
                        suggestion);
}

bool RuleReader::read_state_name(std::string& name) {
    if (!cursor_.word().starts_with(':'))
        return true;
    std::string_view text = cursor_.word().substr(1);
    if (!is_valid_name(text) || text == "any")
        return cursor_.fail(ExitStatus::data,
                            "bad state name " + quote(text) +
                                "; expected letters, digits, \"_\", \"-\" or \".\", at most 63 of "
                                "them, and not \"any\"",
                            {}, 1);
    name = text;
    cursor_.advance();
    return true;
}

bool RuleReader::read_limit(StateOption& state) {
    std::uint8_t keys = 0;
    while (at_argument()) {
        std::string_view word = cursor_.word();
        if (word == "tablearg" || (word.front() >= '0' && word.front() <= '9'))
            break;
        for (std::size_t start = 0; start <= word.size();) {
            std::size_t end = std::min(word.find(',', start), word.size());
            std::string_view name = word.substr(start, end - start);
            const auto* key = find_keyword(kLimitKeyTable, name);
            if (key == nullptr)
                return cursor_.fail(
                    keys == 0 ? ExitStatus::usage : ExitStatus::data,
                    "unknown key " + quote(name) +
                        " of limit; expected src-addr, src-port, dst-addr, dst-port or a number",
                    std::string(nearest_keyword(name, kLimitKeyTable)), start);
            keys |= key->value;
            start = end + 1;
        }
        cursor_.advance();
    }
    if (keys == 0)
        return cursor_.fail_missing("key of the limit (src-addr, src-port, dst-addr or dst-port)");
    state.by_source = (keys & 1) != 0;
    state.by_source_port = (keys & 2) != 0;
    state.by_destination = (keys & 4) != 0;
    state.by_destination_port = (keys & 8) != 0;
    return read_argument(state.limit, {"limit"});
}

bool RuleReader::read_state(Option option, bool negated, bool in_block) {
    std::string_view word = cursor_.word();
    if (in_block)
        return cursor_.fail(ExitStatus::usage, quote(word) + " cannot be part of an or-block");
    if (negated)
        return cursor_.fail(ExitStatus::usage, "\"not " + std::string(word) + "\" is not allowed");
    if (is_defer(option)) {
        if (rule_.defer != Defer::none)
            return cursor_.fail(ExitStatus::usage,
                                "only one of defer-action and defer-immediate-action is allowed");
        rule_.defer = option == Option::defer_action ? Defer::action : Defer::immediate_action;
        cursor_.advance();
        return true;
    }
    if (rule_.state)
        return cursor_.fail(ExitStatus::usage,
                            "only one of keep-state, record-state, limit and set-limit is allowed");
    cursor_.advance();
    StateOption state;
    switch (option) {
        case Option::record_state:
            state.kind = StateOption::Kind::record_state;
            break;
        case Option::limit:
            state.kind = StateOption::Kind::limit;
            break;
        case Option::set_limit:
            state.kind = StateOption::Kind::set_limit;
            break;
        default:
            state.kind = StateOption::Kind::keep_state;
            break;
    }
    bool is_limit = option == Option::limit || option == Option::set_limit;
    if (is_limit && !read_limit(state))
        return false;
    // The manual of 2003 has `keep-state [method]` and says that only the default one exists.
    if (option == Option::keep_state && !cursor_.word().empty()) {
        std::string_view method = cursor_.word();
        if (method == "default" || method == "0")
            cursor_.advance();
        else if (method.front() >= '0' && method.front() <= '9')
            return cursor_.fail(ExitStatus::data, "there is no keep-state method " + quote(method) +
                                                      "; expected \"default\" or nothing");
    }
    if (!read_state_name(state.name))
        return false;
    if (cursor_.take("lifetime")) {
        constexpr std::uint32_t kLongestLifetime = 604800;  // a week
        Argument lifetime;
        if (!read_argument(lifetime, {"lifetime", 1, kLongestLifetime, false}))
            return false;
        state.lifetime_s = lifetime.value;
    }
    rule_.state = std::move(state);
    return true;
}

bool RuleReader::read_expiry(bool negated, bool in_block) {
    if (in_block || negated)
        return cursor_.fail(ExitStatus::usage, in_block
                                                   ? "\"expires\" cannot be part of an or-block"
                                                   : "\"not expires\" is not allowed");
    if (rule_.expires_s)
        return cursor_.fail(ExitStatus::usage, "\"expires\" was already given");
    cursor_.advance();
    if (!at_argument())
        return cursor_.fail_missing("end of the rule (1h30m or 2026-12-31T23:59Z)");
    const auto end = parse_expiry(cursor_.word(), resolver_.now_s());
    if (!end)
        return cursor_.fail(end.error());
    rule_.expires_s = *end;
    cursor_.advance();
    return true;
}

bool RuleReader::read_option(std::optional<Term>& term, bool negated, bool in_block) {
    std::size_t start = cursor_.position();
    const auto* keyword = find_keyword(option_keywords(), cursor_.word());
    cursor_.advance();
    if (!keyword->arguments.empty() && !keyword->arguments.starts_with('[') && !at_argument())
        return cursor_.fail_missing("argument of " + std::string(keyword->name) + " (" +
                                    std::string(keyword->arguments) + ")");
    std::optional<Match> match;
    if (!read_option_argument(keyword->value, match))
        return false;
    if (!match)
        return true;
    if (matches_all(*match)) {
        if (negated)
            return cursor_.fail_at(start, ExitStatus::data, "\"not any\" never matches");
        if (!in_block)
            return true;
    }
    term = Term{negated, std::move(*match)};
    return true;
}

bool RuleReader::read_option_argument(Option option, std::optional<Match>& match) {
    using Direction = DirectionMatch::Direction;
    using Role = InterfaceMatch::Role;
    auto simple = [&](Match value) {
        match = std::move(value);
        return true;
    };
    switch (option) {
        case Option::in:
            return simple(DirectionMatch{Direction::in});
        case Option::out:
            return simple(DirectionMatch{Direction::out});
        case Option::via:
            return read_interface(Role::via, match);
        case Option::recv:
            return read_interface(Role::recv, match);
        case Option::xmit:
            return read_interface(Role::xmit, match);
        case Option::established:
            return simple(SimpleMatch{Flag::established});
        case Option::setup:
            return simple(FlagMatch{FlagField::tcp_flags, tcp_flag::syn, tcp_flag::ack});
        case Option::tcpflags:
            return read_flags(FlagField::tcp_flags, match);
        case Option::tcpoptions:
            return read_flags(FlagField::tcp_options, match);
        case Option::tcpseq:
            return read_number(NumberField::tcp_sequence, "sequence number", UINT32_MAX, match);
        case Option::tcpack:
            return read_number(NumberField::tcp_acknowledgement, "acknowledgement number",
                               UINT32_MAX, match);
        case Option::tcpwin:
            return read_list(ListField::tcp_window, match);
        case Option::tcpmss:
            return read_list(ListField::tcp_mss, match);
        case Option::tcpdatalen:
            return read_list(ListField::tcp_data_length, match);
        case Option::icmptypes:
            return read_list(ListField::icmp_types, match);
        case Option::icmp6types:
            return read_list(ListField::icmp6_types, match);
        case Option::frag: {
            // The list is optional: it is one if its first entry is one of the flags.
            std::string_view first = cursor_.word().substr(0, cursor_.word().find(','));
            if (first.starts_with('!'))
                first.remove_prefix(1);
            if (find_keyword(flag_keywords(FlagField::fragment), first) != nullptr)
                return read_flags(FlagField::fragment, match);
            return simple(FlagMatch{FlagField::fragment, fragment_flag::offset, 0});
        }
        case Option::ipoptions:
            return read_flags(FlagField::ip_options, match);
        case Option::iptos:
            return read_flags(FlagField::ip_tos, match);
        case Option::dscp:
            return read_list(ListField::dscp, match);
        case Option::ipprecedence:
            return read_number(NumberField::ip_precedence, "precedence", 7, match);
        case Option::ipttl:
            return read_list(ListField::ip_ttl, match);
        case Option::ipid:
            return read_list(ListField::ip_id, match);
        case Option::iplen:
            return read_list(ListField::ip_length, match);
        case Option::ipversion:
            return read_number(NumberField::ip_version, "IP version", 15, match);
        case Option::layer2:
            return simple(SimpleMatch{Flag::layer2});
        case Option::mac:
            return read_mac(match);
        case Option::mac_type:
            return read_list(ListField::mac_type, match);
        case Option::source_mac:
        case Option::destination_mac: {
            MacTableMatch mac;
            mac.side = option == Option::source_mac ? Side::source : Side::destination;
            return read_table(mac.table) && simple(mac);
        }
        case Option::uid:
            return read_owner(NumberField::uid, match);
        case Option::gid:
            return read_owner(NumberField::gid, match);
        case Option::jail:
            return read_number(NumberField::jail, "jail", INT32_MAX, match);
        case Option::proto: {
            auto protocol = protocol_of(cursor_.word(), true);
            if (!protocol)
                return cursor_.fail(ExitStatus::data, "unknown protocol " + quote(cursor_.word()) +
                                                          "; expected a name or a number");
            cursor_.advance();
            return simple(*protocol);
        }
        case Option::ip4:
            return simple(ProtocolMatch{ProtocolMatch::Kind::ip4, 0});
        case Option::ip6:
            return simple(ProtocolMatch{ProtocolMatch::Kind::ip6, 0});
        case Option::source_ip:
            return read_address_option(Side::source, false, match);
        case Option::destination_ip:
            return read_address_option(Side::destination, false, match);
        case Option::source_ip6:
            return read_address_option(Side::source, true, match);
        case Option::destination_ip6:
            return read_address_option(Side::destination, true, match);
        case Option::source_port:
            return read_port_option(Side::source, match);
        case Option::destination_port:
            return read_port_option(Side::destination, match);
        case Option::lookup:
            return read_lookup(match);
        case Option::flow: {
            FlowTableMatch flow;
            return read_table(flow.table) && simple(flow);
        }
        case Option::flow_id:
            return read_list(ListField::flow_id, match);
        case Option::ext6hdr:
            return read_flags(FlagField::ext6hdr, match);
        case Option::fib:
            return read_number(NumberField::fib, "fib", 65535, match);
        case Option::ipsec:
            return simple(SimpleMatch{Flag::ipsec});
        case Option::sockarg:
            return simple(SimpleMatch{Flag::sockarg});
        case Option::diverted:
            return simple(SimpleMatch{Flag::diverted});
        case Option::diverted_loopback:
            return simple(SimpleMatch{Flag::diverted_loopback});
        case Option::diverted_output:
            return simple(SimpleMatch{Flag::diverted_output});
        case Option::verrevpath:
            return simple(SimpleMatch{Flag::verrevpath});
        case Option::versrcreach:
            return simple(SimpleMatch{Flag::versrcreach});
        case Option::antispoof:
            return simple(SimpleMatch{Flag::antispoof});
        case Option::tagged:
            return read_list(ListField::tagged, match);
        case Option::mark:
            return read_mark(match);
        case Option::payload:
            return read_payload(PayloadPart::payload, match);
        case Option::http_host:
            return read_payload(PayloadPart::http_host, match);
        case Option::http_uri:
            return read_payload(PayloadPart::http_uri, match);
        case Option::tls_sni:
            return read_payload(PayloadPart::tls_sni, match);
        case Option::dns_qname:
            return read_payload(PayloadPart::dns_qname, match);
        case Option::keep_state:
        case Option::record_state:
        case Option::limit:
        case Option::set_limit:
        case Option::defer_action:
        case Option::defer_immediate_action:
        case Option::expires:
            return true;  // read_state has taken them
    }
    return true;
}

bool RuleReader::read_interface(InterfaceMatch::Role role, std::optional<Match>& match) {
    std::string_view word = cursor_.word();
    InterfaceMatch interface;
    interface.role = role;
    if (word == "any") {
        interface.what = Any{};
    } else if (auto table = parse_table_reference(word)) {
        if (!*table)
            return cursor_.fail(table->error());
        interface.what = std::move(**table);
    } else if (auto ipv4 = parse_ipv4(word)) {
        interface.what = *ipv4;
    } else if (auto ipv6 = parse_ipv6(word)) {
        interface.what = *ipv6;
    } else {
        // A name that begins with a digit is an address, as in ipfw.
        if (word.front() >= '0' && word.front() <= '9')
            return cursor_.fail(ExitStatus::data,
                                "bad address " + quote(word) + " of an interface");
        if (is_reserved(word))
            return cursor_.fail_missing("name of the interface");
        if (word.size() > kMaximumInterfaceNameLength)
            return cursor_.fail(ExitStatus::data,
                                "interface name " + quote(word) + " has more than " +
                                    std::to_string(kMaximumInterfaceNameLength) + " characters");
        if (word.find_first_of(",{}()\"'`$;<>=/") != word.npos)
            return cursor_.fail(ExitStatus::data, "bad interface name " + quote(word));
        interface.what = InterfaceName{std::string(word), word.find_first_of("*?[") != word.npos};
    }
    match = std::move(interface);
    cursor_.advance();
    return true;
}

bool RuleReader::read_list(ListField field, std::optional<Match>& match) {
    ListMatch list;
    list.field = field;
    if (field == ListField::tagged && cursor_.word() == "tablearg") {
        list.from_table = true;
    } else {
        auto ranges = parse_list(cursor_.word(), list_rules(field));
        if (!ranges)
            return cursor_.fail(ranges.error());
        list.ranges = std::move(*ranges);
    }
    match = std::move(list);
    cursor_.advance();
    return true;
}

bool RuleReader::read_flags(FlagField field, std::optional<Match>& match) {
    auto bits = parse_flags(cursor_.word(), field);
    if (!bits)
        return cursor_.fail(bits.error());
    match = FlagMatch{field, bits->set, bits->clear};
    cursor_.advance();
    return true;
}

bool RuleReader::read_number(NumberField field, std::string_view what, std::uint32_t maximum,
                             std::optional<Match>& match) {
    auto value = parse_number(cursor_.word(), 0, maximum, what);
    if (!value)
        return cursor_.fail(value.error());
    NumberMatch number;
    number.field = field;
    number.value = *value;
    match = number;
    cursor_.advance();
    return true;
}

bool RuleReader::read_owner(NumberField field, std::optional<Match>& match) {
    std::string word(cursor_.word());
    if (word.front() >= '0' && word.front() <= '9')
        return read_number(field, field == NumberField::uid ? "user" : "group", UINT32_MAX, match);
    auto id = field == NumberField::uid ? resolver_.user(word) : resolver_.group(word);
    // Root and wheel have the same number everywhere, also where nobody can be asked.
    if (!id && (word == "root" || (field == NumberField::gid && word == "wheel")))
        id = 0;
    if (!id)
        return cursor_.fail(ExitStatus::data,
                            std::string(field == NumberField::uid ? "user " : "group ") +
                                quote(word) + " does not exist");
    NumberMatch number;
    number.field = field;
    number.value = *id;
    match = number;
    cursor_.advance();
    return true;
}

bool RuleReader::read_mark(std::optional<Match>& match) {
    NumberMatch number;
    number.field = NumberField::mark;
    std::string_view word = cursor_.word();
    std::size_t colon = word.find(':');
    std::string_view value_text = word.substr(0, colon);
    if (value_text == "tablearg") {
        number.from_table = true;
    } else {
        auto value = parse_number(value_text, 0, UINT32_MAX, "mark");
        if (!value)
            return cursor_.fail(value.error());
        number.value = *value;
    }
    if (colon != word.npos) {
        auto mask = parse_number(word.substr(colon + 1), 0, UINT32_MAX, "mask of the mark");
        if (!mask) {
            ValueError error = mask.error();
            error.offset += colon + 1;
            return cursor_.fail(error);
        }
        number.mask = *mask;
    }
    match = number;
    cursor_.advance();
    return true;
}

bool RuleReader::read_mac(std::optional<Match>& match) {
    MacMatch mac;
    auto destination = parse_mac_and_mask(cursor_.word());
    if (!destination)
        return cursor_.fail(destination.error());
    cursor_.advance();
    if (!at_argument())
        return cursor_.fail_missing("source MAC address after the destination");
    auto source = parse_mac_and_mask(cursor_.word());
    if (!source)
        return cursor_.fail(source.error());
    cursor_.advance();
    mac.destination = destination->address;
    mac.destination_mask = destination->mask;
    mac.source = source->address;
    mac.source_mask = source->mask;
    match = mac;
    return true;
}

bool RuleReader::read_lookup(std::optional<Match>& match) {
    LookupMatch lookup;
    std::string_view word = cursor_.word();
    std::size_t colon = word.find(':');
    lookup.field = word.substr(0, colon);
    std::span<const std::string_view> fields = lookup_fields();
    if (std::find(fields.begin(), fields.end(), lookup.field) == fields.end())
        return cursor_.fail(ExitStatus::data,
                            "unknown field " + quote(lookup.field) +
                                " of lookup; expected dst-ip, src-ip, dst-port, src-port, dst-mac, "
                                "src-mac, dscp, jail, uid, mark or rulenum",
                            std::string(nearest(lookup.field, fields)));
    if (colon != word.npos) {
        std::string_view mask = word.substr(colon + 1);
        if (!parse_integer(mask) && !parse_ipv4(mask) && !parse_ipv6(mask) && !parse_mac(mask))
            return cursor_.fail(ExitStatus::data,
                                "bad mask " + quote(mask) +
                                    " of lookup; expected a number, an address or a MAC address",
                                {}, colon + 1);
        lookup.mask = std::string(mask);
    }
    cursor_.advance();
    if (!at_argument())
        return cursor_.fail_missing("table after the field of lookup");
    if (auto table = parse_table_reference(cursor_.word())) {
        if (!*table)
            return cursor_.fail(table->error());
        if ((*table)->value)
            return cursor_.fail(ExitStatus::data, "lookup takes no value; expected a table name");
        lookup.table = std::move(**table);
        cursor_.advance();
    } else if (!read_object_name(lookup.table.name, "table name")) {
        return false;
    }
    match = std::move(lookup);
    return true;
}

bool RuleReader::read_address_option(Side side, bool ipv6, std::optional<Match>& match) {
    auto address =
        parse_address(cursor_.word(), ipv6 ? AddressFamily::ipv6 : body_family(), resolver_);
    if (!address)
        return cursor_.fail(address.error());
    // A table holds addresses of both families; in the others `-ip6` must be what it says.
    bool wrong = ipv6 && !std::holds_alternative<Me6>(*address) &&
                 !std::holds_alternative<Any>(*address) &&
                 !std::holds_alternative<TableReference>(*address) &&
                 !std::holds_alternative<std::vector<Ipv6Network>>(*address);
    if (wrong)
        return cursor_.fail(ExitStatus::data, quote(cursor_.word()) + " is no IPv6 address");
    match = AddressMatch{side, std::move(*address)};
    cursor_.advance();
    return true;
}

bool RuleReader::read_port_option(Side side, std::optional<Match>& match) {
    auto ports = parse_ports(cursor_.word(), service_protocol());
    if (!ports)
        return cursor_.fail(ports.error());
    match = PortMatch{side, std::move(*ports)};
    cursor_.advance();
    return true;
}

bool RuleReader::read_table(TableReference& table) {
    auto reference = parse_table_reference(cursor_.word());
    if (!reference)
        return cursor_.fail(ExitStatus::data,
                            "found " + quote(cursor_.word()) + "; expected table(NAME)");
    if (!*reference)
        return cursor_.fail(reference->error());
    table = std::move(**reference);
    cursor_.advance();
    return true;
}

}  // namespace sluice::language
