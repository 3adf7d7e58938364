// Number, set, probability, action and modifiers of a rule.
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "controlplane/language/rule_reader.h"

namespace sluice::language {

namespace {

// What the YANET dialect adds to ipfw. Named in the message, so that nobody looks for a
// misspelling.
constexpr std::string_view kYanetActions[] = {"state-timeout", "hitcount", "dump"};

// Six decimals are printed; what is kept is what is printed.
constexpr double kSmallestProbability = 0.000001;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

bool RuleReader::at_argument() const {
    return !cursor_.at_end() && !at_comment() && !is_closing(cursor_.word()) &&
           !is_or(cursor_.word());
}

bool RuleReader::read_prefix() {
    if (!cursor_.at_end() && !cursor_.word().empty() && is_digit(cursor_.word().front())) {
        bool decimal = cursor_.word().find_first_not_of("0123456789") == std::string_view::npos;
        auto number = parse_integer(cursor_.word(), true);
        if (!decimal || !number || *number > kDefaultRuleNumber)
            return cursor_.fail(ExitStatus::data, "invalid rule number " + quote(cursor_.word()) +
                                                      "; expected 1 to 65534");
        rule_.number = static_cast<std::uint16_t>(*number);
        cursor_.advance();
    }
    if (cursor_.word().starts_with(':') && !read_label(rule_.label))
        return false;
    if (cursor_.take("set")) {
        if (!at_argument())
            return cursor_.fail_missing("set number");
        auto set = parse_number(cursor_.word(), 0, kSetCount - 1, "set");
        if (!set)
            return cursor_.fail(set.error());
        rule_.set = static_cast<std::uint8_t>(*set);
        cursor_.advance();
    }
    if (cursor_.word().starts_with(':')) {
        if (!rule_.label.empty())
            return cursor_.fail(ExitStatus::data,
                                "a rule has one label, and this has :" + rule_.label + " already");
        if (!read_label(rule_.label))
            return false;
    }
    if (cursor_.take("prob")) {
        if (!at_argument())
            return cursor_.fail_missing("match probability");
        std::string_view word = cursor_.word();
        double value = 0;
        auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc{} || end != word.data() + word.size() ||
            !(value >= kSmallestProbability && value <= 1))
            return cursor_.fail(ExitStatus::data, "illegal match probability " + quote(word) +
                                                      "; expected a number from 0.000001 to 1");
        char text[32];
        std::snprintf(text, sizeof text, "%f", value);
        rule_.probability = std::strtod(text, nullptr);
        cursor_.advance();
    }
    return true;
}

bool RuleReader::read_label(std::string& label) {
    const std::string_view text = cursor_.word().substr(1);
    if (!is_valid_name(text))
        return cursor_.fail(ExitStatus::data,
                            "bad label " + quote(cursor_.word()) +
                                "; expected \":\" and letters, digits, \"_\", \"-\" or \".\", "
                                "at most 63 of them");
    label = text;
    cursor_.advance();
    return true;
}

bool RuleReader::read_action() {
    if (cursor_.at_end())
        return cursor_.fail_missing("action");
    const auto* keyword = find_keyword(action_keywords(), cursor_.word());
    if (keyword == nullptr) {
        std::string_view word = cursor_.word();
        for (std::string_view yanet : kYanetActions)
            if (word == yanet)
                return cursor_.fail(ExitStatus::data, "action " + quote(word) +
                                                          " is an invention of YANET, not part of "
                                                          "ipfw; expected an action");
        if (find_keyword(modifier_keywords(), word) != nullptr)
            return cursor_.fail(ExitStatus::data,
                                quote(word) + " stands after the action; expected an action");
        return cursor_.fail(ExitStatus::data,
                            "invalid action " + quote(word) + "; expected an action",
                            std::string(nearest_keyword(word, action_keywords())));
    }
    rule_.action.kind = keyword->value;
    cursor_.advance();
    return read_action_argument();
}

bool RuleReader::read_action_argument() {
    Action& action = rule_.action;
    switch (action.kind) {
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
            return true;
        case ActionKind::check_state:
            return read_check_state();
        case ActionKind::unreach:
            return read_unreach();
        case ActionKind::unreach6:
            return read_named_code(unreach6_codes(), "ICMPv6 unreachable code", 255);
        case ActionKind::skipto:
        case ActionKind::call:
            if (cursor_.word().starts_with(':'))
                return read_label(action.label);
            return read_argument(action.argument, {"rule number"});
        case ActionKind::divert:
        case ActionKind::tee: {
            if (cursor_.word() == "tablearg" || !at_argument())
                return read_argument(action.argument, {"divert port"});
            auto port = parse_divert_port(cursor_.word());
            if (!port)
                return cursor_.fail(port.error());
            action.argument.value = *port;
            cursor_.advance();
            return true;
        }
        case ActionKind::fwd:
            return read_next_hop();
        case ActionKind::pipe:
            return read_argument(action.argument, {"pipe number"});
        case ActionKind::queue:
            return read_argument(action.argument, {"queue number"});
        case ActionKind::netgraph:
        case ActionKind::ngtee:
            return read_argument(action.argument, {"netgraph cookie"});
        case ActionKind::nat:
            return read_nat();
        case ActionKind::nat64lsn:
        case ActionKind::nat64stl:
        case ActionKind::nat64clat:
        case ActionKind::nptv6:
            return read_object_name(action.name, "name of the instance");
        case ActionKind::eaction:
            return read_external_action();
        case ActionKind::setfib:
            return read_argument(action.argument, {"fib number", 0, 65535});
        case ActionKind::setdscp:
            if (cursor_.word() == "tablearg")
                return read_argument(action.argument, {"DSCP"});
            return read_named_code(dscp_names(), "DSCP", 63);
        case ActionKind::tcp_setmss:
            return read_argument(action.argument, {"MSS", 1, 65535, false});
        case ActionKind::setmark:
            return read_argument(action.argument, {"mark", 0, UINT32_MAX});
    }
    return true;
}

bool RuleReader::read_argument(Argument& argument, const ArgumentRules& rules) {
    if (!at_argument())
        return cursor_.fail_missing(rules.what);
    if (rules.may_be_tablearg && cursor_.word() == "tablearg") {
        argument.from_table = true;
        cursor_.advance();
        return true;
    }
    auto value = parse_number(cursor_.word(), rules.minimum, rules.maximum, rules.what);
    if (!value) {
        // Rule numbers are often written with five digits.
        auto padded = parse_integer(cursor_.word(), true);
        if (!padded || *padded < rules.minimum || *padded > rules.maximum)
            return cursor_.fail(value.error());
        value = static_cast<std::uint32_t>(*padded);
    }
    argument.value = *value;
    cursor_.advance();
    return true;
}

bool RuleReader::read_named_code(std::span<const Keyword<std::uint32_t>> names,
                                 std::string_view what, std::uint32_t maximum) {
    if (!at_argument())
        return cursor_.fail_missing(what);
    std::string_view word = cursor_.word();
    if (const auto* name = find_keyword(names, word)) {
        rule_.action.argument.value = name->value;
    } else if (is_digit(word.front())) {
        auto value = parse_number(word, 0, maximum, what);
        if (!value)
            return cursor_.fail(value.error());
        rule_.action.argument.value = *value;
    } else {
        return cursor_.fail(ExitStatus::data,
                            "unknown " + std::string(what) + " " + quote(word) +
                                "; expected a name or 0 to " + std::to_string(maximum),
                            std::string(nearest_keyword(word, names)));
    }
    cursor_.advance();
    return true;
}

bool RuleReader::read_unreach() {
    if (!read_named_code(unreach_codes(), "ICMP unreachable code", 255))
        return false;
    constexpr std::uint32_t kNeedFragment = 4;
    // `unreach needfrag 1400 ip from …`; but `unreach needfrag 6 from …` is about TCP.
    std::string_view word = cursor_.word();
    if (rule_.action.argument.value == kNeedFragment && !word.empty() && is_digit(word.front()) &&
        cursor_.peek(1) != "from") {
        auto mtu = parse_number(word, 1, 65535, "MTU");
        if (!mtu)
            return cursor_.fail(mtu.error());
        rule_.action.mtu = static_cast<std::uint16_t>(*mtu);
        cursor_.advance();
    }
    return true;
}

bool RuleReader::read_next_hop() {
    if (!at_argument())
        return cursor_.fail_missing("address to forward to");
    std::string_view word = cursor_.word();
    std::size_t comma = word.find(',');
    std::string_view host = word.substr(0, comma);
    NextHop& next_hop = rule_.action.next_hop;
    if (host == "tablearg") {
        next_hop.address = Any{};
    } else {
        auto address = parse_host(host, AddressFamily::any, resolver_);
        if (!address)
            return cursor_.fail(address.error());
        if (const Ipv4* ipv4 = std::get_if<Ipv4>(&*address))
            next_hop.address = *ipv4;
        else
            next_hop.address = *std::get_if<Ipv6>(&*address);
    }
    if (comma != word.npos) {
        auto ports = parse_ports(word.substr(comma + 1), {});
        if (!ports) {
            ValueError error = ports.error();
            error.offset += comma + 1;
            return cursor_.fail(error);
        }
        const PortEntry& port = ports->front();
        if (ports->size() != 1 || port.first != port.last || port.mask || port.first == 0)
            return cursor_.fail(
                ExitStatus::data,
                "illegal forwarding port " + quote(word.substr(comma + 1)) + "; expected one port",
                {}, comma + 1);
        next_hop.port = port.first;
    }
    cursor_.advance();
    return true;
}

bool RuleReader::read_object_name(std::string& name, std::string_view what) {
    if (!at_argument())
        return cursor_.fail_missing(what);
    if (!is_valid_name(cursor_.word()))
        return cursor_.fail(ExitStatus::data,
                            "bad " + std::string(what) + " " + quote(cursor_.word()) +
                                "; expected letters, digits, \"_\", \"-\" or \".\"");
    name = cursor_.word();
    cursor_.advance();
    return true;
}

bool RuleReader::read_external_action() {
    if (!read_object_name(rule_.action.name, "name of the external action"))
        return false;
    // The instance may be left out: what can begin the rest of a rule is none.
    std::string_view word = cursor_.word();
    if (!at_argument() || is_opening(word) || is_reserved(word) || protocol_of(word, false) ||
        find_keyword(modifier_keywords(), word) != nullptr)
        return true;
    return read_object_name(rule_.action.instance, "name of the instance");
}

bool RuleReader::read_nat() {
    if (cursor_.take("global")) {
        rule_.action.name = "global";
        return true;
    }
    return read_argument(rule_.action.argument, {"nat number"});
}

bool RuleReader::read_check_state() {
    rule_.action.name = "default";
    if (cursor_.take(":any")) {
        rule_.action.name.clear();
        return true;
    }
    return read_state_name(rule_.action.name);
}

bool RuleReader::read_modifiers() {
    while (const auto* keyword = find_keyword(modifier_keywords(), cursor_.word())) {
        bool twice = false;
        switch (keyword->value) {
            case Modifier::log:
                twice = rule_.log.has_value();
                break;
            case Modifier::altq:
                twice = rule_.altq.has_value();
                break;
            case Modifier::tag:
            case Modifier::untag:
                twice = rule_.tag.has_value();
                break;
        }
        if (twice)
            return cursor_.fail(ExitStatus::usage,
                                keyword->value == Modifier::log || keyword->value == Modifier::altq
                                    ? quote(keyword->name) + " was already given"
                                    : "only one of tag and untag is allowed");
        cursor_.advance();
        switch (keyword->value) {
            case Modifier::log:
                if (!read_log())
                    return false;
                break;
            case Modifier::altq: {
                std::string queue;
                if (!read_object_name(queue, "name of the ALTQ queue"))
                    return false;
                rule_.altq = queue;
                break;
            }
            case Modifier::tag:
            case Modifier::untag: {
                Tag tag;
                tag.kind = keyword->value == Modifier::tag ? Tag::Kind::tag : Tag::Kind::untag;
                if (!read_argument(tag.number, {"tag"}))
                    return false;
                rule_.tag = tag;
                break;
            }
        }
    }
    if (cursor_.word() == "logamount" || cursor_.word() == "logdst")
        return cursor_.fail(ExitStatus::usage, quote(cursor_.word()) + " stands after \"log\"");
    return true;
}

bool RuleReader::read_log() {
    Log log;
    while (true) {
        if (!log.amount && cursor_.take("logamount")) {
            if (!at_argument())
                return cursor_.fail_missing("number after logamount");
            auto amount = parse_number(cursor_.word(), 0, INT32_MAX, "logamount");
            if (!amount)
                return cursor_.fail(amount.error());
            log.amount = *amount;
            cursor_.advance();
        } else if (log.destinations.empty() && cursor_.take("logdst")) {
            if (!at_argument())
                return cursor_.fail_missing("destination after logdst");
            std::string_view word = cursor_.word();
            for (std::size_t start = 0; start <= word.size();) {
                std::size_t end = std::min(word.find(',', start), word.size());
                std::string_view name = word.substr(start, end - start);
                if (find_keyword(log_destination_keywords(), name) == nullptr)
                    return cursor_.fail(
                        ExitStatus::data,
                        "unknown log destination " + quote(name) +
                            "; expected syslog, bpf or rtsock",
                        std::string(nearest_keyword(name, log_destination_keywords())), start);
                log.destinations.emplace_back(name);
                start = end + 1;
            }
            cursor_.advance();
        } else {
            break;
        }
    }
    rule_.log = std::move(log);
    return true;
}

}  // namespace sluice::language
