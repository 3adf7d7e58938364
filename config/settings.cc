// The only file that includes toml++: it is large, and it throws; nothing leaves this file.
#include "config/settings.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

namespace sluice::config {

namespace {

constexpr std::size_t kMaximumSocketPath = 107;    // sun_path without its NUL
constexpr std::size_t kMaximumInterfaceName = 15;  // as in Linux, without the NUL

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

// Where messages go. The first error wins: what follows it is often its consequence.
class Report {
  public:
    explicit Report(std::string_view file) : file_(file) {}

    void fail(const toml::source_position& at, const std::string& sentence) {
        if (!message_.empty())
            return;
        message_ = file_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " +
                   sentence;
    }
    void fail(const toml::node& at, const std::string& sentence) {
        fail(at.source().begin, sentence);
    }
    bool failed() const { return !message_.empty(); }
    Error error() const { return {ExitStatus::data, message_}; }

  private:
    std::string file_;
    std::string message_;
};

// Reads one table key by key; what nobody asked for is an unknown key.
class TableReader {
  public:
    TableReader(const toml::table& table, std::string title, Report& report)
        : table_(table), title_(std::move(title)), report_(report) {}

    Report& report() { return report_; }
    const toml::table& table() const { return table_; }

    const toml::node* find(std::string_view key) {
        known_.emplace_back(key);
        return table_.get(key);
    }

    void number(std::string_view key, unsigned minimum, unsigned maximum, unsigned& value) {
        if (const toml::node* node = find(key))
            read_number(*node, key, minimum, maximum, value);
    }

    void boolean(std::string_view key, bool& value) {
        const toml::node* node = find(key);
        if (node == nullptr)
            return;
        if (const auto* found = node->as_boolean())
            value = found->get();
        else
            report_.fail(*node, std::string(key) + " must be true or false");
    }

    void text(std::string_view key, std::string& value) {
        if (const toml::node* node = find(key))
            read_text(*node, key, value);
    }

    void path(std::string_view key, std::size_t maximum, std::string& value) {
        const toml::node* node = find(key);
        if (node == nullptr || !read_text(*node, key, value))
            return;
        if (!value.empty() && value.front() != '/')
            report_.fail(*node,
                         std::string(key) + " must be an absolute path, not " + quoted(value));
        if (value.size() > maximum)
            report_.fail(*node, std::string(key) + " must be no longer than " +
                                    std::to_string(maximum) + " characters");
    }

    void socket(std::string_view key, std::string& value) {
        path(key, kMaximumSocketPath, value);
        if (value.empty())
            report_.fail(*table_.get(key), std::string(key) + " must not be empty");
    }

    // Index of the word in `words`.
    void choice(std::string_view key, std::initializer_list<std::string_view> words,
                std::size_t& index) {
        const toml::node* node = find(key);
        std::string value;
        if (node == nullptr || !read_text(*node, key, value))
            return;
        const auto found = std::find(words.begin(), words.end(), value);
        if (found != words.end()) {
            index = static_cast<std::size_t>(found - words.begin());
            return;
        }
        std::string expected;
        for (std::string_view word : words)
            expected += (expected.empty() ? "" : ", ") + quoted(word);
        report_.fail(*node,
                     std::string(key) + " is " + quoted(value) + ", expected one of " + expected);
    }

    const toml::array* array(std::string_view key, std::string_view of) {
        const toml::node* node = find(key);
        if (node == nullptr)
            return nullptr;
        if (node->as_array() == nullptr)
            report_.fail(*node, std::string(key) + " must be a list of " + std::string(of));
        return node->as_array();
    }

    bool read_number(const toml::node& node, std::string_view key, unsigned minimum,
                     unsigned maximum, unsigned& value) {
        const auto* found = node.as_integer();
        if (found == nullptr || found->get() < minimum || found->get() > maximum) {
            report_.fail(node, std::string(key) + " must be a whole number from " +
                                   std::to_string(minimum) + " to " + std::to_string(maximum));
            return false;
        }
        value = static_cast<unsigned>(found->get());
        return true;
    }

    bool read_text(const toml::node& node, std::string_view key, std::string& value) {
        const auto* found = node.as_string();
        if (found == nullptr) {
            report_.fail(node, std::string(key) + " must be a text in quotes");
            return false;
        }
        if (found->get().find('\0') != std::string::npos) {
            report_.fail(node, std::string(key) + " must not contain a NUL character");
            return false;
        }
        value = found->get();
        return true;
    }

    void finish() {
        for (const auto& [key, node] : table_) {
            if (std::find(known_.begin(), known_.end(), key.str()) != known_.end())
                continue;
            std::string expected;
            for (const std::string& name : known_)
                expected += (expected.empty() ? "" : ", ") + name;
            report_.fail(key.source().begin, "unknown key " + quoted(key.str()) + " in " + title_ +
                                                 ", expected one of " + expected);
        }
    }

  private:
    const toml::table& table_;
    std::string title_;
    Report& report_;
    std::vector<std::string> known_;
};

void power_of_two(TableReader& reader, std::string_view key, unsigned value) {
    if ((value & (value - 1)) != 0)
        reader.report().fail(*reader.table().get(key),
                             std::string(key) + " must be a power of two");
}

void read_texts(TableReader& reader, std::string_view key, std::string_view one,
                std::vector<std::string>& values) {
    const toml::array* list = reader.array(key, "texts");
    if (list == nullptr)
        return;
    for (const toml::node& node : *list) {
        std::string value;
        if (reader.read_text(node, one, value))
            values.push_back(value);
    }
}

void read_cpus(TableReader& reader, DataPlane& settings) {
    const toml::array* list = reader.array("cpus", "CPU numbers");
    if (list == nullptr)
        return;
    std::set<unsigned> seen;
    for (const toml::node& node : *list) {
        unsigned cpu = 0;
        if (!reader.read_number(node, "a CPU", 0, 1023, cpu))
            return;
        if (!seen.insert(cpu).second)
            reader.report().fail(node, "CPU " + std::to_string(cpu) + " stands in the list twice");
        settings.cpus.push_back(cpu);
    }
    if (!settings.cpus.empty() && settings.cpus.size() != settings.workers)
        reader.report().fail(*list, "cpus must name one CPU for each worker (" +
                                        std::to_string(settings.workers) + "), or none");
}

void read_dataplane(TableReader reader, DataPlane& settings) {
    reader.text("user", settings.user);
    reader.socket("socket", settings.socket);
    reader.socket("divert_socket", settings.divert_socket);
    reader.number("workers", 1, kMaximumWorkers, settings.workers);
    read_cpus(reader, settings);
    auto idle = static_cast<std::size_t>(settings.idle);
    reader.choice("idle", {"auto", "poll", "backoff"}, idle);
    settings.idle = static_cast<Idle>(idle);
    reader.number("max_sleep_us", 1, 100'000, settings.max_sleep_us);
    reader.number("burst", 1, 256, settings.burst);
    reader.number("receive_descriptors", 32, 32768, settings.receive_descriptors);
    reader.number("transmit_descriptors", 32, 32768, settings.transmit_descriptors);
    reader.number("handover_packets", 256, 65536, settings.handover_packets);
    reader.boolean("huge_pages", settings.huge_pages);
    reader.number("memory_mb", 64, 1'048'576, settings.memory_mb);
    reader.number("slot_capacity", 1024, 4'194'304, settings.slot_capacity);
    reader.number("flood_rate", 0, 100'000'000, settings.flood_rate);
    reader.number("states", 1024, 64'000'000, settings.states);
    reader.number("payload_flows", 16, 16'000'000, settings.payload_flows);
    reader.number("payload_memory_mb", 1, 1'048'576, settings.payload_memory_mb);
    reader.number("log_ring_records", 64, 1'048'576, settings.log_ring_records);
    power_of_two(reader, "log_ring_records", settings.log_ring_records);
    reader.number("reload_timeout_ms", 10, 60'000, settings.reload_timeout_ms);
    auto links = static_cast<std::size_t>(settings.links_when_down);
    reader.choice("links_when_down", {"up", "down"}, links);
    settings.links_when_down = static_cast<LinksWhenDown>(links);
    constexpr std::string_view kLevels[] = {"error", "warning", "notice", "info", "debug"};
    auto level = static_cast<std::size_t>(
        std::find(std::begin(kLevels), std::end(kLevels), settings.log_level) - kLevels);
    reader.choice("log_level", {kLevels[0], kLevels[1], kLevels[2], kLevels[3], kLevels[4]}, level);
    settings.log_level = kLevels[level];
    read_texts(reader, "eal_arguments", "an EAL argument", settings.eal_arguments);
    reader.finish();
}

bool valid_interface_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    return !name.empty() && name.size() <= kMaximumInterfaceName && letter(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) {
               return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
           });
}

bool parse_address(std::string_view text, InterfaceAddress& result) {
    const std::size_t slash = text.find('/');
    if (slash == text.npos)
        return false;
    const std::string_view length_text = text.substr(slash + 1);
    if (length_text.empty() || length_text.size() > 3 ||
        !std::all_of(length_text.begin(), length_text.end(),
                     [](char c) { return c >= '0' && c <= '9'; }))
        return false;
    result.prefix_length = 0;
    for (char digit : length_text)
        result.prefix_length = result.prefix_length * 10 + static_cast<unsigned>(digit - '0');
    if (const auto v4 = parse_ipv4(text.substr(0, slash))) {
        result.address = *v4;
        return result.prefix_length <= 32;
    }
    if (const auto v6 = parse_ipv6(text.substr(0, slash))) {
        result.address = *v6;
        return result.prefix_length <= 128;
    }
    return false;
}

void required_text(TableReader& reader, std::string_view key, std::string& value) {
    reader.text(key, value);
    if (value.empty() && reader.table().get(key) == nullptr)
        reader.report().fail(reader.table(), "[[port]] needs the key " + std::string(key));
    else if (value.empty())
        reader.report().fail(*reader.table().get(key), std::string(key) + " must not be empty");
}

// One of the three keys says what the port is for.
void read_role(TableReader& reader, Port& port) {
    bool gateway = false;
    reader.text("peer", port.peer);
    reader.text("bridge", port.bridge);
    reader.boolean("gateway", gateway);
    std::vector<const toml::node*> given;
    for (std::string_view key : {"peer", "bridge"})
        if (const toml::node* node = reader.table().get(key)) {
            given.push_back(node);
            if (const auto* text = node->as_string(); text != nullptr && text->get().empty())
                reader.report().fail(*node, std::string(key) + " must not be empty");
        }
    if (gateway)
        given.push_back(reader.table().get("gateway"));
    if (given.empty())
        reader.report().fail(reader.table(),
                             "[[port]] needs one of the keys peer, bridge and gateway = true");
    else if (given.size() > 1)
        reader.report().fail(*given[1], "a port has one of peer, bridge and gateway, not two");
    port.role = gateway                ? PortRole::gateway
                : !port.bridge.empty() ? PortRole::bridge
                                       : PortRole::pair;
}

void read_port(TableReader reader, Port& port) {
    required_text(reader, "name", port.name);
    if (!port.name.empty() && !valid_interface_name(port.name))
        reader.report().fail(*reader.table().get("name"),
                             "a port name has 1 to 15 letters, digits, '.', '_' or '-' and begins "
                             "with a letter, not " +
                                 quoted(port.name));
    required_text(reader, "device", port.device);
    read_role(reader, port);
    reader.number("mtu", 68, 9216, port.mtu);
    if (const toml::array* list = reader.array("addresses", "texts such as \"10.0.0.1/24\"")) {
        for (const toml::node& node : *list) {
            std::string text;
            InterfaceAddress address;
            if (!reader.read_text(node, "an address", text))
                continue;
            if (!parse_address(text, address))
                reader.report().fail(node,
                                     "an address is written with its prefix length, such as "
                                     "\"10.0.0.1/24\" or \"fd00::1/64\", not " +
                                         quoted(text));
            port.addresses.push_back(address);
        }
    }
    reader.finish();
}

// A virtual device is known by the part of its text in front of the first comma.
std::string_view device_name(const Port& port) {
    return std::string_view(port.device).substr(0, port.device.find(','));
}

// Names and devices are unique; peers are mutual; a bridge has two ports at least.
void check_ports(const std::vector<Port>& ports, const std::vector<const toml::table*>& tables,
                 Report& report) {
    for (std::size_t i = 0; i < ports.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (ports[i].name == ports[j].name)
                report.fail(*tables[i]->get("name"),
                            "the port name " + quoted(ports[i].name) + " is used twice");
            if (device_name(ports[i]) == device_name(ports[j]))
                report.fail(
                    *tables[i]->get("device"),
                    "the device " + quoted(device_name(ports[i])) + " is used by two ports");
        }
        if (ports[i].role == PortRole::bridge &&
            std::count_if(ports.begin(), ports.end(),
                          [&](const Port& p) { return p.bridge == ports[i].bridge; }) < 2)
            report.fail(*tables[i]->get("bridge"),
                        "the bridge " + quoted(ports[i].bridge) + " has no other port");
        if (ports[i].role != PortRole::pair)
            continue;
        const auto peer = std::find_if(ports.begin(), ports.end(),
                                       [&](const Port& p) { return p.name == ports[i].peer; });
        const toml::node* at = tables[i]->get("peer");
        if (peer == ports.end())
            report.fail(*at, "the peer " + quoted(ports[i].peer) + " is not the name of a port");
        else if (ports[i].peer == ports[i].name)
            report.fail(*at, "a port cannot be its own peer");
        else if (peer->peer != ports[i].name)
            report.fail(*at, "peers must name each other, but the peer of " + quoted(peer->name) +
                                 " is " + quoted(peer->peer));
    }
}

void read_ports(TableReader& reader, std::vector<Port>& ports) {
    const toml::array* list = reader.array("port", "tables, written [[port]]");
    if (list == nullptr)
        return;
    if (list->size() > kMaximumPorts) {
        reader.report().fail(
            *list, "there can be no more than " + std::to_string(kMaximumPorts) + " ports");
        return;
    }
    std::vector<const toml::table*> tables;
    for (const toml::node& node : *list) {
        const toml::table* table = node.as_table();
        if (table == nullptr) {
            reader.report().fail(node, "port must be a list of tables, written [[port]]");
            return;
        }
        tables.push_back(table);
        read_port(TableReader(*table, "[[port]]", reader.report()), ports.emplace_back());
    }
    if (!reader.report().failed())
        check_ports(ports, tables, reader.report());
}

void read_reply(TableReader reader, Reply& settings) {
    reader.number("rate", 0, 1'000'000, settings.rate);
    reader.number("burst", 1, 1'000'000, settings.burst);
    reader.finish();
}

void read_controlplane(TableReader reader, ControlPlane& settings) {
    reader.text("user", settings.user);
    reader.socket("control_socket", settings.control_socket);
    reader.text("control_group", settings.control_group);
    reader.path("log_file", 4095, settings.log_file);
    reader.boolean("syslog", settings.syslog);
    std::size_t format = settings.json_log ? 1 : 0;
    reader.choice("log_format", {"classic", "json"}, format);
    settings.json_log = format == 1;
    std::size_t action = settings.default_accept ? 1 : 0;
    reader.choice("default_action", {"deny", "accept"}, action);
    settings.default_accept = action == 1;
    reader.finish();
}

void read_names(TableReader& reader, std::string_view key, std::vector<std::string>& names) {
    read_texts(reader, key, "a user or @group", names);
    for (const std::string& name : names)
        if (name.empty() || name == "@")
            reader.report().fail(*reader.table().get(key),
                                 std::string(key) +
                                     " has an empty name; write the name of a user, "
                                     "or @ and that of a group");
}

void read_control(TableReader reader, Control& settings) {
    read_names(reader, "read", settings.read);
    read_names(reader, "operate", settings.operate);
    read_names(reader, "admin", settings.admin);
    reader.path("audit_log", 4095, settings.audit_log);
    reader.path("state_directory", 4000, settings.state_directory);
    reader.finish();
}

// An IPv4 address and a port. Of what is behind the last colon only digits are a port.
std::optional<Endpoint> parse_endpoint(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos)
        return std::nullopt;
    const auto address = parse_ipv4(text.substr(0, colon));
    const std::string_view digits = text.substr(colon + 1);
    unsigned port = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (!address || failure != std::errc() || end != digits.data() + digits.size() || port == 0 ||
        port > 65535)
        return std::nullopt;
    return Endpoint{.address = *address, .port = static_cast<std::uint16_t>(port)};
}

void read_metrics(TableReader reader, Metrics& settings) {
    if (const toml::node* node = reader.find("listen")) {
        std::string text;
        if (reader.read_text(*node, "listen", text)) {
            settings.listen = text.empty() ? std::nullopt : parse_endpoint(text);
            if (!text.empty() && !settings.listen)
                reader.report().fail(
                    *node,
                    "listen must be an IPv4 address and a port, such as \"127.0.0.1:9655\", or "
                    "empty, not " +
                        quoted(text));
        }
    }
    auto rules = static_cast<std::size_t>(settings.rules);
    reader.choice("rules", {"auto", "all", "labelled", "none"}, rules);
    settings.rules = static_cast<RuleMetrics>(rules);
    reader.boolean("status_page", settings.status_page);
    reader.finish();
}

template <typename Read, typename Part>
void section(TableReader& reader, std::string_view key, Read read, Part& part) {
    const toml::node* node = reader.find(key);
    if (node == nullptr)
        return;
    if (const toml::table* table = node->as_table())
        read(TableReader(*table, "[" + std::string(key) + "]", reader.report()), part);
    else
        reader.report().fail(
            *node, std::string(key) + " must be a table, written [" + std::string(key) + "]");
}

// The complaint stands at the key that comes second, or at the only one if the other is a default.
void check_sockets(const toml::table& root, const Settings& settings, Report& report) {
    if (settings.dataplane.socket != settings.controlplane.control_socket)
        return;
    const toml::node* data = root["dataplane"]["socket"].node();
    const toml::node* control = root["controlplane"]["control_socket"].node();
    const bool at_data =
        control == nullptr || (data != nullptr && control->source().begin < data->source().begin);
    report.fail(at_data ? *data : *control,
                at_data ? "socket is the same path as control_socket in [controlplane]"
                        : "control_socket is the same path as socket in [dataplane]");
}

}  // namespace

std::size_t Settings::peer_index(std::size_t port) const {
    if (ports[port].role != PortRole::pair)
        return port;
    const auto peer = std::find_if(ports.begin(), ports.end(),
                                   [&](const Port& p) { return p.name == ports[port].peer; });
    return static_cast<std::size_t>(peer - ports.begin());
}

Result<Settings> parse(std::string_view text, std::string_view name) {
    Report report(name);
    Settings settings;
    try {
        const toml::table root = toml::parse(text);
        TableReader reader(root, "the file", report);
        section(reader, "dataplane", read_dataplane, settings.dataplane);
        read_ports(reader, settings.ports);
        section(reader, "reply", read_reply, settings.reply);
        section(reader, "controlplane", read_controlplane, settings.controlplane);
        section(reader, "control", read_control, settings.control);
        section(reader, "metrics", read_metrics, settings.metrics);
        reader.finish();
        check_sockets(root, settings, report);
    } catch (const toml::parse_error& error) {
        report.fail(error.source().begin, std::string(error.description()));
    }
    if (report.failed())
        return report.error();
    return settings;
}

Result<Settings> load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    // An empty file is a good one, but to copy nothing counts as a failure of `text`.
    if (file && file.peek() != std::ifstream::traits_type::eof())
        text << file.rdbuf();
    if (!file || !text)
        return Error{ExitStatus::usage,
                     "cannot read the settings from " + path + ": " + std::strerror(errno)};
    return parse(text.view(), path);
}

}  // namespace sluice::config
