#include "controlplane/language/values.h"

#include <algorithm>
#include <charconv>

namespace sluice::language {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

ValueError bad(std::string message, std::size_t offset = 0) {
    return {ExitStatus::data, offset, std::move(message), {}};
}

std::string range_text(std::uint32_t minimum, std::uint32_t maximum) {
    return std::to_string(minimum) + " to " + std::to_string(maximum);
}

// Calls `item(text, offset)` for each part between commas until one fails.
template <typename Function>
std::optional<ValueError> each_item(std::string_view text, std::string_view what,
                                    std::size_t maximum_entries, Function item) {
    std::size_t start = 0, count = 0;
    while (true) {
        std::size_t comma = text.find(',', start);
        std::string_view part = text.substr(start, comma - start);
        if (part.empty())
            return bad("empty entry in the list of " + std::string(what), start);
        if (++count > maximum_entries)
            return bad("too many entries in the list of " + std::string(what) + "; at most " +
                           std::to_string(maximum_entries) + " fit",
                       start);
        if (std::optional<ValueError> error = item(part, start))
            return error;
        if (comma == text.npos)
            return std::nullopt;
        start = comma + 1;
    }
}

Value<std::uint32_t> list_value(std::string_view text, const ListRules& rules) {
    if (!text.empty() && !is_digit(text.front())) {
        if (const auto* name = find_keyword(rules.names, text))
            return name->value;
        if (!rules.names.empty())
            return ValueError{ExitStatus::data, 0,
                              "unknown " + std::string(rules.what) + " " + quote(text),
                              std::string(nearest_keyword(text, rules.names))};
    }
    return parse_number(text, rules.minimum, rules.maximum, rules.what);
}

constexpr ListRules kIpLength{"packet length"};
constexpr ListRules kIpId{"IP identification"};
constexpr ListRules kIpTtl{"time to live", 0, 255};
constexpr ListRules kTcpWindow{"TCP window"};
constexpr ListRules kTcpMss{"MSS"};
constexpr ListRules kTcpDataLength{"data length"};
constexpr ListRules kTagged{"tag", 1, 65534};
constexpr ListRules kIcmpTypes{"ICMP type", 0, 31, true, {}, true, kUnlimited};
constexpr ListRules kIcmp6Types{"ICMPv6 type", 0, 201, true, {}, true, kUnlimited};
constexpr ListRules kFlowId{"flow label", 0, 0xfffff};

}  // namespace

std::optional<std::uint64_t> parse_integer(std::string_view text, bool leading_zeros) {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        base = 16;
        text.remove_prefix(2);
    } else if (!leading_zeros && text.size() > 1 && text.front() == '0') {
        return std::nullopt;
    }
    if (text.empty() || text.front() == '-' || text.front() == '+')
        return std::nullopt;
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (end != text.data() + text.size())
        return std::nullopt;
    if (error == std::errc::result_out_of_range)
        return UINT64_MAX;  // a number, and above any limit
    if (error != std::errc{})
        return std::nullopt;
    return value;
}

Value<std::uint32_t> parse_number(std::string_view text, std::uint32_t minimum,
                                  std::uint32_t maximum, std::string_view what) {
    std::optional<std::uint64_t> value = parse_integer(text);
    if (!value) {
        if (text.size() > 1 && text.front() == '0' && parse_integer(text, true))
            return bad("bad " + std::string(what) + " " + quote(text) +
                       "; write it without the leading zero");
        return bad("bad " + std::string(what) + " " + quote(text) + "; expected a number from " +
                   range_text(minimum, maximum));
    }
    if (*value < minimum || *value > maximum)
        return bad(std::string(what) + " " + quote(text) + " is out of range; expected " +
                   range_text(minimum, maximum));
    return static_cast<std::uint32_t>(*value);
}

const ListRules& list_rules(ListField field) {
    static const ListRules mac_type{"Ethernet type", 0, 65535, true, ethernet_types(), false};
    static const ListRules dscp{"DSCP", 0, 63, true, dscp_names(), true, kUnlimited};
    switch (field) {
        case ListField::ip_length:
            return kIpLength;
        case ListField::ip_id:
            return kIpId;
        case ListField::ip_ttl:
            return kIpTtl;
        case ListField::tcp_window:
            return kTcpWindow;
        case ListField::tcp_mss:
            return kTcpMss;
        case ListField::tcp_data_length:
            return kTcpDataLength;
        case ListField::tagged:
            return kTagged;
        case ListField::mac_type:
            return mac_type;
        case ListField::dscp:
            return dscp;
        case ListField::icmp_types:
            return kIcmpTypes;
        case ListField::icmp6_types:
            return kIcmp6Types;
        case ListField::flow_id:
            return kFlowId;
    }
    return kIpLength;
}

Value<std::vector<NumberRange>> parse_list(std::string_view text, const ListRules& rules) {
    std::vector<NumberRange> ranges;
    auto error =
        each_item(text, rules.what, rules.maximum_entries,
                  [&](std::string_view part, std::size_t offset) -> std::optional<ValueError> {
                      std::size_t dash = rules.ranges ? part.find('-') : part.npos;
                      auto first = list_value(part.substr(0, dash), rules);
                      if (!first) {
                          ValueError failed = first.error();
                          failed.offset = offset;
                          return failed;
                      }
                      NumberRange range{*first, *first};
                      if (dash != part.npos) {
                          auto last = list_value(part.substr(dash + 1), rules);
                          if (!last) {
                              ValueError failed = last.error();
                              failed.offset = offset + dash + 1;
                              return failed;
                          }
                          range.last = *last;
                          if (range.last < range.first)
                              return bad("the range " + quote(part) + " runs backwards", offset);
                      }
                      ranges.push_back(range);
                      return std::nullopt;
                  });
    if (error)
        return *error;
    if (!rules.sorted_values)
        return ranges;
    std::vector<bool> present(rules.maximum + 1);
    for (const NumberRange& range : ranges)
        for (std::uint32_t value = range.first; value <= range.last; ++value)
            present[value] = true;
    ranges.clear();
    for (std::uint32_t value = 0; value <= rules.maximum; ++value)
        if (present[value])
            ranges.push_back({value, value});
    return ranges;
}

namespace {

// The end of the first service name or number in `text`; `\-` is a dash that belongs to the name.
std::size_t port_end(std::string_view text) {
    std::size_t i = 0;
    for (; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size())
            ++i;
        else if (text[i] == '-' || text[i] == ',' || text[i] == ':')
            break;
    }
    return i;
}

std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size())
            ++i;
        result += text[i];
    }
    return result;
}

Value<std::uint32_t> parse_port(std::string_view text, std::string_view protocol) {
    if (text.empty())
        return bad("missing port");
    if (is_digit(text.front()))
        return parse_number(text, 0, 65535, "port");
    std::string name = unescaped(text);
    if (auto port = NameDatabase::instance().service(name, protocol))
        return *port;
    return bad("unknown port " + quote(name) + "; expected a number or a service name");
}

}  // namespace

bool looks_like_ports(std::string_view text, std::string_view protocol) {
    if (text.empty())
        return false;
    if (is_digit(text.front()))
        return true;
    std::string name = unescaped(text.substr(0, port_end(text)));
    return NameDatabase::instance().service(name, protocol).has_value();
}

Value<std::vector<PortEntry>> parse_ports(std::string_view text, std::string_view protocol) {
    std::vector<PortEntry> entries;
    auto error = each_item(
        text, "ports", kMaximumListEntries,
        [&](std::string_view part, std::size_t offset) -> std::optional<ValueError> {
            std::size_t end = port_end(part);
            auto first = parse_port(part.substr(0, end), protocol);
            if (!first) {
                ValueError failed = first.error();
                failed.offset = offset;
                return failed;
            }
            PortEntry entry;
            entry.first = entry.last = static_cast<std::uint16_t>(*first);
            if (end < part.size()) {
                std::string_view second = part.substr(end + 1);
                std::size_t at = offset + end + 1;
                auto last = part[end] == ':' ? parse_number(second, 0, 65535, "port mask")
                                             : parse_port(second, protocol);
                if (!last) {
                    ValueError failed = last.error();
                    failed.offset = at;
                    std::string whole = unescaped(part);
                    // `ftp-data` is read as a range; the name needs its dash escaped.
                    if (part[end] == '-' && NameDatabase::instance().service(whole, protocol)) {
                        std::size_t dash = 0;
                        while ((dash = whole.find('-', dash)) != whole.npos) {
                            whole.insert(dash, "\\");
                            dash += 2;
                        }
                        failed.suggestion = whole;
                        failed.status = ExitStatus::usage;
                    }
                    return failed;
                }
                if (part[end] == ':')
                    entry.mask = static_cast<std::uint16_t>(*last);
                else
                    entry.last = static_cast<std::uint16_t>(*last);
                if (entry.last < entry.first)
                    return bad("the range of ports " + quote(part) + " runs backwards", offset);
            }
            entries.push_back(entry);
            return std::nullopt;
        });
    if (error)
        return *error;
    return entries;
}

Value<std::uint32_t> parse_divert_port(std::string_view text) {
    if (!text.empty() && is_digit(text.front()))
        return parse_number(text, 1, 65535, "divert port");
    if (auto port = NameDatabase::instance().service(unescaped(text), "divert"))
        return *port;
    return bad("unknown divert port " + quote(text) +
               "; expected a number, a service name or tablearg");
}

bool is_valid_name(std::string_view text) {
    if (text.empty() || text.size() > kMaximumNameLength)
        return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
               c == '-' || c == '.';
    });
}

std::optional<Value<TableReference>> parse_table_reference(std::string_view text) {
    constexpr std::string_view kOpening = "table(";
    if (!text.starts_with(kOpening))
        return std::nullopt;
    if (text.back() != ')')
        return bad("missing \")\" after the name of the table", text.size());
    std::string_view inner = text.substr(kOpening.size(), text.size() - kOpening.size() - 1);
    std::size_t comma = inner.find(',');
    TableReference reference;
    reference.name = inner.substr(0, comma);
    if (!is_valid_name(reference.name) || reference.name == "all")
        return bad("bad table name " + quote(reference.name) +
                       "; expected letters, digits, \"_\", \"-\" or \".\", at most 63 of them, "
                       "and not \"all\"",
                   kOpening.size());
    if (comma != inner.npos) {
        std::string_view value = inner.substr(comma + 1);
        if (value.empty() || value.find_first_of(",(){}") != value.npos)
            return bad("bad value " + quote(value) + " for table " + reference.name,
                       kOpening.size() + comma + 1);
        reference.value = std::string(value);
    }
    return reference;
}

Value<HostAddress> parse_host(std::string_view text, AddressFamily family,
                              const NameResolver& resolver) {
    if (auto address = parse_ipv4(text))
        return HostAddress(*address);
    if (auto address = parse_ipv6(text))
        return HostAddress(*address);
    if (text.empty() || text.find_first_of("/:,{}()\\@!*?[]\"'`$;<>=") != text.npos)
        return bad("bad address " + quote(text));
    // Digits and dots only: a mistyped address. Asking DNS for it would only cost time.
    bool numeric = text.find_first_not_of("0123456789.") == text.npos;
    if (!numeric)
        if (auto address = resolver.host(std::string(text), family))
            return *address;
    if (numeric)
        return ValueError{
            ExitStatus::no_host, 0, "bad address " + quote(text) + "; expected A.B.C.D", {}};
    std::string message = "hostname " + quote(text) + " unknown";
    if (family != AddressFamily::any)
        message += std::string(", or it has no ") +
                   (family == AddressFamily::ipv4 ? "IPv4" : "IPv6") + " address";
    return ValueError{ExitStatus::no_host, 0, std::move(message), {}};
}

std::optional<Ipv4> parse_ipv4_mask(std::string_view text) {
    std::uint32_t value = 0;
    unsigned parts = 0;
    while (true) {
        std::size_t dot = text.find('.');
        std::optional<std::uint64_t> part = parse_integer(text.substr(0, dot));
        if (!part || ++parts > 4)
            return std::nullopt;
        if (dot == text.npos) {
            // The last part fills what is left, as inet_aton has it.
            unsigned bits = 8 * (5 - parts);
            if (*part >> bits != 0)
                return std::nullopt;
            return Ipv4::from_host(value | static_cast<std::uint32_t>(*part));
        }
        if (*part > 255)
            return std::nullopt;
        value |= static_cast<std::uint32_t>(*part) << (8 * (4 - parts));
        text.remove_prefix(dot + 1);
    }
}

Value<MacAndMask> parse_mac_and_mask(std::string_view text) {
    if (text == "any" || text == "*")
        return MacAndMask{};
    std::size_t separator = text.find_first_of("/&");
    auto address = parse_mac(text.substr(0, separator));
    if (!address)
        return bad("bad MAC address " + quote(text) + "; expected 00:11:22:33:44:55 or any");
    MacAndMask result;
    result.address = *address;
    result.mask.bytes.fill(0xff);
    if (separator != text.npos) {
        std::string_view rest = text.substr(separator + 1);
        if (text[separator] == '&') {
            auto mask = parse_mac(rest);
            if (!mask)
                return bad("bad MAC mask " + quote(rest), separator + 1);
            result.mask = *mask;
        } else {
            auto length = parse_number(rest, 0, 48, "width of the MAC mask");
            if (!length) {
                ValueError failed = length.error();
                failed.offset = separator + 1;
                return failed;
            }
            for (unsigned i = 0; i < 6; ++i) {
                unsigned bits =
                    std::clamp<int>(static_cast<int>(*length) - 8 * static_cast<int>(i), 0, 8);
                result.mask.bytes[i] = static_cast<std::uint8_t>(0xff00u >> bits);
            }
        }
    }
    for (unsigned i = 0; i < 6; ++i)
        result.address.bytes[i] &= result.mask.bytes[i];
    return result;
}

Value<FlagBits> parse_flags(std::string_view text, FlagField field) {
    FlagBits bits;
    std::span<const Keyword<std::uint8_t>> names = flag_keywords(field);
    bool may_clear = field != FlagField::ext6hdr;
    auto error = each_item(
        text, "flags", kMaximumListEntries,
        [&](std::string_view part, std::size_t offset) -> std::optional<ValueError> {
            std::string_view name = part;
            bool clear = may_clear && name.starts_with('!');
            if (clear)
                name.remove_prefix(1);
            const auto* keyword = find_keyword(names, name);
            if (keyword == nullptr) {
                std::string expected;
                for (const auto& known : names)
                    if (keyword_name(names, known.value) == known.name)
                        expected += (expected.empty() ? "" : ", ") + std::string(known.name);
                return ValueError{ExitStatus::data, offset,
                                  "invalid flag " + quote(name) + "; expected one of " + expected,
                                  std::string(nearest_keyword(name, names))};
            }
            (clear ? bits.clear : bits.set) |= keyword->value;
            return std::nullopt;
        });
    if (error)
        return *error;
    return bits;
}

}  // namespace sluice::language
