#include "tests/reference/random_rules.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "controlplane/language/expiry.h"
#include "controlplane/language/names.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::reference {

namespace {

using Texts = std::vector<std::string>;

const Texts kV4 = {
    "10.0.0.1",        "10.0.0.0/24",      "10.0.0.0/8",           "10.0.5.64/26",
    "192.168.10.0/24", "192.168.10.77",    "172.16.5.0/30",        "0.0.0.0/1",
    "128.0.0.0/1",     "203.0.113.5/32",   "255.255.255.255",      "224.0.0.0/4",
    "10.0.0.0/31",     "127.0.0.1",        "10.0.0.3:255.0.0.255", "10.0.5.0:255.255.254.1",
    "0.0.0.1:0.0.0.1", "192.168.10.128/25"};
const Texts kV6 = {"2001:db8::/32",
                   "2001:db8:0:1::/64",
                   "2001:db8:0:1::1",
                   "fe80::/10",
                   "ff02::/16",
                   "fc00::/7",
                   "::1",
                   "2001:db8:aaaa:5::/125",
                   "2001:db8::5/ffff:ffff::ff",
                   "::/1",
                   "2001:db8:0:2::/127"};
const Texts kSets = {"10.0.0.0/24{1,5-9,255}", "10.0.5.64/26{64,70-80,127}", "192.168.10.0/25{0}",
                     "172.16.5.0/30{0,3}"};
const Texts kPorts = {"0", "22", "53", "80", "123", "443", "1023", "1024", "8080", "65535"};
const Texts kInterfaces = {"em0", "em1",   "em10", "igb0",    "vlan100",  "lo0",         "em*",
                           "em?", "[ei]*", "*",    "em[0-9]", "10.0.0.1", "203.0.113.1", "nosuch"};
const Texts kProtocols = {"ip",   "ip",   "all", "tcp",  "tcp",       "tcp", "udp",
                          "udp",  "icmp", "ip4", "ip6",  "ipv6-icmp", "gre", "esp",
                          "sctp", "136",  "udp", "ipv4", "ospf"};

const Texts kTables = {"1", "2", "3"};  // of addresses
const Texts kValues = {"0", "1", "7", "300", "1500", "2500", "4000", "65000", "70000", "10.0.0.9"};

std::string in_table(Random& random, const std::string& name) {
    return "table(" + name + (random.one_in(4) ? "," + std::to_string(random.below(3)) : "") + ")";
}

std::string list(Random& random, const Texts& from, unsigned most) {
    std::string text = random.pick(from);
    for (unsigned i = random.below(most); i > 0; --i)
        text += "," + random.pick(from);
    return text;
}

std::string flag_list(Random& random, const Texts& names) {
    Texts shuffled = names;
    for (std::size_t i = shuffled.size(); i > 1; --i)
        std::swap(shuffled[i - 1], shuffled[random.below(static_cast<unsigned>(i))]);
    std::string text;
    for (unsigned i =
             random.between(1, std::min<unsigned>(3, static_cast<unsigned>(shuffled.size())));
         i > 0; --i)
        text +=
            (text.empty() ? "" : ",") + std::string(random.one_in(3) ? "!" : "") + shuffled[i - 1];
    return text;
}

std::string number_list(Random& random, unsigned first, unsigned last) {
    std::string text;
    for (unsigned i = random.between(1, 3); i > 0; --i) {
        unsigned a = random.between(first, last);
        unsigned b = random.between(first, last);
        if (a > b)
            std::swap(a, b);
        text += (text.empty() ? "" : ",") + std::to_string(a);
        if (random.one_in(2))
            text += "-" + std::to_string(b);
    }
    return text;
}

// Without ranges.
std::string value_list(Random& random, unsigned first, unsigned last) {
    std::string text = std::to_string(random.between(first, last));
    for (unsigned i = random.below(4); i > 0; --i)
        text += "," + std::to_string(random.between(first, last));
    return text;
}

std::string port_list(Random& random) {
    if (random.one_in(8))
        return std::to_string(random.below(65536)) + ":" + std::to_string(random.below(65536));
    std::string text;
    for (unsigned i = random.between(1, 4); i > 0; --i) {
        if (!text.empty())
            text += ",";
        if (random.one_in(2)) {
            text += random.pick(kPorts);
        } else {
            const unsigned first = random.below(1100);
            text += std::to_string(first) + "-" +
                    std::to_string(random.one_in(3) ? 65535 : first + random.below(300));
        }
    }
    return text;
}

std::string plain_address(Random& random, bool v6) {
    if (random.one_in(6))
        return in_table(random, random.pick(kTables));
    switch (random.below(8)) {
        case 0:
            return v6 ? "me6" : "me";
        case 1:
            return "me";
        case 2:
            return v6 ? random.pick(kV6) : random.pick(kSets);
        case 3:
        case 4:
            return list(random, v6 ? kV6 : kV4, 4);
        default:
            return random.pick(v6 ? kV6 : kV4);
    }
}

std::string address(Random& random, bool v6) {
    if (random.one_in(3))
        return "any";
    if (random.one_in(8)) {
        std::string text = "{ ";
        for (unsigned i = random.between(2, 3); i > 0; --i)
            text += std::string(random.one_in(4) ? "not " : "") + plain_address(random, v6) +
                    (i > 1 ? " or " : " }");
        return text;
    }
    return std::string(random.one_in(5) ? "not " : "") + plain_address(random, v6);
}

std::string protocol(Random& random) {
    if (random.one_in(10))
        return "{ " + random.pick(kProtocols) + " or " +
               std::string(random.one_in(4) ? "not " : "") +
               random.pick(Texts{"tcp", "udp", "icmp"}) + " }";
    if (random.one_in(12))
        return "not " + random.pick(Texts{"tcp", "udp", "icmp", "esp"});
    return random.pick(kProtocols);
}

std::string ports(Random& random) {
    return std::string(random.one_in(6) ? " not " : " ") + port_list(random);
}

std::string mac(Random& random) {
    return random.pick(Texts{"any", "02:00:00:00:00:01", "02:00:00:00:00:00/40",
                             "02:00:00:00:00:02&ff:00:00:00:00:0f", "01:00:5e:00:00:01"});
}

std::string option(Random& random) {
    auto word = [](const char* name, const std::string& value) {
        return std::string(name) + " " + value;
    };
    switch (random.below(49)) {
        case 43:
            return (random.one_in(2) ? "src-mac " : "dst-mac ") + in_table(random, "macs");
        case 44:
            return "flow " + in_table(random, "flows");
        case 45:
            return word(random.pick(Texts{"via", "recv", "xmit"}).c_str(),
                        in_table(random, "ports_of_mine"));
        case 46:
            return "lookup " +
                   random.pick(Texts{"dst-port", "src-port", "dst-port:0x1f", "dscp", "rulenum",
                                     "rulenum:32", "src-port:255", "mark", "mark:0xf", "uid"}) +
                   " numbers";
        case 47:
            return "lookup " +
                   random.pick(Texts{"src-ip 1", "dst-ip 2", "src-ip4 3", "dst-ip6 1",
                                     "src-ip:255.255.253.0 1", "dst-ip:255.0.255.255 2",
                                     "src-ip6:ffff:ffff:ffff::ff 2", "dst-ip4 1", "src-ip6 3",
                                     "src-mac macs", "dst-mac:ff:ff:00:00:00:0f macs"});
        case 48:
            return random.pick(Texts{"uid 0", "uid 65534", "gid 0"});
        case 0:
            return "in";
        case 1:
            return "out";
        case 2:
            return word("via", random.pick(kInterfaces));
        case 3:
            return word("recv", random.pick(kInterfaces));
        case 4:
            return word("xmit", random.pick(kInterfaces));
        case 5:
            return "established";
        case 6:
            return "setup";
        case 7:
            return word("tcpflags", flag_list(random, {"fin", "syn", "rst", "psh", "ack", "urg"}));
        case 8:
            return word("tcpoptions", flag_list(random, {"mss", "window", "sack", "ts", "cc"}));
        case 9:
            return word("ipoptions", flag_list(random, {"ssrr", "lsrr", "rr", "ts"}));
        case 10:
            return "frag";
        case 11:
            return word("frag", flag_list(random, {"df", "mf", "rf", "offset"}));
        case 12:
            return word("icmptypes", value_list(random, 0, 18));
        case 13:
            return word("icmp6types", value_list(random, 1, 137));
        case 14:
            return word("ipttl", number_list(random, 1, 255));
        case 15:
            return word("iplen", number_list(random, 20, 120));
        case 16:
            return word("ipid", number_list(random, 0, 65535));
        case 17:
            return word("iptos", flag_list(random, {"lowdelay", "throughput", "reliability",
                                                    "mincost", "congestion"}));
        case 18:
            return word("dscp",
                        random.pick(Texts{"0", "be", "cs1,af11", "ef", "46,10,63", "af43"}));
        case 19:
            return word("ipprecedence", std::to_string(random.below(8)));
        case 20:
            return word("ipversion", random.one_in(2) ? "4" : "6");
        case 21:
            return word("tcpseq", random.pick(Texts{"0", "1000", "4294967295"}));
        case 22:
            return word("tcpack", random.pick(Texts{"0", "1000", "4294967295"}));
        case 23:
            return word("tcpwin", number_list(random, 0, 65535));
        case 24:
            return word("tcpdatalen", number_list(random, 0, 80));
        case 25:
            return word("tcpmss", number_list(random, 500, 1500));
        case 26:
            return word(
                "ext6hdr",
                list(random, {"frag", "hopopt", "route", "dstopt", "ah", "esp", "rthdr0", "rthdr2"},
                     3));
        case 27:
            return "via any";
        case 28:
            return random.one_in(2) ? "layer2" : "bridged";
        case 29:
            return "MAC " + mac(random) + " " + mac(random);
        case 30:
            return word("mac-type", random.pick(Texts{"0x0800", "0x86dd", "0x0806", "0x0600-0xffff",
                                                      "0x88cc,0x0806"}));
        case 31:
            return "verrevpath";
        case 32:
            return "versrcreach";
        case 33:
            return random.pick(Texts{"antispoof", "antispoof", "antispoof", "diverted",
                                     "diverted-loopback", "diverted-output"});
        case 34:
            return word(random.one_in(2) ? "src-ip" : "dst-ip", plain_address(random, false));
        case 35:
            return word(random.one_in(2) ? "src-ip6" : "dst-ip6", random.pick(kV6));
        case 37:
        case 38:
            return word("tagged", random.one_in(4) ? "tablearg" : number_list(random, 1, 6));
        case 39:
            return "mark " + random.pick(Texts{"0", "5", "0x10:0xf0", "7:0x3", "0xffffffff",
                                               "tablearg", "tablearg:0x3"});
        case 40:
            return word("fib", std::to_string(random.below(3)));
        case 41:
            return word("flow-id", random.pick(Texts{"0", "5,77", "1048575", "12345"}));
        case 36:
            return word(random.one_in(2) ? "src-port" : "dst-port", port_list(random));
        default:
            return word("proto", random.pick(Texts{"tcp", "udp", "icmp", "sctp"}));
    }
}

// `not via any` is refused: it could never match.
std::string perhaps_negated(Random& random, unsigned one_in) {
    const std::string text = option(random);
    return random.one_in(one_in) && text != "via any" ? "not " + text : text;
}

std::string options(Random& random) {
    std::string text;
    for (unsigned i = random.below(4); i > 0; --i) {
        if (random.one_in(10))
            text += " { " + perhaps_negated(random, 6) + " or " + perhaps_negated(random, 3) + " }";
        else
            text += " " + perhaps_negated(random, 6);
    }
    return text;
}

std::string action(Random& random) {
    switch (random.below(32)) {
        case 30:
        case 31:
            return "reass";
        case 18:
        case 19:
            return "call " + std::to_string(random.between(1, 65534) % 4000 + 1);
        case 20:
            return "return";
        case 21:
            return "setdscp " + random.pick(Texts{"be", "cs1", "ef", "46", "63", "af43"});
        case 22:
            return "tcp-setmss " + std::to_string(random.between(1, 1600));
        case 23:
            return "setfib " + std::to_string(random.below(3));
        case 24:
            return "setmark " + random.pick(Texts{"5", "0x13", "0", "0xffffffff"});
        case 25:
            return random.one_in(2) ? "divert tablearg" : "tee tablearg";
        case 26:
            return random.one_in(2) ? "fwd tablearg" : "fwd tablearg,8080";
        case 27:
            return "skipto tablearg";
        case 28:
            return "call tablearg";
        case 29:
            return random.pick(Texts{"setfib", "setdscp", "setmark"}) + " tablearg";
        case 0:
        case 1:
            return "allow";
        case 2:
            return "deny";
        case 3:
            return "reject";
        case 4:
            return "unreach " + random.pick(Texts{"net", "host", "port", "filter-prohib", "77"});
        case 5:
            return "unreach6 " + random.pick(Texts{"no-route", "admin-prohib", "port", "9"});
        case 6:
            return random.pick(Texts{"reset", "reset6", "reset", "reset6", "abort", "abort6"});
        case 7:
            return "divert " + random.pick(Texts{"8668", "natd", "1"});
        case 8:
        case 9:
            return "tee " + std::to_string(random.between(1, 65535));
        case 10:
            return "fwd " +
                   random.pick(Texts{"10.0.0.9", "10.0.0.9,8080", "2001:db8::9", "127.0.0.1,3128"});
        case 11:
            return "unreach needfrag 1400";
        case 12:
        case 13:
        case 14:
            return "skipto " + std::to_string(random.between(1, 65534) % 4000 + 1);
        default:
            return "count";
    }
}

std::string state_name(Random& random) {
    return random.pick(Texts{"", "", "", " :default", " :web", " :dns"});
}

std::string state(Random& random) {
    std::string text = random.pick(
        Texts{"keep-state", "keep-state", "keep-state", "record-state", "limit", "set-limit"});
    if (text.ends_with("limit")) {
        const Texts keys = {"src-addr", "src-port", "dst-addr", "dst-port"};
        const unsigned mask = random.one_in(2) ? random.between(1, 15) : 1u << random.below(4);
        for (unsigned bit = 0; bit < keys.size(); ++bit)
            if ((mask >> bit & 1) != 0)
                text += " " + keys[bit];
        text += " " + (random.one_in(6)
                           ? std::string("tablearg")
                           : std::to_string(random.one_in(8) ? 65534 : random.between(1, 3)));
    }
    text += state_name(random);
    if (random.one_in(5))
        text += " lifetime " + std::to_string(random.between(1, 40));
    if (random.one_in(6))
        text += random.one_in(2) ? " defer-action" : " defer-immediate-action";
    return text;
}

std::string check_state(Random& random) {
    return "check-state" + (random.one_in(3) ? " :any" : state_name(random));
}

// `100 skipto 5 …` becomes `100 skipto :L …`, if the rule may go there.
void jump_to_label(std::string& line, const std::string& label, bool forward) {
    const bool is_call = line.find(" call ") != std::string::npos;
    const std::size_t jump = line.find(is_call ? " call " : " skipto ");
    if (jump == std::string::npos || (!is_call && !forward))
        return;
    const std::size_t argument = line.find(' ', jump + 1) + 1;
    line.replace(argument, line.find(' ', argument) - argument, ":" + label);
}

// Gives some rules a label, and lets others go there.
void add_labels(Random& random, std::vector<std::string>& lines) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (!random.one_in(10) || lines[i].find(" expires ") != std::string::npos)
            continue;
        const std::string label = "L" + std::to_string(i);
        lines[i].insert(lines[i].find(' ') + 1, ":" + label + " ");
        for (std::size_t j = 0; j < lines.size(); ++j)
            if (random.one_in(4))
                jump_to_label(lines[j], label, i > j);
    }
}

}  // namespace

std::string random_rule_text(Random& random) {
    std::string text;
    if (random.one_in(12))
        text += "set " + std::to_string(random.below(32)) + " ";
    if (random.one_in(10))
        return text + check_state(random) +
               (random.one_in(10) ? " expires " + language::expiry_text(random.between(1, 240))
                                  : "");
    if (random.one_in(6))
        text += "prob " + random.pick(Texts{"0.5", "0.1", "0.9", "1", "0.000001", "0.333"}) + " ";
    text += action(random);
    if (random.one_in(4)) {
        text += " log";
        if (random.one_in(2))
            text += " logamount " + random.pick(Texts{"0", "1", "2", "5", "100"});
        if (random.one_in(4))
            text += " logdst syslog";
    }
    if (random.one_in(5))
        text += (random.one_in(3) ? " untag " : " tag ") +
                (random.one_in(4) ? "tablearg" : std::to_string(random.between(1, 6)));
    if (random.one_in(15)) {  // no body
        text += " " + option(random);
    } else {
        // A rule has addresses of one family, else it never matches.
        const bool v6 = random.one_in(3);
        text += " " + protocol(random) + " from " + address(random, v6);
        if (random.one_in(5))
            text += ports(random);
        text += " to " + address(random, v6);
        if (random.one_in(4))
            text += ports(random);
    }
    text += options(random);
    if (random.one_in(3))
        text += " " + state(random);
    if (random.one_in(15))
        text += " expires " + language::expiry_text(random.between(1, 240));
    if (random.one_in(20))
        text += " // a comment";
    return text;
}

std::vector<std::string> random_ruleset(Random& random, unsigned rule_count) {
    std::vector<std::string> lines;
    unsigned number = 0;
    for (unsigned i = 0; i < rule_count; ++i) {
        if (number == 0 || !random.one_in(5))
            number += random.between(1, 120);
        lines.push_back(std::to_string(number) + " " + random_rule_text(random));
    }
    if (random.one_in(3))
        add_labels(random, lines);
    return lines;
}

std::vector<std::string> random_tables(Random& random, unsigned command_count) {
    std::vector<std::string> commands = {"table macs create type mac",
                                         "table flows create type flow",
                                         "table ports_of_mine create type iface",
                                         "table numbers create type number",
                                         "table 1 create",
                                         "table 2 create",
                                         "table 3 create"};
    for (unsigned i = 0; i < command_count; ++i) {
        const bool removes = random.one_in(5);
        std::string table, key;
        switch (random.below(8)) {
            case 0:
                table = "macs";
                key = random.pick(Texts{"02:00:00:00:00:01", "02:00:00:00:00:00/40",
                                        "00:00:00:00:00:00/0", "01:00:5e:00:00:01",
                                        "02:00:00:00:00:02"});
                break;
            case 1:
                table = "flows";
                key = random.pick(Texts{"10.0.0.1,", "10.0.0.2,", "10.0.5.77,", "192.168.10.1,"}) +
                      random.pick(Texts{"6,", "17,", "1,"}) +
                      random.pick(Texts{"0,", "1024,", "53,", "80,"}) +
                      random.pick(Texts{"10.0.0.1,", "10.0.0.2,", "203.0.113.1,"}) +
                      random.pick(Texts{"0", "53", "80", "443"});
                break;
            case 2:
                table = "ports_of_mine";
                key = random.pick(Texts{"em0", "em1", "em10", "igb0", "vlan100", "lo0", "absent"});
                break;
            case 3:
                table = "numbers";
                key = std::to_string(random.one_in(2)
                                         ? random.below(70)
                                         : static_cast<unsigned>(std::stoul(random.pick(kPorts))));
                break;
            default:
                table = random.pick(kTables);
                key = random.pick(random.one_in(3) ? kV6 : kV4);
                if (key.find(':') != std::string::npos && key.find('.') != std::string::npos)
                    key = "10.0.0.0/8";  // a mask, which no table takes
                if (key.find("/ffff") != std::string::npos)
                    key = "255.255.255.255";
                break;
        }
        if (random.one_in(25))
            commands.push_back("table " + table + " flush");
        else if (random.one_in(25))
            commands.push_back("table 1 swap 2");
        else if (removes)
            commands.push_back("table " + table + " delete " + key);
        else
            commands.push_back("table " + table + " add " + key +
                               (random.one_in(4) ? "" : " " + random.pick(kValues)));
    }
    return commands;
}

std::vector<language::TableCommand> parse_tables(const std::vector<std::string>& commands) {
    std::vector<language::TableCommand> result;
    for (const std::string& text : commands) {
        const language::RuleFile file = language::parse_file(text, language::refusing_resolver());
        if (!file.errors.empty() || file.lines.size() != 1) {
            std::fprintf(stderr, "a generated command does not parse: %s\n", text.c_str());
            std::abort();
        }
        result.push_back(std::get<language::TableCommand>(file.lines[0].invocation.command));
    }
    return result;
}

packet::Environment world(unsigned variant) {
    auto v4 = [](const char* text) { return *parse_ipv4(text); };
    auto v6 = [](const char* text) { return *parse_ipv6(text); };
    packet::Environment world;
    world.interfaces = {
        {"em0", {{v4("10.0.0.1"), 24}, {v6("2001:db8:0:1::1"), 64}}},
        {"em1", {{v4("203.0.113.1"), 24}, {v6("2001:db8:0:2::1"), 64}, {v4("203.0.113.5"), 32}}},
        {"em10", {{v4("192.168.10.1"), 24}}},
        {"igb0", {{v4("172.16.0.1"), 16}, {v6("fe80::1"), 10}}},
        {"vlan100", {}},
        {"lo0", {{v4("127.0.0.1"), 8}, {v6("::1"), 128}}}};
    if (variant % 3 == 0)  // a bridge that knows nothing but its ports
        for (packet::Interface& interface : world.interfaces)
            interface.addresses.clear();
    using Kind = packet::Route::Kind;
    if (variant % 3 == 1)
        world.routes = {{Kind::forward, v4("0.0.0.0"), 0, 1},
                        {Kind::forward, v4("10.0.0.0"), 8, 0},
                        {Kind::forward, v4("192.168.0.0"), 16, 2},
                        {Kind::blackhole, v4("10.0.5.0"), 24, packet::kNoInterface},
                        {Kind::forward, v6("::"), 0, 1},
                        {Kind::forward, v6("2001:db8:aaaa::"), 48, 3},
                        {Kind::reject, v6("fc00::"), 7, packet::kNoInterface}};
    if (variant % 3 == 2)
        world.routes = {{Kind::reject, v4("0.0.0.0"), 0, packet::kNoInterface},
                        {Kind::forward, v4("192.168.10.128"), 25, 0}};
    return world;
}

std::vector<language::Rule> parse_rules(const std::vector<std::string>& lines) {
    std::vector<language::Rule> rules;
    for (const std::string& line : lines) {
        auto rule = language::parse_rule(line, language::refusing_resolver());
        if (!rule) {
            std::fprintf(stderr, "a generated rule does not parse: %s\n  %s\n", line.c_str(),
                         rule.error().text().c_str());
            std::abort();
        }
        rules.push_back(*rule);
    }
    return rules;
}

}  // namespace sluice::reference
