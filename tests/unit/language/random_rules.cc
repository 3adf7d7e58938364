#include "tests/unit/language/random_rules.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "controlplane/language/canonical.h"
#include "controlplane/language/keywords.h"
#include "controlplane/language/values.h"

namespace sluice::language {

namespace {

std::vector<Ipv4Network> default_ipv4() {
    std::vector<Ipv4Network> pool;
    auto add = [&](const char* address, unsigned length) {
        Ipv4 mask = ipv4_mask(length);
        pool.push_back({*parse_ipv4(address) & mask, mask});
    };
    add("10.0.0.0", 8);
    add("10.0.5.0", 24);
    add("10.0.5.77", 32);
    add("192.168.10.0", 24);
    add("192.168.10.128", 25);
    add("203.0.113.200", 29);
    add("172.16.5.0", 30);
    add("128.0.0.0", 1);
    add("255.255.255.255", 32);
    add("198.51.100.7", 32);
    return pool;
}

std::vector<Ipv6Network> default_ipv6() {
    std::vector<Ipv6Network> pool;
    auto add = [&](const char* address, unsigned length) {
        Ipv6 mask = ipv6_mask(length);
        pool.push_back({*parse_ipv6(address) & mask, mask});
    };
    add("2001:db8::", 32);
    add("2001:db8:0:1::", 64);
    add("2001:db8:aaaa:5::10", 128);
    add("fe80::", 10);
    add("ff02::", 16);
    add("::1", 128);
    add("::", 0);
    return pool;
}

class Generator {
  public:
    Generator(std::mt19937_64& random, const GeneratorOptions& options)
        : random_(random), options_(options) {
        if (options_.ipv4_networks.empty())
            options_.ipv4_networks = default_ipv4();
        if (options_.ipv6_networks.empty())
            options_.ipv6_networks = default_ipv6();
        if (options_.ports.empty())
            options_.ports = {0, 1, 20, 22, 25, 53, 80, 443, 1024, 8080, 32768, 65535};
        if (options_.interfaces.empty())
            options_.interfaces = {"em0", "em1", "em10", "igb0", "vlan100", "lo0"};
    }

    Rule rule() {
        // A rule with something that is not wanted is thrown away. Actions are the likeliest
        // reason; the last resort always works.
        constexpr int kAttempts = 200;
        for (int i = 0; i < kAttempts; ++i) {
            Rule candidate = any_rule();
            if (accepted(candidate))
                return candidate;
        }
        Rule plain;
        plain.number = options_.number;
        plain.action.kind = ActionKind::allow;
        plain.body = Body{};
        return plain;
    }

  private:
    std::uint32_t below(std::uint32_t limit) {
        return std::uniform_int_distribution<std::uint32_t>(0, limit - 1)(random_);
    }
    std::uint32_t between(std::uint32_t low, std::uint32_t high) {
        return std::uniform_int_distribution<std::uint32_t>(low, high)(random_);
    }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <typename Pool>
    const auto& pick(const Pool& pool) {
        return pool[below(static_cast<std::uint32_t>(std::size(pool)))];
    }

    bool accepted(const Rule& rule) {
        if (!options_.accept)
            return true;
        std::vector<Construct> used = constructs_of(rule);
        return std::all_of(used.begin(), used.end(), options_.accept);
    }

    Rule any_rule();
    Action action();
    Argument argument(std::uint32_t low, std::uint32_t high, bool tablearg);
    void modifiers(Rule& rule);
    Body body();
    Term protocol();
    Term address(Side side, bool ipv6);
    Group addresses(Side side, bool ipv6);
    PortMatch ports(Side side);
    TableReference table(bool may_have_value);
    InterfaceMatch interface(bool in_block);
    Match option(bool in_block);
    PayloadMatch payload();
    FlagMatch flags();
    ListMatch list();
    NumberMatch number();
    MacAddress mac();
    Group option_group();
    StateOption state();

    std::mt19937_64& random_;
    GeneratorOptions options_;
};

Argument Generator::argument(std::uint32_t low, std::uint32_t high, bool tablearg) {
    if (tablearg && chance(15))
        return {true, 0};
    return {false, chance(70) ? std::min(high, low + below(20)) : between(low, high)};
}

TableReference Generator::table(bool may_have_value) {
    TableReference reference{pick(options_.tables), {}};
    if (may_have_value && chance(30))
        reference.value = std::to_string(between(0, 9));
    return reference;
}

Action Generator::action() {
    Action action;
    // The plain ones more often than their share of the list.
    constexpr ActionKind kCommon[] = {ActionKind::allow, ActionKind::deny, ActionKind::count,
                                      ActionKind::skipto};
    action.kind = chance(50) ? pick(kCommon) : pick(action_keywords()).value;
    switch (action.kind) {
        case ActionKind::unreach:
            action.argument.value = chance(90) ? below(16) : below(256);
            if (action.argument.value == 4 && chance(50))
                action.mtu = static_cast<std::uint16_t>(between(68, 1500));
            break;
        case ActionKind::unreach6:
            action.argument.value = chance(90) ? below(5) : below(256);
            break;
        case ActionKind::check_state:
            action.name = chance(70) ? "default" : chance(50) ? "" : "web";
            break;
        case ActionKind::skipto:
        case ActionKind::call: {
            std::uint32_t next = std::min<std::uint32_t>(options_.number + 1u, 65534);
            action.argument = argument(next, std::min<std::uint32_t>(next + 500, 65534), true);
            break;
        }
        case ActionKind::divert:
        case ActionKind::tee:
            action.argument = argument(1, 65535, true);
            break;
        case ActionKind::fwd:
            if (chance(10))
                action.next_hop.address = Any{};
            else if (options_.ipv6 && chance(30))
                action.next_hop.address = pick(options_.ipv6_networks).address;
            else
                action.next_hop.address = pick(options_.ipv4_networks).address;
            if (chance(40))
                action.next_hop.port = static_cast<std::uint16_t>(between(1, 65535));
            break;
        case ActionKind::pipe:
        case ActionKind::queue:
        case ActionKind::netgraph:
        case ActionKind::ngtee:
            action.argument = argument(1, 65534, true);
            break;
        case ActionKind::nat:
            if (chance(20))
                action.name = "global";
            else
                action.argument = argument(1, 65534, true);
            break;
        case ActionKind::nat64lsn:
        case ActionKind::nat64stl:
        case ActionKind::nat64clat:
        case ActionKind::nptv6:
            action.name = "NAT64";
            break;
        case ActionKind::eaction:
            action.name = "ntpv6";
            if (chance(50))
                action.instance = "AAA";
            break;
        case ActionKind::setfib:
            action.argument = argument(0, 65535, true);
            break;
        case ActionKind::setdscp:
            action.argument = argument(0, 63, true);
            break;
        case ActionKind::tcp_setmss:
            action.argument = argument(1, 65535, false);
            break;
        case ActionKind::setmark:
            action.argument = argument(0, UINT32_MAX, true);
            break;
        case ActionKind::allow:
        case ActionKind::deny:
        case ActionKind::reject:
        case ActionKind::reset:
        case ActionKind::reset6:
        case ActionKind::abort:
        case ActionKind::abort6:
        case ActionKind::count:
        case ActionKind::return_:
        case ActionKind::reass:
            break;
    }
    return action;
}

void Generator::modifiers(Rule& rule) {
    if (chance(10))
        rule.set = static_cast<std::uint8_t>(below(kSetCount));
    if (chance(10)) {
        char text[32];
        std::snprintf(text, sizeof text, "%f", static_cast<double>(between(1, 1000000)) / 1e6);
        rule.probability = std::strtod(text, nullptr);
    }
    if (chance(20)) {
        rule.log.emplace();
        if (chance(40))
            rule.log->amount = below(6);
        if (chance(10))
            rule.log->destinations = chance(60)   ? std::vector<std::string>{"syslog"}
                                     : chance(50) ? std::vector<std::string>{"syslog", "bpf"}
                                                  : std::vector<std::string>{"rtsock"};
    }
    if (chance(3))
        rule.altq = "fast";
    if (chance(10)) {
        rule.tag.emplace();
        rule.tag->kind = chance(60) ? Tag::Kind::tag : Tag::Kind::untag;
        rule.tag->number = argument(1, 5, true);
    }
    if (chance(10))
        rule.comment = chance(50) ? "a comment" : "see ticket 12, please";
    if (chance(10))
        rule.expires_s = between(1, 0xffffffff);
    else if (chance(10))
        rule.label = "a-b.c_" + std::to_string(below(1'000'000'000));
}

Term Generator::protocol() {
    Term term;
    constexpr std::uint8_t kNumbers[] = {1, 6, 6, 6, 17, 17, 47, 50, 58, 89, 99, 132, 136};
    ProtocolMatch match{ProtocolMatch::Kind::number, pick(kNumbers)};
    if (chance(10))
        match = {chance(50) || !options_.ipv6 ? ProtocolMatch::Kind::ip4 : ProtocolMatch::Kind::ip6,
                 0};
    term.negated = chance(10);
    term.match = match;
    return term;
}

Term Generator::address(Side side, bool ipv6) {
    AddressMatch match;
    match.side = side;
    unsigned kind = below(100);
    if (kind < 12) {
        if (ipv6 && chance(50))
            match.what = Me6{};
        else
            match.what = Me{};
    } else if (kind < 24) {
        match.what = table(true);
    } else if (kind < 34 && !ipv6) {
        AddressSet set;
        set.length = static_cast<std::uint8_t>(between(24, 32));
        set.base = pick(options_.ipv4_networks).address & ipv4_mask(set.length);
        std::uint32_t size = 1u << (32 - set.length);
        for (std::uint32_t i = between(1, 5); i > 0; --i) {
            std::uint32_t first = below(size), count = 1 + below(4);
            for (std::uint32_t j = first; j < std::min(size, first + count); ++j)
                set.members.set(j);
        }
        match.what = set;
    } else if (ipv6) {
        std::vector<Ipv6Network> networks;
        for (std::uint32_t i = chance(70) ? 1 : between(2, 4); i > 0; --i)
            networks.push_back(pick(options_.ipv6_networks));
        if (chance(10)) {
            Ipv6 mask;
            for (std::uint8_t& byte : mask.bytes)
                byte = chance(50) ? 0xff : static_cast<std::uint8_t>(below(256));
            networks.front() = {networks.front().address & mask, mask};
        }
        match.what = networks;
    } else {
        std::vector<Ipv4Network> networks;
        for (std::uint32_t i = chance(70) ? 1 : between(2, 4); i > 0; --i)
            networks.push_back(pick(options_.ipv4_networks));
        if (chance(10)) {
            Ipv4 mask = Ipv4::from_host(between(1, UINT32_MAX));
            networks.front() = {networks.front().address & mask, mask};
        }
        match.what = networks;
    }
    return {chance(20), match};
}

Group Generator::addresses(Side side, bool ipv6) {
    Group group;
    if (chance(35))
        return group;
    std::uint32_t count = chance(85) ? 1 : between(2, 3);
    for (std::uint32_t i = 0; i < count; ++i)
        group.any_of.push_back(address(side, ipv6));
    if (count > 1 && chance(5))
        group.any_of.back() = {false, AddressMatch{side, Any{}}};
    return group;
}

PortMatch Generator::ports(Side side) {
    PortMatch match;
    match.side = side;
    for (std::uint32_t i = chance(60) ? 1 : between(2, 5); i > 0; --i) {
        PortEntry entry;
        entry.first = entry.last = pick(options_.ports);
        if (chance(25))
            entry.last =
                static_cast<std::uint16_t>(std::min<std::uint32_t>(65535, entry.first + below(99)));
        else if (chance(5))
            entry.mask = static_cast<std::uint16_t>(below(65536));
        match.entries.push_back(entry);
    }
    return match;
}

Body Generator::body() {
    Body body;
    bool ipv6 = options_.ipv6 && chance(30);
    if (chance(70)) {
        std::uint32_t count = chance(90) ? 1 : between(2, 3);
        for (std::uint32_t i = 0; i < count; ++i)
            body.protocol.any_of.push_back(protocol());
    }
    body.source = addresses(Side::source, ipv6);
    body.destination = addresses(Side::destination, ipv6);
    if (chance(20))
        body.source_ports = Term{chance(10), ports(Side::source)};
    if (chance(35))
        body.destination_ports = Term{chance(10), ports(Side::destination)};
    return body;
}

InterfaceMatch Generator::interface(bool in_block) {
    using Role = InterfaceMatch::Role;
    constexpr Role kRoles[] = {Role::via, Role::recv, Role::xmit};
    InterfaceMatch match;
    match.role = pick(kRoles);
    unsigned kind = below(100);
    if (kind < 60) {
        match.what = InterfaceName{pick(options_.interfaces), false};
    } else if (kind < 80) {
        std::string name = pick(options_.interfaces);
        name.back() = chance(70) ? '*' : '?';
        match.what = InterfaceName{name, true};
    } else if (kind < 85) {
        match.what = pick(options_.ipv4_networks).address;
    } else if (kind < 88 && options_.ipv6) {
        match.what = pick(options_.ipv6_networks).address;
    } else if (kind < 95 || !in_block) {
        match.what = table(true);
    } else {
        match.what = Any{};
    }
    return match;
}

FlagMatch Generator::flags() {
    constexpr FlagField kFields[] = {
        FlagField::tcp_flags, FlagField::tcp_flags, FlagField::tcp_options, FlagField::ip_options,
        FlagField::ip_tos,    FlagField::fragment,  FlagField::ext6hdr};
    FlagMatch match;
    match.field = pick(kFields);
    if (match.field == FlagField::tcp_flags && chance(40)) {
        match.set = tcp_flag::syn;
        match.clear = tcp_flag::ack;
        return match;
    }
    if (match.field == FlagField::fragment && chance(70)) {
        match.set = fragment_flag::offset;
        return match;
    }
    for (std::uint32_t i = between(1, 3); i > 0; --i) {
        std::uint8_t bits = pick(flag_keywords(match.field)).value;
        (match.field != FlagField::ext6hdr && chance(40) ? match.clear : match.set) |= bits;
    }
    return match;
}

ListMatch Generator::list() {
    constexpr ListField kFields[] = {
        ListField::ip_length,  ListField::ip_id,       ListField::ip_ttl,
        ListField::tcp_window, ListField::tcp_mss,     ListField::tcp_data_length,
        ListField::tagged,     ListField::mac_type,    ListField::dscp,
        ListField::icmp_types, ListField::icmp6_types, ListField::flow_id};
    ListMatch match;
    match.field = pick(kFields);
    if (match.field == ListField::tagged && chance(15)) {
        match.from_table = true;
        return match;
    }
    const ListRules& rules = list_rules(match.field);
    for (std::uint32_t i = between(1, 4); i > 0; --i) {
        std::uint32_t first = chance(60) ? std::min(rules.maximum, rules.minimum + below(9))
                                         : between(rules.minimum, rules.maximum);
        std::uint32_t last =
            rules.sorted_values || chance(60) ? first : std::min(rules.maximum, first + below(100));
        match.ranges.push_back({first, last});
    }
    if (rules.sorted_values) {
        auto less = [](const NumberRange& a, const NumberRange& b) { return a.first < b.first; };
        std::sort(match.ranges.begin(), match.ranges.end(), less);
        match.ranges.erase(std::unique(match.ranges.begin(), match.ranges.end()),
                           match.ranges.end());
    }
    return match;
}

NumberMatch Generator::number() {
    constexpr NumberField kFields[] = {NumberField::tcp_sequence, NumberField::tcp_acknowledgement,
                                       NumberField::ip_version,   NumberField::ip_precedence,
                                       NumberField::fib,          NumberField::uid,
                                       NumberField::gid,          NumberField::jail,
                                       NumberField::mark};
    NumberMatch match;
    match.field = pick(kFields);
    switch (match.field) {
        case NumberField::ip_version:
            match.value = chance(50) ? 4 : 6;
            break;
        case NumberField::ip_precedence:
            match.value = below(8);
            break;
        case NumberField::fib:
            match.value = below(16);
            break;
        case NumberField::mark:
            match.from_table = chance(20);
            if (!match.from_table)
                match.value = below(256);
            if (chance(30))
                match.mask = 0xff;
            break;
        case NumberField::tcp_sequence:
        case NumberField::tcp_acknowledgement:
        case NumberField::uid:
        case NumberField::gid:
        case NumberField::jail:
            match.value = chance(80) ? 1000 + below(3) : below(INT32_MAX);
            break;
    }
    return match;
}

MacAddress Generator::mac() {
    MacAddress address;
    address.bytes = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(below(4))};
    return address;
}

Match Generator::option(bool in_block) {
    constexpr Flag kFlags[] = {
        Flag::established,       Flag::established,     Flag::layer2,     Flag::diverted,
        Flag::diverted_loopback, Flag::diverted_output, Flag::verrevpath, Flag::versrcreach,
        Flag::antispoof,         Flag::ipsec,           Flag::sockarg};
    using Direction = DirectionMatch::Direction;
    Side side = chance(50) ? Side::source : Side::destination;
    unsigned kind = below(100);
    if (kind < 20)
        return DirectionMatch{chance(50) ? Direction::in : Direction::out};
    if (kind < 35)
        return interface(in_block);
    if (kind < 50)
        return flags();
    if (kind < 62)
        return list();
    if (kind < 68)
        return number();
    if (kind < 80)
        return SimpleMatch{pick(kFlags)};
    if (kind < 85)
        return ports(side);
    if (kind < 90)
        return address(side, options_.ipv6 && chance(30)).match;
    if (kind < 92)
        return protocol().match;
    if (kind < 95) {
        MacMatch match;
        if (chance(70)) {
            match.destination = mac();
            match.destination_mask.bytes.fill(0xff);
        }
        if (chance(50)) {
            match.source_mask.bytes = {
                0xff, 0xff, 0xff, 0, chance(50) ? std::uint8_t{0xff} : std::uint8_t{0}, 0};
            match.source.bytes = {2, 0, 0, 0, 0, 0};
        }
        return match;
    }
    if (kind < 97)
        return MacTableMatch{side, table(true)};
    if (kind < 99) {
        LookupMatch match;
        match.field = pick(lookup_fields());
        if (chance(30))
            match.mask = "0xff";
        match.table = table(false);
        return match;
    }
    return chance(50) ? Match(FlowTableMatch{table(true)}) : Match(payload());
}

PayloadMatch Generator::payload() {
    static const std::vector<std::string> literals = {"cmd.exe", "GET /a b # \"c\"\r\n",
                                                      std::string("\x90\0\xff"
                                                                  "7",
                                                                  4),
                                                      "// or }"};
    static const std::vector<std::string> domains = {"example.com", "=www.example.org"};
    PayloadMatch match;
    match.part = static_cast<PayloadPart>(below(5));
    const bool name = is_name(match.part);
    if (chance(50)) {
        match.what = PayloadLiteral{name ? pick(domains) : pick(literals)};
        return match;
    }
    PatternReference reference{pick(name && chance(50) ? options_.names : options_.patterns), {}};
    if (chance(30))
        reference.value = chance(20) ? 4294967295u : below(3);
    match.what = reference;
    return match;
}

Group Generator::option_group() {
    Group group;
    std::uint32_t count = chance(85) ? 1 : between(2, 3);
    for (std::uint32_t i = 0; i < count; ++i) {
        Term term{false, option(count > 1)};
        const auto* match = std::get_if<InterfaceMatch>(&term.match);
        bool is_any = match != nullptr && std::holds_alternative<Any>(match->what);
        term.negated = !is_any && chance(15);
        group.any_of.push_back(std::move(term));
    }
    return group;
}

StateOption Generator::state() {
    using Kind = StateOption::Kind;
    constexpr Kind kKinds[] = {Kind::keep_state, Kind::keep_state, Kind::record_state, Kind::limit,
                               Kind::set_limit};
    StateOption state;
    state.kind = pick(kKinds);
    if (chance(20))
        state.name = "web";
    if (state.kind == Kind::limit || state.kind == Kind::set_limit) {
        std::uint32_t keys = between(1, 15);
        state.by_source = (keys & 1) != 0;
        state.by_source_port = (keys & 2) != 0;
        state.by_destination = (keys & 4) != 0;
        state.by_destination_port = (keys & 8) != 0;
        state.limit = argument(1, 65534, true);
    }
    if (chance(10))
        state.lifetime_s = between(1, 3600);
    return state;
}

Rule Generator::any_rule() {
    Rule rule;
    rule.number = options_.number;
    rule.action = action();
    modifiers(rule);
    if (rule.action.kind == ActionKind::check_state)
        return rule;
    if (chance(90))
        rule.body = body();
    for (std::uint32_t i = below(options_.maximum_options + 1); i > 0; --i)
        rule.options.push_back(option_group());
    if (chance(20)) {
        rule.state = state();
        if (chance(10))
            rule.defer = chance(50) ? Defer::action : Defer::immediate_action;
    }
    canonicalise(rule);
    return rule;
}

}  // namespace

Rule random_rule(std::mt19937_64& random, const GeneratorOptions& options) {
    return Generator(random, options).rule();
}

std::vector<Rule> random_ruleset(std::mt19937_64& random, std::size_t count,
                                 const GeneratorOptions& options) {
    std::vector<Rule> rules;
    GeneratorOptions current = options;
    std::uniform_int_distribution<unsigned> step(0, 30);
    std::uint32_t number = 1;
    for (std::size_t i = 0; i < count; ++i) {
        number = std::min<std::uint32_t>(number + step(random) / 3, kDefaultRuleNumber - 1);
        current.number = static_cast<std::uint16_t>(number);
        rules.push_back(random_rule(random, current));
    }
    return rules;
}

}  // namespace sluice::language
