#include "perf/classifier/rule_set.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <set>
#include <tuple>

#include "common/address.h"

namespace sluice::perf {

namespace {

constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17, kGre = 47, kEsp = 50, kAh = 51, kIcmp6 = 58,
                   kPim = 103;
constexpr std::size_t kRulesPerNumber = 8;  // 100,000 rules do not have a number each

struct ProtocolName {
    const char* name;
    unsigned number;
};
constexpr ProtocolName kProtocols[] = {
    {"ip", kAnyProtocol}, {"icmp", kIcmp}, {"tcp", kTcp}, {"udp", kUdp},        {"gre", kGre},
    {"esp", kEsp},        {"ah", kAh},     {"pim", kPim}, {"ipv6-icmp", kIcmp6}};

Words mask_of(unsigned length) {
    Words mask{};
    for (unsigned word = 0; word < mask.size(); ++word) {
        const unsigned bits =
            std::clamp(static_cast<int>(length) - 32 * static_cast<int>(word), 0, 32);
        mask[word] = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
    }
    return mask;
}

Prefix make_prefix(const Words& address, unsigned length) {
    Prefix prefix{.address = address, .mask = mask_of(length), .length = length};
    for (std::size_t i = 0; i < address.size(); ++i)
        prefix.address[i] &= prefix.mask[i];
    return prefix;
}

// Bits that look random and are always the same.
std::uint32_t mix(std::uint32_t value) {
    value = (value ^ value >> 16) * 0x7feb352d;
    value = (value ^ value >> 15) * 0x846ca68b;
    return value ^ value >> 16;
}

// ---- Reading -----------------------------------------------------------------------------------

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != line.npos;) {
        const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
        words.push_back(line.substr(at, end - at));
        at = end;
    }
    return words;
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    if (text == "any")
        return Prefix{};
    const std::size_t slash = std::min(text.find('/'), text.size());
    const auto address = parse_ipv4(text.substr(0, slash));
    const auto length =
        slash == text.size() ? std::optional(32u) : number<unsigned>(text.substr(slash + 1));
    if (!address || !length || *length > 32)
        return std::nullopt;
    return make_prefix({address->host(), 0, 0, 0}, *length);
}

std::optional<PortRange> parse_ports(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = number<std::uint16_t>(text.substr(0, dash));
    const auto last = dash == text.npos ? first : number<std::uint16_t>(text.substr(dash + 1));
    if (!first || !last)
        return std::nullopt;
    return PortRange{*first, *last};
}

// [add NUMBER] ACTION PROTOCOL from SOURCE [PORTS] to DESTINATION [PORTS]
std::optional<Rule> parse_rule(std::string_view line) {
    const auto words = words_of(line);
    const auto to = std::find(words.begin(), words.end(), "to");
    if (words.size() < 8 || words[0] != "add" || words[4] != "from" || to == words.end() ||
        to - words.begin() < 6 || to - words.begin() > 7 || words.end() - to < 2 ||
        words.end() - to > 3)
        return std::nullopt;
    Rule rule;
    if (words[2] == "allow")
        rule.action = Action::allow;
    else if (words[2] != "deny")
        return std::nullopt;
    const auto protocol = std::find_if(std::begin(kProtocols), std::end(kProtocols),
                                       [&](const auto& entry) { return words[3] == entry.name; });
    const auto source = parse_prefix(words[5]);
    const auto destination = parse_prefix(to[1]);
    const auto source_ports = to - words.begin() == 7 ? parse_ports(words[6]) : PortRange{};
    const auto destination_ports = words.end() - to == 3 ? parse_ports(to[2]) : PortRange{};
    if (protocol == std::end(kProtocols) || !source || !destination || !source_ports ||
        !destination_ports)
        return std::nullopt;
    rule.protocol = protocol->number;
    rule.source = *source;
    rule.destination = *destination;
    rule.source_ports = *source_ports;
    rule.destination_ports = *destination_ports;
    // To ipfw such a rule is for protocols that have ports, to rte_acl for all.
    if ((!rule.source_ports.is_any() || !rule.destination_ports.is_any()) &&
        !has_ports(rule.protocol))
        return std::nullopt;
    return rule;
}

bool matches_everything(const Rule& rule) {
    return rule.protocol == kAnyProtocol && rule.source.length == 0 &&
           rule.destination.length == 0 && rule.action != Action::count;
}

void end_with_rule_for_everything(RuleSet& set) {
    if (set.rules.empty() || !matches_everything(set.rules.back()))
        set.rules.push_back({});
}

// ---- Writing -----------------------------------------------------------------------------------

std::string address_text(const Words& words, int ip_version) {
    if (ip_version == 4)
        return to_string(Ipv4::from_host(words[0]));
    Ipv6 address;
    for (std::size_t i = 0; i < address.bytes.size(); ++i)
        address.bytes[i] = static_cast<std::uint8_t>(words[i / 4] >> (24 - 8 * (i % 4)));
    return to_string(address);
}

std::string prefix_text(const Prefix& prefix, int ip_version) {
    if (prefix.length == 0)
        return "any";
    return address_text(prefix.address, ip_version) + "/" + std::to_string(prefix.length);
}

std::string ports_text(const PortRange& ports) {
    if (ports.is_any())
        return "";
    std::string text = " " + std::to_string(ports.first);
    if (ports.last != ports.first)
        text += "-" + std::to_string(ports.last);
    return text;
}

const char* action_name(Action action) {
    switch (action) {
        case Action::allow:
            return "allow";
        case Action::deny:
            return "deny";
        case Action::count:
            return "count";
    }
    return "";
}

const char* protocol_name(unsigned protocol) {
    for (const ProtocolName& entry : kProtocols)
        if (entry.number == protocol)
            return entry.name;
    return "";
}

}  // namespace

bool has_ports(unsigned protocol) {
    return protocol == kTcp || protocol == kUdp;
}

Result<RuleSet> parse_rule_set(std::string_view text) {
    RuleSet set;
    std::size_t line_number = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        ++line_number;
        if (words_of(line).empty())
            continue;
        const auto rule = parse_rule(line);
        if (!rule)
            return Error{ExitStatus::data,
                         "line " + std::to_string(line_number) +
                             ": expected `add NUMBER allow|deny PROTOCOL from ADDRESS [PORTS] to "
                             "ADDRESS [PORTS]`, found: " +
                             std::string(line)};
        set.rules.push_back(*rule);
    }
    end_with_rule_for_everything(set);
    return set;
}

RuleSet make_rule_set(std::size_t count) {
    constexpr std::uint16_t kServices[] = {21,  22,  25,  53,  80,   110,  123,  143,
                                           161, 443, 514, 993, 1433, 3306, 5432, 8080};
    std::mt19937 random(20);
    auto below = [&random](std::uint32_t bound) {
        return static_cast<std::uint32_t>(random() % bound);
    };
    // Sites are /16s, their networks are longer prefixes within; rules prefer few of them.
    std::vector<std::uint32_t> sites(std::max<std::size_t>(count / 64, 4));
    for (std::uint32_t& site : sites)
        site = random() & 0xffff0000;
    auto network = [&] {
        constexpr unsigned kLengths[] = {0, 8, 16, 20, 24, 24, 26, 28, 30, 32, 32, 32};
        const std::uint32_t site = sites[std::min(below(static_cast<std::uint32_t>(sites.size())),
                                                  below(static_cast<std::uint32_t>(sites.size())))];
        return make_prefix({site | below(65536), 0, 0, 0}, kLengths[below(12)]);
    };
    auto ports = [&]() -> PortRange {
        const std::uint32_t kind = below(10);
        if (kind < 2)
            return {};
        if (kind < 3)
            return {1024, 65535};
        const auto first = static_cast<std::uint16_t>(
            kind < 8 ? kServices[below(std::size(kServices))] : 1 + below(60000));
        return {first, static_cast<std::uint16_t>(kind < 9 ? first : first + below(5000))};
    };
    RuleSet set{.name = "own"};
    std::set<std::tuple<unsigned, std::uint32_t, unsigned, std::uint32_t, unsigned, std::uint16_t,
                        std::uint16_t>>
        seen;
    while (set.rules.size() + 1 < count) {
        constexpr unsigned kKinds[] = {kTcp, kTcp, kTcp, kTcp,  kTcp,
                                       kUdp, kUdp, kUdp, kIcmp, kAnyProtocol};
        Rule rule{.action = below(3) == 0 ? Action::deny : Action::allow,
                  .protocol = kKinds[below(10)],
                  .source = network(),
                  .destination = network()};
        if (has_ports(rule.protocol))
            rule.destination_ports = ports();
        if (!matches_everything(rule) &&
            seen.insert({rule.protocol, rule.source.address[0], rule.source.length,
                         rule.destination.address[0], rule.destination.length,
                         rule.destination_ports.first, rule.destination_ports.last})
                .second)
            set.rules.push_back(rule);
    }
    std::stable_sort(set.rules.begin(), set.rules.end(), [](const Rule& a, const Rule& b) {
        return a.source.length + a.destination.length > b.source.length + b.destination.length;
    });
    end_with_rule_for_everything(set);
    return set;
}

void shorten(RuleSet& set, std::size_t count) {
    set.rules.resize(std::min(set.rules.size(), count - 1));
    end_with_rule_for_everything(set);
}

void map_to_ipv6(RuleSet& set) {
    auto map = [](Prefix& prefix) {
        if (prefix.length == 0)
            return;
        const std::uint32_t address = prefix.address[0];
        Words words = {0x20010000 | address >> 16, address << 16, 0, 0};
        unsigned length = prefix.length + 16;
        if (prefix.length == 32) {
            words[1] |= mix(address) >> 16;
            words[2] = mix(address + 1);
            words[3] = mix(address + 2);
            length = 128;
        }
        prefix = make_prefix(words, length);
    };
    set.ip_version = 6;
    for (Rule& rule : set.rules) {
        map(rule.source);
        map(rule.destination);
        if (rule.protocol == kIcmp)
            rule.protocol = kIcmp6;
        // What IPv6 has as extension headers is no upper layer there.
        if (rule.protocol == kAh || rule.protocol == kEsp)
            rule.protocol = kPim;
    }
}

RuleSet with_count_rules(const RuleSet& set) {
    RuleSet counting = set;
    for (std::uint32_t i = 0; i + 1 < counting.rules.size(); ++i)
        if (mix(i) % 10 == 0)
            counting.rules[i].action = Action::count;
    return counting;
}

std::string to_text(const RuleSet& set) {
    std::string text;
    for (std::size_t i = 0; i < set.rules.size(); ++i) {
        const Rule& rule = set.rules[i];
        text += "add " + std::to_string(1 + i / kRulesPerNumber) + " " + action_name(rule.action) +
                " " + protocol_name(rule.protocol) + " from " +
                prefix_text(rule.source, set.ip_version) + ports_text(rule.source_ports) + " to " +
                prefix_text(rule.destination, set.ip_version) + ports_text(rule.destination_ports) +
                "\n";
    }
    return text;
}

std::uint32_t first_match(const RuleSet& set, const Tuple& tuple) {
    std::uint32_t index = 0;
    while (!set.rules[index].matches(tuple))
        ++index;
    return index;
}

std::vector<std::uint32_t> matches_in_order(const RuleSet& set, const Tuple& tuple) {
    std::vector<std::uint32_t> matches;
    for (std::uint32_t i = 0;; ++i) {
        if (!set.rules[i].matches(tuple))
            continue;
        matches.push_back(i);
        if (set.rules[i].action != Action::count)
            return matches;
    }
}

}  // namespace sluice::perf
