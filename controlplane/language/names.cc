#include "controlplane/language/names.h"

#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace sluice::language {

namespace {

struct BuiltinService {
    const char* name;
    std::uint16_t port;
    const char* protocols;  // letters: t(cp), u(dp), s(ctp), d(ivert)
};

// What rulesets name most, so that a machine without /etc/services reads them too; and `natd`,
// which only FreeBSD has.
constexpr BuiltinService kServices[] = {
    {"echo", 7, "tu"},
    {"discard", 9, "tu"},
    {"daytime", 13, "tu"},
    {"chargen", 19, "tu"},
    {"ftp-data", 20, "t"},
    {"ftp", 21, "t"},
    {"ssh", 22, "t"},
    {"telnet", 23, "t"},
    {"smtp", 25, "t"},
    {"time", 37, "tu"},
    {"whois", 43, "t"},
    {"domain", 53, "tu"},
    {"bootps", 67, "u"},
    {"bootpc", 68, "u"},
    {"tftp", 69, "u"},
    {"gopher", 70, "t"},
    {"finger", 79, "t"},
    {"http", 80, "t"},
    {"kerberos", 88, "tu"},
    {"pop3", 110, "t"},
    {"sunrpc", 111, "tu"},
    {"auth", 113, "t"},
    {"ident", 113, "t"},
    {"nntp", 119, "t"},
    {"ntp", 123, "u"},
    {"netbios-ns", 137, "u"},
    {"netbios-dgm", 138, "u"},
    {"netbios-ssn", 139, "t"},
    {"imap", 143, "t"},
    {"imap2", 143, "t"},
    {"snmp", 161, "tu"},
    {"snmp-trap", 162, "tu"},
    {"snmptrap", 162, "tu"},
    {"xdmcp", 177, "u"},
    {"bgp", 179, "t"},
    {"irc", 194, "tu"},
    {"ldap", 389, "tu"},
    {"svrloc", 427, "tu"},
    {"https", 443, "tu"},
    {"microsoft-ds", 445, "tu"},
    {"isakmp", 500, "u"},
    {"exec", 512, "t"},
    {"login", 513, "t"},
    {"who", 513, "u"},
    {"shell", 514, "t"},
    {"syslog", 514, "u"},
    {"printer", 515, "t"},
    {"router", 520, "u"},
    {"route", 520, "u"},
    {"dhcpv6-client", 546, "u"},
    {"dhcpv6-server", 547, "u"},
    {"afpovertcp", 548, "t"},
    {"submission", 587, "t"},
    {"ipp", 631, "t"},
    {"ldaps", 636, "t"},
    {"rsync", 873, "t"},
    {"imaps", 993, "t"},
    {"pop3s", 995, "t"},
    {"socks", 1080, "t"},
    {"openvpn", 1194, "u"},
    {"l2tp", 1701, "u"},
    {"pptp", 1723, "t"},
    {"nfsd", 2049, "tu"},
    {"nfs", 2049, "tu"},
    {"mysql", 3306, "t"},
    {"sip", 5060, "tu"},
    {"mdns", 5353, "u"},
    {"postgresql", 5432, "t"},
    {"x11", 6000, "t"},
    {"natd", 8668, "d"},
};

struct BuiltinProtocol {
    const char* name;
    std::uint8_t number;
};

// The first name of a number is the one that is printed.
constexpr BuiltinProtocol kProtocols[] = {
    {"hopopt", 0},
    {"icmp", 1},
    {"igmp", 2},
    {"ggp", 3},
    {"ipencap", 4},
    {"st", 5},
    {"st2", 5},
    {"tcp", 6},
    {"egp", 8},
    {"igp", 9},
    {"pup", 12},
    {"udp", 17},
    {"hmp", 20},
    {"xns-idp", 22},
    {"rdp", 27},
    {"iso-tp4", 29},
    {"dccp", 33},
    {"xtp", 36},
    {"ddp", 37},
    {"idpr-cmtp", 38},
    {"ipv6", 41},
    {"ipv6-route", 43},
    {"ipv6-frag", 44},
    {"idrp", 45},
    {"rsvp", 46},
    {"gre", 47},
    {"esp", 50},
    {"ah", 51},
    {"mobile", 55},
    {"skip", 57},
    {"ipv6-icmp", 58},
    {"icmp6", 58},
    {"icmpv6", 58},
    {"ipv6-nonxt", 59},
    {"ipv6-opts", 60},
    {"rspf", 73},
    {"vmtp", 81},
    {"eigrp", 88},
    {"ospf", 89},
    {"ospfigp", 89},
    {"ax.25", 93},
    {"ipip", 94},
    {"etherip", 97},
    {"encap", 98},
    {"pim", 103},
    {"ipcomp", 108},
    {"vrrp", 112},
    {"carp", 112},
    {"l2tp", 115},
    {"isis", 124},
    {"sctp", 132},
    {"fc", 133},
    {"mobility-header", 135},
    {"udplite", 136},
    {"mpls-in-ip", 137},
    {"manet", 138},
    {"hip", 139},
    {"shim6", 140},
    {"wesp", 141},
    {"rohc", 142},
    {"pfsync", 240},
};

const char* protocol_of_letter(char letter) {
    switch (letter) {
        case 't':
            return "tcp";
        case 'u':
            return "udp";
        case 's':
            return "sctp";
        default:
            return "divert";
    }
}

std::string read_file(const char* path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// Calls `line` with the blank-separated words of each line, comments cut.
template <typename Function>
void each_line(std::string_view text, Function line) {
    while (!text.empty()) {
        std::size_t end = text.find('\n');
        std::string_view current = text.substr(0, end);
        text = end == text.npos ? std::string_view{} : text.substr(end + 1);
        current = current.substr(0, current.find('#'));
        std::vector<std::string_view> words;
        for (std::size_t i = 0; i < current.size();) {
            std::size_t start = current.find_first_not_of(" \t\r", i);
            if (start == current.npos)
                break;
            i = std::min(current.find_first_of(" \t\r", start), current.size());
            words.push_back(current.substr(start, i - start));
        }
        if (words.size() >= 2)
            line(words);
    }
}

template <typename Integer>
std::optional<Integer> number_of(std::string_view text) {
    Integer value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::string key(std::string_view name, std::string_view protocol) {
    std::string result(name);
    result += '/';
    result += protocol;
    return result;
}

constexpr std::string_view kServiceProtocols[] = {"tcp", "udp", "sctp", "udplite", "divert"};

}  // namespace

NameDatabase::NameDatabase(std::string_view services, std::string_view protocols) {
    for (const BuiltinProtocol& protocol : kProtocols)
        add_protocol(protocol.name, protocol.number);
    for (const BuiltinService& service : kServices)
        for (const char* letter = service.protocols; *letter != '\0'; ++letter)
            add_service(service.name, service.port, protocol_of_letter(*letter));
    read_services(services);
    read_protocols(protocols);
}

const NameDatabase& NameDatabase::instance() {
    static const NameDatabase database(read_file("/etc/services"), read_file("/etc/protocols"));
    return database;
}

// What is there already stays: the built-in names win over the files, so that a listing looks the
// same on every machine.
void NameDatabase::add_service(std::string_view name, std::uint16_t port,
                               std::string_view protocol) {
    service_ports_.try_emplace(key(name, protocol), port);
    service_names_.try_emplace(key(std::to_string(port), protocol), name);
}

void NameDatabase::add_protocol(std::string_view name, std::uint8_t number) {
    protocol_numbers_.try_emplace(std::string(name), number);
    protocol_names_.try_emplace(number, name);
}

void NameDatabase::read_services(std::string_view text) {
    each_line(text, [this](const std::vector<std::string_view>& words) {
        std::size_t slash = words[1].find('/');
        auto port = number_of<std::uint16_t>(words[1].substr(0, slash));
        if (slash == std::string_view::npos || !port)
            return;
        std::string_view protocol = words[1].substr(slash + 1);
        add_service(words[0], *port, protocol);
        for (std::size_t i = 2; i < words.size(); ++i)
            add_service(words[i], *port, protocol);
    });
}

void NameDatabase::read_protocols(std::string_view text) {
    each_line(text, [this](const std::vector<std::string_view>& words) {
        auto number = number_of<std::uint8_t>(words[1]);
        // `ip 0` is a pseudo protocol; in a rule the word means any protocol.
        if (!number || *number == 0)
            return;
        add_protocol(words[0], *number);
        for (std::size_t i = 2; i < words.size(); ++i)
            add_protocol(words[i], *number);
    });
}

std::optional<std::uint16_t> NameDatabase::service(std::string_view name,
                                                   std::string_view protocol) const {
    auto find = [&](std::string_view under) -> std::optional<std::uint16_t> {
        auto found = service_ports_.find(key(name, under));
        if (found == service_ports_.end())
            return std::nullopt;
        return found->second;
    };
    if (!protocol.empty())
        if (auto port = find(protocol))
            return port;
    for (std::string_view under : kServiceProtocols)
        if (auto port = find(under))
            return port;
    return std::nullopt;
}

std::optional<std::string> NameDatabase::service_name(std::uint16_t port,
                                                      std::string_view protocol) const {
    auto find = [&](std::string_view under) -> std::optional<std::string> {
        auto found = service_names_.find(key(std::to_string(port), under));
        if (found == service_names_.end())
            return std::nullopt;
        return found->second;
    };
    if (!protocol.empty())
        return find(protocol);
    for (std::string_view under : kServiceProtocols)
        if (auto name = find(under))
            return name;
    return std::nullopt;
}

std::optional<std::uint8_t> NameDatabase::protocol(std::string_view name) const {
    auto found = protocol_numbers_.find(std::string(name));
    if (found == protocol_numbers_.end())
        return std::nullopt;
    return found->second;
}

std::optional<std::string> NameDatabase::protocol_name(std::uint8_t number) const {
    auto found = protocol_names_.find(number);
    if (found == protocol_names_.end())
        return std::nullopt;
    return found->second;
}

namespace {

class SystemResolver final : public NameResolver {
  public:
    std::uint64_t now_s() const override { return static_cast<std::uint64_t>(time(nullptr)); }
    std::optional<HostAddress> host(const std::string& name, AddressFamily family) const override {
        addrinfo hints{};
        if (family != AddressFamily::any)
            hints.ai_family = family == AddressFamily::ipv4 ? AF_INET : AF_INET6;
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* list = nullptr;
        if (getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0)
            return std::nullopt;
        std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
        // IPv4 first, as ipfw does: a rule means a host's IPv4 address unless it has none.
        std::optional<HostAddress> result;
        for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
            if (entry->ai_family == AF_INET) {
                const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
                return std::bit_cast<Ipv4>(address->sin_addr);
            }
            if (entry->ai_family == AF_INET6 && !result) {
                const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
                result = std::bit_cast<Ipv6>(address->sin6_addr);
            }
        }
        return result;
    }

    std::optional<std::uint32_t> user(const std::string& name) const override {
        passwd entry, *found = nullptr;
        std::vector<char> buffer(kBufferSize);
        if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
            return std::nullopt;
        return entry.pw_uid;
    }

    std::optional<std::uint32_t> group(const std::string& name) const override {
        ::group entry, *found = nullptr;
        std::vector<char> buffer(kBufferSize);
        if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
            return std::nullopt;
        return entry.gr_gid;
    }

    std::optional<std::string> host_name(const HostAddress& address) const override {
        sockaddr_in v4{};
        sockaddr_in6 v6{};
        const sockaddr* pointer;
        socklen_t length;
        if (const auto* ipv4 = std::get_if<Ipv4>(&address)) {
            v4.sin_family = AF_INET;
            std::memcpy(&v4.sin_addr, ipv4, sizeof *ipv4);
            pointer = reinterpret_cast<const sockaddr*>(&v4);
            length = sizeof v4;
        } else {
            v6.sin6_family = AF_INET6;
            std::memcpy(&v6.sin6_addr, std::get_if<Ipv6>(&address), sizeof(Ipv6));
            pointer = reinterpret_cast<const sockaddr*>(&v6);
            length = sizeof v6;
        }
        char name[NI_MAXHOST];
        if (getnameinfo(pointer, length, name, sizeof name, nullptr, 0, NI_NAMEREQD) != 0)
            return std::nullopt;
        return name;
    }

    std::optional<std::string> user_name(std::uint32_t id) const override {
        passwd entry, *found = nullptr;
        std::vector<char> buffer(kBufferSize);
        if (getpwuid_r(id, &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
            return std::nullopt;
        return entry.pw_name;
    }

    std::optional<std::string> group_name(std::uint32_t id) const override {
        ::group entry, *found = nullptr;
        std::vector<char> buffer(kBufferSize);
        if (getgrgid_r(id, &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
            return std::nullopt;
        return entry.gr_name;
    }

  private:
    static constexpr std::size_t kBufferSize = 16384;
};

class RefusingResolver final : public NameResolver {
  public:
    std::optional<HostAddress> host(const std::string&, AddressFamily) const override {
        return std::nullopt;
    }
    std::optional<std::uint32_t> user(const std::string&) const override { return std::nullopt; }
    std::optional<std::uint32_t> group(const std::string&) const override { return std::nullopt; }
    std::optional<std::string> host_name(const HostAddress&) const override { return std::nullopt; }
    std::optional<std::string> user_name(std::uint32_t) const override { return std::nullopt; }
    std::optional<std::string> group_name(std::uint32_t) const override { return std::nullopt; }
};

}  // namespace

const NameResolver& system_resolver() {
    static const SystemResolver resolver;
    return resolver;
}

const NameResolver& refusing_resolver() {
    static const RefusingResolver resolver;
    return resolver;
}

}  // namespace sluice::language
