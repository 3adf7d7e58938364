// parse_address: the addresses of `from`, `to`, `src-ip` and their like.
#include "controlplane/language/values.h"

namespace sluice::language {

namespace {

ValueError bad(std::string message, std::size_t offset) {
    return {ExitStatus::data, offset, std::move(message), {}};
}

ValueError moved(ValueError error, std::size_t offset) {
    error.offset += offset;
    return error;
}

Value<std::uint32_t> parse_width(std::string_view text, std::uint32_t maximum, std::size_t offset) {
    auto width = parse_number(text, 0, maximum, "width");
    if (!width)
        return bad("bad width " + quote(text) + "; expected 0 to " + std::to_string(maximum),
                   offset);
    return width;
}

// `1.2.3.0/24{1,5-9}`, `brace` is the offset of the `{`.
Value<Address> parse_address_set(std::string_view text, std::size_t brace,
                                 const NameResolver& resolver) {
    if (text.back() != '}')
        return bad("missing \"}\" at the end of the address set", text.size());
    std::string_view network = text.substr(0, brace);
    std::size_t slash = network.find('/');
    auto host = parse_host(network.substr(0, slash), AddressFamily::ipv4, resolver);
    if (!host)
        return host.error();
    const Ipv4* address = std::get_if<Ipv4>(&*host);
    if (address == nullptr)
        return bad("address sets are for IPv4 only", 0);
    AddressSet set;
    if (slash != network.npos) {
        std::string_view width = network.substr(slash + 1);
        auto length = parse_integer(width);
        if (!length || *length < 24 || *length > 32)
            return bad("bad width " + quote(width) + " of an address set; expected 24 to 32",
                       slash + 1);
        set.length = static_cast<std::uint8_t>(*length);
    }
    set.base = *address & ipv4_mask(set.length);
    std::uint32_t low = set.base.host() & 0xff;
    std::uint32_t high = low + (1u << (32 - set.length)) - 1;
    std::string_view members = text.substr(brace + 1, text.size() - brace - 2);
    ListRules rules{"member of the address set", low, high};
    rules.maximum_entries = kUnlimited;
    auto ranges = parse_list(members, rules);
    if (!ranges)
        return moved(ranges.error(), brace + 1);
    for (const NumberRange& range : *ranges)
        for (std::uint32_t member = range.first; member <= range.last; ++member)
            set.members.set(member - low);
    return Address(set);
}

struct Network {
    HostAddress address;
    std::optional<Ipv4> mask4;
    std::optional<Ipv6> mask6;
};

// One entry of a list.
Value<Network> parse_network(std::string_view text, std::size_t offset, AddressFamily family,
                             const NameResolver& resolver) {
    std::size_t slash = text.find('/');
    std::string_view host_text = text.substr(0, slash);
    // A colon separates the mask of an IPv4 address; in an IPv6 address there are two at least.
    std::size_t colon = text.npos;
    if (slash == text.npos && text.find(':') == text.rfind(':'))
        colon = text.find(':');
    host_text = host_text.substr(0, colon);
    if (std::size_t at = host_text.find('@'); at != host_text.npos)
        return bad("project addresses (" + quote(text) +
                       ") are an invention of YANET, not part of ipfw; write the network with a "
                       "mask instead",
                   offset + at);
    if (std::size_t percent = host_text.find('%'); percent != host_text.npos)
        return bad("scoped address " + quote(host_text) +
                       "; write the address without the interface and add \"via\"",
                   offset + percent);
    auto host = parse_host(host_text, family, resolver);
    if (!host)
        return moved(host.error(), offset);
    Network network{*host, {}, {}};
    if (std::holds_alternative<Ipv4>(network.address)) {
        network.mask4 = ipv4_mask(32);
        if (slash != text.npos) {
            auto width = parse_width(text.substr(slash + 1), 32, offset + slash + 1);
            if (!width)
                return width.error();
            network.mask4 = ipv4_mask(*width);
        } else if (colon != text.npos) {
            network.mask4 = parse_ipv4_mask(text.substr(colon + 1));
            if (!network.mask4)
                return bad("bad netmask " + quote(text.substr(colon + 1)) + "; expected A.B.C.D",
                           offset + colon + 1);
        }
        return network;
    }
    network.mask6 = ipv6_mask(128);
    if (slash != text.npos) {
        std::string_view mask = text.substr(slash + 1);
        if (mask.find(':') != mask.npos) {
            network.mask6 = parse_ipv6(mask);
            if (!network.mask6)
                return bad("bad IPv6 mask " + quote(mask), offset + slash + 1);
        } else {
            auto width = parse_width(mask, 128, offset + slash + 1);
            if (!width)
                return width.error();
            network.mask6 = ipv6_mask(*width);
        }
    } else if (colon != text.npos) {
        return bad("bad address " + quote(text) + "; a mask after \":\" needs an IPv4 address",
                   offset + colon);
    }
    return network;
}

}  // namespace

Value<Address> parse_address(std::string_view text, AddressFamily family,
                             const NameResolver& resolver) {
    if (text == "any")
        return Address(Any{});
    if (text == "me")
        return Address(Me{});
    if (text == "me6")
        return Address(Me6{});
    if (auto table = parse_table_reference(text)) {
        if (!*table)
            return table->error();
        return Address(std::move(**table));
    }
    if (std::size_t brace = text.find('{'); brace != text.npos)
        return parse_address_set(text, brace, resolver);

    std::vector<Ipv4Network> ipv4;
    std::vector<Ipv6Network> ipv6;
    bool matches_all = false;
    std::size_t start = 0;
    while (true) {
        std::size_t comma = text.find(',', start);
        std::string_view part = text.substr(start, comma - start);
        if (part.empty())
            return bad("empty entry in the list of addresses", start);
        if (part == "any") {
            matches_all = true;
        } else if (part == "me" || part == "me6" || part.starts_with("table(")) {
            return bad(quote(part) + " cannot stand in a list; write { A or B } instead", start);
        } else {
            auto network = parse_network(part, start, family, resolver);
            if (!network)
                return network.error();
            if (network->mask4) {
                Ipv4 address = *std::get_if<Ipv4>(&network->address);
                // `/0` is any, of both families, as ipfw has it.
                if (network->mask4->host() == 0)
                    matches_all = true;
                ipv4.push_back({address & *network->mask4, *network->mask4});
            } else {
                const Ipv6& address = *std::get_if<Ipv6>(&network->address);
                ipv6.push_back({address & *network->mask6, *network->mask6});
            }
            if (!ipv4.empty() && !ipv6.empty())
                return bad("a list cannot hold IPv4 and IPv6 addresses; write { A or B } instead",
                           start);
        }
        if (comma == text.npos)
            break;
        start = comma + 1;
    }
    if (matches_all)
        return Address(Any{});
    if (!ipv4.empty())
        return Address(std::move(ipv4));
    return Address(std::move(ipv6));
}

}  // namespace sluice::language
