#include "controlplane/language/rule_parser.h"

#include <algorithm>

#include "controlplane/language/canonical.h"
#include "controlplane/language/rule_reader.h"

namespace sluice::language {

namespace {

constexpr std::size_t kMaximumCommentLength = 80;

bool is_any(const Match& match) {
    const auto* address = std::get_if<AddressMatch>(&match);
    return address != nullptr && std::holds_alternative<Any>(address->what);
}

}  // namespace

std::optional<ProtocolMatch> protocol_of(std::string_view word, bool as_option) {
    using Kind = ProtocolMatch::Kind;
    if (word == "ip" || word == "all")
        return ProtocolMatch{Kind::any, 0};
    if (word == "ip4" || (word == "ipv4" && !as_option))
        return ProtocolMatch{Kind::ip4, 0};
    if (word == "ip6" || (word == "ipv6" && !as_option))
        return ProtocolMatch{Kind::ip6, 0};
    if (!word.empty() && word.front() >= '0' && word.front() <= '9') {
        auto number = parse_integer(word);
        if (!number || *number == 0 || *number > 255)
            return std::nullopt;
        return ProtocolMatch{Kind::number, static_cast<std::uint8_t>(*number)};
    }
    if (auto number = NameDatabase::instance().protocol(word))
        return ProtocolMatch{Kind::number, *number};
    return std::nullopt;
}

AddressFamily family_of(const ProtocolMatch& protocol) {
    constexpr std::uint8_t kIcmp = 1, kIcmp6 = 58;
    using Kind = ProtocolMatch::Kind;
    const bool number = protocol.kind == Kind::number;
    if (protocol.kind == Kind::ip4 || (number && protocol.number == kIcmp))
        return AddressFamily::ipv4;
    if (protocol.kind == Kind::ip6 || (number && protocol.number == kIcmp6))
        return AddressFamily::ipv6;
    return AddressFamily::any;
}

bool RuleReader::read_not(bool& negated) {
    negated = false;
    if (!is_not(cursor_.word()))
        return true;
    negated = true;
    cursor_.advance();
    if (is_not(cursor_.word()))
        return cursor_.fail(ExitStatus::usage, "double \"not\" is not allowed");
    if (is_opening(cursor_.word()))
        return cursor_.fail(ExitStatus::usage,
                            "\"not\" before a block is not allowed; write it before each part");
    return true;
}

// Whether `proto from … to …` follows, rather than options only: there is a protocol, or what
// stands in its place is followed by `from`.
bool RuleReader::starts_body() const {
    std::string_view word = cursor_.word();
    std::size_t ahead = 0;
    if (at_comment())
        return false;
    if (is_opening(word)) {
        word.remove_prefix(1);
        if (word.empty())
            word = cursor_.peek(++ahead);
    }
    if (is_not(word))
        word = cursor_.peek(++ahead);
    return word == "from" || protocol_of(word, false).has_value() ||
           (cursor_.peek(ahead + 1) == "from" && !word.empty());
}

bool RuleReader::read_protocol(Term& term) {
    if (!read_not(term.negated))
        return false;
    std::string_view word = cursor_.word();
    if (word == "from" || !at_argument())
        return cursor_.fail_missing("protocol");
    auto protocol = protocol_of(word, false);
    if (!protocol) {
        std::vector<std::string_view> names = {"ip", "all", "ip4", "ip6"};
        for (const auto& [name, number] : NameDatabase::instance().protocols())
            if (name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == name.npos)
                names.push_back(name);
        std::sort(names.begin(), names.end());  // the same suggestion every time
        return cursor_.fail(ExitStatus::usage,
                            "unknown protocol " + quote(word) +
                                "; expected a name of /etc/protocols or a number from 1 to 255",
                            std::string(nearest(word, names)));
    }
    if (term.negated && protocol->kind == ProtocolMatch::Kind::any)
        return cursor_.fail(ExitStatus::data, "\"not " + std::string(word) + "\" never matches");
    term.match = *protocol;
    cursor_.advance();
    return true;
}

std::string RuleReader::service_protocol() const {
    if (!rule_.body || rule_.body->protocol.any_of.size() != 1)
        return {};
    const Term& term = rule_.body->protocol.any_of.front();
    const auto* protocol = std::get_if<ProtocolMatch>(&term.match);
    if (term.negated || protocol == nullptr || protocol->kind != ProtocolMatch::Kind::number)
        return {};
    return NameDatabase::instance().protocol_name(protocol->number).value_or("");
}

AddressFamily RuleReader::body_family() const {
    if (!rule_.body || rule_.body->protocol.any_of.empty())
        return AddressFamily::any;
    const std::vector<Term>& terms = rule_.body->protocol.any_of;
    const AddressFamily family = family_of(*std::get_if<ProtocolMatch>(&terms.front().match));
    for (const Term& term : terms)
        if (term.negated || family_of(*std::get_if<ProtocolMatch>(&term.match)) != family)
            return AddressFamily::any;
    return family;
}

bool RuleReader::read_side(Side side, Group& addresses, std::optional<Term>& ports) {
    bool is_block = is_opening(cursor_.word());
    std::string_view keyword = side == Side::source ? "from" : "to";
    bool read = read_block([&](bool) {
        Term term;
        if (!read_not(term.negated))
            return false;
        if (!at_argument() || cursor_.word() == "from" || cursor_.word() == "to")
            return cursor_.fail_missing("address after \"" + std::string(keyword) + "\"");
        auto address = parse_address(cursor_.word(), body_family(), resolver_);
        if (!address)
            return cursor_.fail(address.error());
        term.match = AddressMatch{side, *address};
        if (term.negated && is_any(term.match))
            return cursor_.fail(ExitStatus::data, "\"not any\" never matches");
        cursor_.advance();
        addresses.any_of.push_back(std::move(term));
        return true;
    });
    if (!read)
        return false;
    if (!is_block && is_any(addresses.any_of.front().match))
        addresses.any_of.clear();

    std::string protocol = service_protocol();
    bool negated = is_not(cursor_.word());
    std::string_view word = negated ? cursor_.peek(1) : cursor_.word();
    if (word == "any") {
        if (negated)
            return cursor_.fail(ExitStatus::data, "\"not any\" never matches");
        cursor_.advance();
        return true;
    }
    if (is_reserved(word) || !looks_like_ports(word, protocol))
        return true;
    if (negated)
        cursor_.advance();
    auto entries = parse_ports(cursor_.word(), protocol);
    if (!entries)
        return cursor_.fail(entries.error());
    ports = Term{negated, PortMatch{side, *entries}};
    cursor_.advance();
    return true;
}

bool RuleReader::read_body() {
    Body& body = rule_.body.emplace();
    bool is_block = is_opening(cursor_.word());
    bool read = read_block([&](bool) {
        Term term;
        if (!read_protocol(term))
            return false;
        body.protocol.any_of.push_back(std::move(term));
        return true;
    });
    if (!read)
        return false;
    const auto* protocol = std::get_if<ProtocolMatch>(&body.protocol.any_of.front().match);
    if (!is_block && protocol->kind == ProtocolMatch::Kind::any)
        body.protocol.any_of.clear();

    if (!cursor_.take("from"))
        return cursor_.fail_missing("\"from\" after the protocol", "from");
    if (!read_side(Side::source, body.source, body.source_ports))
        return false;
    if (!cursor_.take("to"))
        return cursor_.fail_missing(body.source_ports ? "\"to\"" : "ports or \"to\"", "to");
    return read_side(Side::destination, body.destination, body.destination_ports);
}

bool RuleReader::read_comment() {
    std::size_t start = cursor_.position();
    std::string text(cursor_.word().substr(2));
    for (cursor_.advance(); !cursor_.at_end(); cursor_.advance())
        text += " " + std::string(cursor_.word());
    // One blank between words, none at the ends: what a line of a file would give.
    std::string& comment = rule_.comment;
    for (char c : text)
        if (c != ' ' || (!comment.empty() && comment.back() != ' '))
            comment += c;
    while (!comment.empty() && comment.back() == ' ')
        comment.pop_back();
    if (comment.size() > kMaximumCommentLength)
        return cursor_.fail_at(start, ExitStatus::data,
                               "the comment has " + std::to_string(comment.size()) +
                                   " characters; at most 80 are kept");
    return true;
}

bool RuleReader::read() {
    if (!read_prefix())
        return false;
    if (at_comment()) {
        rule_.body = Body{};
        return read_comment();
    }
    if (!read_action() || !read_modifiers())
        return false;
    bool is_check = rule_.action.kind == ActionKind::check_state;
    if (is_check) {
        if (cursor_.word() == "expires" && !read_expiry(false, false))
            return false;
        if (!cursor_.at_end() && !at_comment())
            return cursor_.fail(ExitStatus::usage,
                                "found " + quote(cursor_.word()) +
                                    " after check-state; expected the end of the rule, which takes "
                                    "no addresses and no options");
    } else {
        if (cursor_.at_end())
            return cursor_.fail_missing("protocol or option");
        if (starts_body() && !read_body())
            return false;
        if (!read_options())
            return false;
    }
    if (!cursor_.at_end() && !read_comment())
        return false;
    if (!rule_.label.empty() && rule_.expires_s)
        return cursor_.fail_at(0, ExitStatus::data, kLabelledRuleExpires);
    canonicalise(rule_);
    return true;
}

Result<Rule, ParseError> parse_rule(std::span<const Word> words, const NameResolver& resolver,
                                    std::size_t first_word, std::size_t end_column) {
    Cursor cursor(words, first_word, end_column);
    RuleReader reader(cursor, resolver);
    if (!reader.read())
        return cursor.error();
    return std::move(reader.rule());
}

Result<Rule, ParseError> parse_rule(std::string_view text, const NameResolver& resolver) {
    auto words = split_line(text);
    if (!words)
        return words.error();
    return parse_rule(*words, resolver);
}

}  // namespace sluice::language
