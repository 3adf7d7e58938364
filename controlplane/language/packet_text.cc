#include "controlplane/language/packet_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <variant>

#include "controlplane/language/model.h"
#include "controlplane/language/names.h"

namespace sluice::language {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132, kUdpLite = 136;
constexpr std::uint8_t kFragment6 = 44;

struct Token {
    std::string_view text;
    std::size_t column = 1;
};

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = text.find_first_not_of(" \t", at);
        if (begin == text.npos)
            break;
        const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
        tokens.push_back({text.substr(begin, end - begin), begin + 1});
        at = end;
    }
    return tokens;
}

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t most) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > most)
        return std::nullopt;
    return value;
}

// What a packet is made of.
struct Plan {
    std::uint8_t protocol = 0;
    HostAddress source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t tcp_flags = tcp_flag::syn;
    std::uint8_t type = 8, code = 0;
    std::uint8_t ttl = 64, tos = 0;
    std::uint16_t id = 0;
    std::uint32_t length = 0;  // 0: as long as its headers
    std::uint32_t fragment_offset = 0;
    bool more_fragments = false;
    bool is_fragment = false;
    std::uint16_t vlan = 0;
    bool tagged = false;

    bool is_ip6() const { return std::holds_alternative<Ipv6>(source); }
};

class Bytes {
  public:
    void one(std::uint32_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
    void two(std::uint32_t value) {
        one(value >> 8);
        one(value);
    }
    void four(std::uint32_t value) {
        two(value >> 16);
        two(value);
    }
    void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
    void address(const HostAddress& address) {
        std::visit(
            [&](const auto& value) {
                const auto* first = reinterpret_cast<const std::byte*>(&value);
                bytes_.insert(bytes_.end(), first, first + sizeof value);
            },
            address);
    }
    void append(const std::vector<std::byte>& more) {
        bytes_.insert(bytes_.end(), more.begin(), more.end());
    }
    std::vector<std::byte> take() { return std::move(bytes_); }

  private:
    std::vector<std::byte> bytes_;
};

std::vector<std::byte> transport_of(const Plan& plan, std::size_t payload) {
    Bytes out;
    if (plan.fragment_offset == 0) {
        switch (plan.protocol) {
            case kTcp:
                out.two(plan.source_port);
                out.two(plan.destination_port);
                out.four(0);
                out.four(0);
                out.one(5u << 4);
                out.one(plan.tcp_flags);
                out.two(65535);
                out.four(0);
                break;
            case kUdp:
            case kUdpLite:
                out.two(plan.source_port);
                out.two(plan.destination_port);
                out.two(static_cast<std::uint32_t>(8 + payload));
                out.two(0);
                break;
            case kSctp:
                out.two(plan.source_port);
                out.two(plan.destination_port);
                out.four(0);
                out.four(0);
                break;
            case kIcmp:
            case kIcmp6:
                out.one(plan.type);
                out.one(plan.code);
                out.two(0);
                out.four(0);
                break;
            default:
                break;
        }
    }
    out.zeros(payload);
    return out.take();
}

std::vector<std::byte> frame_of(const Plan& plan) {
    const std::size_t header = plan.is_ip6() ? 40u + (plan.is_fragment ? 8u : 0u) : 20u;
    const std::size_t bare = transport_of(plan, 0).size();
    const std::size_t payload =
        plan.length > header + bare ? plan.length - header - bare : std::size_t{0};
    const std::vector<std::byte> transport = transport_of(plan, payload);
    Bytes out;
    constexpr unsigned kLocalMac = 2;
    for (const unsigned last : {2u, 1u}) {
        out.one(kLocalMac);
        out.zeros(4);
        out.one(last);
    }
    if (plan.tagged) {
        out.two(0x8100);
        out.two(plan.vlan);
    }
    out.two(plan.is_ip6() ? 0x86dd : 0x0800);
    const auto total = static_cast<std::uint32_t>(header + transport.size());
    if (plan.is_ip6()) {
        out.four(6u << 28 | std::uint32_t{plan.tos} << 20);
        out.two(total - 40);
        out.one(plan.is_fragment ? kFragment6 : plan.protocol);
        out.one(plan.ttl);
        out.address(plan.source);
        out.address(plan.destination);
        if (plan.is_fragment) {
            out.one(plan.protocol);
            out.one(0);
            out.two(plan.fragment_offset | (plan.more_fragments ? 1 : 0));
            out.four(plan.id);
        }
    } else {
        out.one(0x45);
        out.one(plan.tos);
        out.two(total);
        out.two(plan.id);
        out.two(plan.fragment_offset / 8 | (plan.more_fragments ? 0x2000 : 0));
        out.one(plan.ttl);
        out.one(plan.protocol);
        out.two(0);
        out.address(plan.source);
        out.address(plan.destination);
    }
    out.append(transport);
    return out.take();
}

class Reader {
  public:
    explicit Reader(std::string_view text) : tokens_(tokens_of(text)), end_(text.size() + 1) {}

    Result<PacketText, ParseError> read() {
        if (read_way() && read_protocol() && read_ends() && read_words() && check())
            packet_.frame = frame_of(plan_);
        if (failed_)
            return error_;
        return packet_;
    }

  private:
    bool at_end() const { return at_ == tokens_.size(); }
    std::string_view word() const { return at_end() ? std::string_view() : tokens_[at_].text; }

    bool fail(const std::string& expected) {
        failed_ = true;
        error_.status = at_end() ? ExitStatus::usage : ExitStatus::data;
        error_.word = at_;
        error_.column = at_end() ? end_ : tokens_[at_].column;
        error_.message = (at_end() ? std::string("the packet ends here")
                                   : "found " + quote(std::string(word()))) +
                         "; expected " + expected;
        return false;
    }

    std::optional<std::uint8_t> protocol_of(std::string_view text) const {
        if (const auto value = number(text, 255))
            return static_cast<std::uint8_t>(*value);
        if (text == "icmp6")
            return kIcmp6;
        return NameDatabase::instance().protocol(text);
    }

    bool read_way() {
        if (word() == "in" || word() == "out") {
            packet_.out = word() == "out";
            ++at_;
        }
        // An interface is what stands in front of the protocol.
        if (at_ + 1 < tokens_.size() && word() != "recv" &&
            (tokens_[at_ + 1].text == "recv" || protocol_of(tokens_[at_ + 1].text))) {
            packet_.interface = word();
            ++at_;
        }
        if (word() == "recv") {
            ++at_;
            if (at_end())
                return fail("the interface that it was received by");
            if (!packet_.out)
                return fail("`recv` only with a packet that goes out");
            packet_.receive_interface = word();
            ++at_;
        }
        return true;
    }

    bool read_protocol() {
        const auto protocol = protocol_of(word());
        if (at_end() || !protocol || word() == "ip")
            return fail("a protocol, as tcp, udp, icmp or a number");
        plan_.protocol = *protocol;
        if (plan_.protocol == kIcmp6)
            plan_.type = 128;
        ++at_;
        return true;
    }

    bool read_end(HostAddress& address, std::uint16_t& port) {
        std::string_view text = word();
        std::string_view port_text;
        bool has_port = false;
        if (text.starts_with('[')) {
            const std::size_t close = text.find(']');
            if (close == text.npos)
                return fail("an IPv6 address in brackets");
            const std::string_view rest = text.substr(close + 1);
            has_port = rest.starts_with(':');
            if (!rest.empty() && !has_port)
                return fail("`:PORT` behind the bracket");
            port_text = has_port ? rest.substr(1) : std::string_view();
            text = text.substr(1, close - 1);
        } else if (std::count(text.begin(), text.end(), ':') == 1) {
            const std::size_t colon = text.find(':');
            has_port = true;
            port_text = text.substr(colon + 1);
            text = text.substr(0, colon);
        }
        if (const auto v4 = parse_ipv4(text))
            address = *v4;
        else if (const auto v6 = parse_ipv6(text))
            address = *v6;
        else
            return fail("an address, with `:PORT` if the protocol has ports");
        if (has_port) {
            const auto value = number(port_text, 65535);
            const auto named = NameDatabase::instance().service(port_text);
            if (!value && !named)
                return fail("a port from 0 to 65535 or the name of a service");
            port = value ? static_cast<std::uint16_t>(*value) : *named;
        }
        const bool has_ports = plan_.protocol == kTcp || plan_.protocol == kUdp ||
                               plan_.protocol == kSctp || plan_.protocol == kUdpLite;
        if (has_port && !has_ports)
            return fail("an address without a port: the protocol has none");
        ++at_;
        return true;
    }

    bool read_ends() {
        if (!read_end(plan_.source, plan_.source_port))
            return false;
        if (word() != ">")
            return fail("`>` between source and destination");
        ++at_;
        if (at_end())
            return fail("the address of the destination");
        const std::size_t destination = at_;
        if (!read_end(plan_.destination, plan_.destination_port))
            return false;
        if (plan_.source.index() == plan_.destination.index())
            return true;
        at_ = destination;
        return fail("two addresses of one IP version");
    }

    template <typename Field>
    bool read_number(Field& field, std::uint32_t most) {
        ++at_;
        const auto value = number(word(), most);
        if (!value)
            return fail("a number from 0 to " + std::to_string(most));
        field = static_cast<Field>(*value);
        ++at_;
        return true;
    }

    bool read_flags() {
        constexpr std::string_view kLetters = "FSRPAU";  // in the order of their bits
        if (word() == "none") {
            plan_.tcp_flags = 0;
            ++at_;
            return true;
        }
        std::uint8_t flags = 0;
        for (const char letter : word()) {
            const std::size_t bit = kLetters.find(letter);
            if (bit == kLetters.npos)
                return fail(
                    "TCP flags (letters of FSRPAU, or none), ttl, tos, id, len, frag, vlan, "
                    "type, code or bridged");
            flags = static_cast<std::uint8_t>(flags | 1u << bit);
        }
        plan_.tcp_flags = flags;
        ++at_;
        return true;
    }

    bool read_fragment() {
        ++at_;
        std::string_view text = word();
        plan_.is_fragment = true;
        plan_.more_fragments = text.ends_with('+');
        if (plan_.more_fragments)
            text.remove_suffix(1);
        const auto offset = number(text, 65528);
        if (!offset || *offset % 8 != 0)
            return fail("an offset in bytes, a multiple of 8, with + if more fragments follow");
        plan_.fragment_offset = *offset;
        ++at_;
        return true;
    }

    bool read_words() {
        while (!at_end()) {
            const std::string_view now = word();
            bool good = true;
            if (now == "ttl")
                good = read_number(plan_.ttl, 255);
            else if (now == "tos")
                good = read_number(plan_.tos, 255);
            else if (now == "id")
                good = read_number(plan_.id, 65535);
            else if (now == "len")
                good = read_number(plan_.length, kLongestTracedPacket);
            else if (now == "frag")
                good = read_fragment();
            else if (now == "vlan")
                good = plan_.tagged = read_number(plan_.vlan, 4094);
            else if (now == "bridged")
                packet_.bridged = true, ++at_;
            else if ((now == "type" || now == "code") &&
                     (plan_.protocol == kIcmp || plan_.protocol == kIcmp6))
                good = read_number(now == "type" ? plan_.type : plan_.code, 255);
            else if (plan_.protocol == kTcp)
                good = read_flags();
            else
                good = fail("ttl, tos, id, len, frag, vlan or bridged; icmp: type or code");
            if (!good)
                return false;
        }
        return true;
    }

    bool check() {
        const std::size_t header = plan_.is_ip6() ? 40u + (plan_.is_fragment ? 8u : 0u) : 20u;
        const std::size_t least = header + transport_of(plan_, 0).size();
        if (plan_.length != 0 && plan_.length < least)
            return fail("`len` of at least " + std::to_string(least) + ", for its headers");
        return true;
    }

    std::vector<Token> tokens_;
    std::size_t end_;
    std::size_t at_ = 0;
    bool failed_ = false;
    ParseError error_;
    PacketText packet_;
    Plan plan_;
};

}  // namespace

Result<PacketText, ParseError> parse_packet(std::string_view text) {
    return Reader(text).read();
}

}  // namespace sluice::language
