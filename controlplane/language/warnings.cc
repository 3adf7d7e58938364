#include "controlplane/language/warnings.h"

#include <algorithm>

#include "controlplane/language/printer.h"
#include "controlplane/language/rule_reader.h"

namespace sluice::language {

namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132, kUdpLite = 136;

// The family of the packets that a term lets through.
AddressFamily family_of(const Term& term) {
    if (term.negated)
        return AddressFamily::any;
    if (const auto* protocol = std::get_if<ProtocolMatch>(&term.match))
        return language::family_of(*protocol);
    if (const auto* address = std::get_if<AddressMatch>(&term.match)) {
        if (std::holds_alternative<std::vector<Ipv4Network>>(address->what) ||
            std::holds_alternative<AddressSet>(address->what))
            return AddressFamily::ipv4;
        if (std::holds_alternative<std::vector<Ipv6Network>>(address->what) ||
            std::holds_alternative<Me6>(address->what))
            return AddressFamily::ipv6;
    }
    return AddressFamily::any;
}

// What the protocol part of the rule lets through.
enum class Reach { everything, these, unknown };

struct Protocols {
    Reach reach = Reach::everything;
    std::vector<std::uint8_t> numbers;  // for Reach::these

    bool excludes(std::initializer_list<std::uint8_t> wanted) const {
        return reach == Reach::these &&
               std::none_of(numbers.begin(), numbers.end(), [&](std::uint8_t number) {
                   return std::find(wanted.begin(), wanted.end(), number) != wanted.end();
               });
    }
};

Protocols protocols_of(const Rule& rule) {
    Protocols result;
    if (!rule.body || rule.body->protocol.any_of.empty())
        return result;
    result.reach = Reach::these;
    for (const Term& term : rule.body->protocol.any_of) {
        const auto* protocol = std::get_if<ProtocolMatch>(&term.match);
        if (term.negated || protocol->kind != ProtocolMatch::Kind::number)
            return {Reach::unknown, {}};
        result.numbers.push_back(protocol->number);
    }
    return result;
}

class Collector {
  public:
    explicit Collector(const Rule& rule) : rule_(rule), protocols_(protocols_of(rule)) {}

    std::vector<std::string> collect() {
        if (rule_.body) {
            family(rule_.body->protocol);
            family(rule_.body->source);
            family(rule_.body->destination);
            ports(rule_.body->source_ports);
            ports(rule_.body->destination_ports);
        }
        // Only what must hold counts: a group of one term.
        for (const Group& group : rule_.options) {
            family(group);
            if (group.any_of.size() == 1)
                option(group.any_of.front());
        }
        combinations();
        action();
        return std::move(sentences_);
    }

  private:
    void never(const std::string& why) { say("this can never match: " + why); }
    void say(std::string sentence) {
        if (std::find(sentences_.begin(), sentences_.end(), sentence) == sentences_.end())
            sentences_.push_back(std::move(sentence));
    }

    // Remembers the first group that only packets of one family pass.
    void family(const Group& group) {
        if (group.any_of.empty())
            return;
        const AddressFamily only = family_of(group.any_of.front());
        for (const Term& term : group.any_of)
            if (family_of(term) != only)
                return;
        if (only == AddressFamily::ipv4 && ipv4_.empty())
            ipv4_ = print_group(group);
        if (only == AddressFamily::ipv6 && ipv6_.empty())
            ipv6_ = print_group(group);
    }

    void ports(const std::optional<Term>& term) {
        if (term)
            port_term(*term);
    }

    void port_term(const Term& term) {
        if (term.negated)
            return;  // what has no ports passes
        has_ports_ = true;
        if (protocols_.excludes({kTcp, kUdp, kSctp, kUdpLite}))
            never("ports are those of TCP, UDP, UDP-Lite and SCTP only");
    }

    void option(const Term& term) {
        if (const auto* direction = std::get_if<DirectionMatch>(&term.match)) {
            bool in = (direction->direction == DirectionMatch::Direction::in) != term.negated;
            (in ? in_ : out_) = true;
        } else if (const auto* interface = std::get_if<InterfaceMatch>(&term.match)) {
            if (!term.negated && interface->role == InterfaceMatch::Role::xmit)
                xmit_ = true;
        } else if (std::holds_alternative<PortMatch>(term.match)) {
            port_term(term);
        } else if (const auto* flags = std::get_if<FlagMatch>(&term.match)) {
            flag_term(*flags, term.negated);
        } else if (const auto* simple = std::get_if<SimpleMatch>(&term.match)) {
            if (simple->flag == Flag::established && !term.negated)
                needs_tcp(term);
        } else if (const auto* list = std::get_if<ListMatch>(&term.match)) {
            list_term(term, *list);
        } else if (const auto* payload = std::get_if<PayloadMatch>(&term.match)) {
            payload_term(term, *payload);
        } else if (const auto* number = std::get_if<NumberMatch>(&term.match)) {
            if (!term.negated && (number->field == NumberField::tcp_sequence ||
                                  number->field == NumberField::tcp_acknowledgement))
                needs_tcp(term);
        }
    }

    void needs_tcp(const Term& term) {
        if (protocols_.excludes({kTcp}))
            never("\"" + print_term(term) + "\" is about TCP");
        tcp_header_ = true;
    }

    void payload_term(const Term& term, const PayloadMatch& payload) {
        if (!term.negated && payload.part != PayloadPart::payload &&
            protocols_.excludes({kTcp, kUdp}))
            never("\"" + print_term(term) + "\" is about TCP and UDP");
    }

    void flag_term(const FlagMatch& flags, bool negated) {
        if (negated)
            return;
        if ((flags.set & flags.clear) != 0)
            never("\"" + print_term({false, flags}) + "\" wants the same bit set and clear");
        if (flags.field == FlagField::tcp_flags || flags.field == FlagField::tcp_options)
            needs_tcp({false, flags});
        if (flags.field == FlagField::fragment && (flags.set & fragment_flag::offset) != 0)
            later_fragment_ = true;
        if (flags.field == FlagField::tcp_options && (flags.set & tcp_option::cc) != 0)
            say("the TCP option cc (RFC 1644) is historic; nothing sends it");
    }

    void list_term(const Term& term, const ListMatch& list) {
        if (term.negated)
            return;
        switch (list.field) {
            case ListField::tcp_window:
            case ListField::tcp_mss:
            case ListField::tcp_data_length:
                needs_tcp(term);
                break;
            case ListField::icmp_types:
                if (protocols_.excludes({kIcmp}))
                    never("\"" + print_term(term) + "\" is about ICMP");
                l4_header_ = true;
                break;
            case ListField::icmp6_types:
                if (protocols_.excludes({kIcmp6}))
                    never("\"" + print_term(term) + "\" is about ICMPv6");
                l4_header_ = true;
                break;
            case ListField::ip_length:
            case ListField::ip_id:
            case ListField::ip_ttl:
            case ListField::tagged:
            case ListField::mac_type:
            case ListField::dscp:
            case ListField::flow_id:
                break;
        }
    }

    void combinations() {
        if (!ipv4_.empty() && !ipv6_.empty())
            never("\"" + ipv4_ + "\" is about IPv4, \"" + ipv6_ + "\" about IPv6");
        if (in_ && out_)
            never("no packet is incoming and outgoing at once");
        if (in_ && xmit_)
            never("an incoming packet has no transmit interface");
        if (later_fragment_ && (has_ports_ || tcp_header_ || l4_header_))
            never("a later fragment has no ports, TCP flags or ICMP type");
    }

    void action() {
        switch (rule_.action.kind) {
            case ActionKind::reset:
            case ActionKind::reset6:
                if (protocols_.excludes({kTcp}))
                    say("only TCP is answered with a reset; other packets are discarded silently");
                break;
            case ActionKind::abort:
            case ActionKind::abort6:
                if (protocols_.excludes({kSctp}))
                    say("only SCTP is answered with an abort; other packets are discarded "
                        "silently");
                break;
            case ActionKind::skipto:
                if (!rule_.action.argument.from_table && rule_.action.label.empty() &&
                    rule_.number != 0 && rule_.action.argument.value <= rule_.number)
                    say("skipto never goes back: the search goes on with the next rule");
                break;
            default:
                break;
        }
    }

    const Rule& rule_;
    Protocols protocols_;
    std::vector<std::string> sentences_;
    std::string ipv4_, ipv6_;  // what lets only packets of that family through
    bool in_ = false, out_ = false, xmit_ = false;
    bool has_ports_ = false, tcp_header_ = false, l4_header_ = false, later_fragment_ = false;
};

}  // namespace

std::vector<std::string> warnings(const Rule& rule) {
    return Collector(rule).collect();
}

}  // namespace sluice::language
