#include "config/settings.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace sluice::config {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

const std::string kDefaultFile = std::string(SLUICE_CONFIG_DIR) + "/sluice.toml";

constexpr char kPair[] = R"(
[[port]]
name = "em0"
device = "net_null0"
peer = "em1"
[[port]]
name = "em1"
device = "net_null1"
peer = "em0"
)";

// The message of the error that `text` gives, without the file name.
std::string error_of(std::string_view text) {
    const Result<Settings> settings = parse(text, "x.toml");
    if (settings)
        return "no error";
    EXPECT_EQ(settings.error().message.substr(0, 7), "x.toml:");
    EXPECT_EQ(settings.error().status, ExitStatus::data);
    return settings.error().message.substr(7);
}

TEST(SettingsTest, TheCommentedFileShowsTheDefaults) {
    const Result<Settings> settings = load(kDefaultFile);
    ASSERT_TRUE(settings) << settings.error().message;
    const DataPlane data;
    EXPECT_EQ(settings->dataplane.user, data.user);
    EXPECT_EQ(settings->dataplane.socket, data.socket);
    EXPECT_EQ(settings->dataplane.workers, data.workers);
    EXPECT_EQ(settings->dataplane.cpus, data.cpus);
    EXPECT_EQ(settings->dataplane.idle, data.idle);
    EXPECT_EQ(settings->dataplane.max_sleep_us, data.max_sleep_us);
    EXPECT_EQ(settings->dataplane.burst, data.burst);
    EXPECT_EQ(settings->dataplane.receive_descriptors, data.receive_descriptors);
    EXPECT_EQ(settings->dataplane.transmit_descriptors, data.transmit_descriptors);
    EXPECT_EQ(settings->dataplane.handover_packets, data.handover_packets);
    EXPECT_EQ(settings->dataplane.huge_pages, data.huge_pages);
    EXPECT_EQ(settings->dataplane.memory_mb, data.memory_mb);
    EXPECT_EQ(settings->dataplane.slot_capacity, data.slot_capacity);
    EXPECT_EQ(settings->dataplane.states, data.states);
    EXPECT_EQ(settings->dataplane.log_ring_records, data.log_ring_records);
    EXPECT_EQ(settings->dataplane.reload_timeout_ms, data.reload_timeout_ms);
    EXPECT_EQ(settings->dataplane.log_level, data.log_level);
    EXPECT_EQ(settings->dataplane.eal_arguments, data.eal_arguments);
    EXPECT_TRUE(settings->ports.empty());
    EXPECT_EQ(settings->reply.rate, Reply{}.rate);
    EXPECT_EQ(settings->reply.burst, Reply{}.burst);
    const ControlPlane control;
    EXPECT_EQ(settings->controlplane.user, control.user);
    EXPECT_EQ(settings->controlplane.control_socket, control.control_socket);
    EXPECT_EQ(settings->controlplane.control_group, control.control_group);
    EXPECT_EQ(settings->controlplane.log_file, control.log_file);
    EXPECT_EQ(settings->controlplane.syslog, control.syslog);
    EXPECT_EQ(settings->controlplane.json_log, control.json_log);
    EXPECT_EQ(settings->controlplane.default_accept, control.default_accept);
    EXPECT_TRUE(settings->control.read.empty() && settings->control.operate.empty() &&
                settings->control.admin.empty());
    EXPECT_EQ(settings->control.audit_log, Control().audit_log);
    EXPECT_EQ(settings->control.state_directory, Control().state_directory);
    EXPECT_EQ(settings->metrics.listen, Metrics().listen);
    EXPECT_EQ(settings->metrics.rules, Metrics().rules);
    EXPECT_EQ(settings->metrics.status_page, Metrics().status_page);
}

TEST(SettingsTest, TheCommentedFileMentionsEveryKey) {
    // The keys that messages list are the keys that exist.
    const std::string text = read_file(kDefaultFile);
    for (const char* section : {"[dataplane]\nx=1", "[reply]\nx=1", "[controlplane]\nx=1",
                                "[control]\nx=1", "[metrics]\nx=1"}) {
        const std::string message = error_of(section);
        std::istringstream keys(message.substr(message.find("one of ") + 7));
        for (std::string key; std::getline(keys >> std::ws, key, ',');)
            EXPECT_NE(text.find("\n" + key + " = "), std::string::npos) << key;
    }
}

TEST(SettingsTest, TheExamplePortsAreValid) {
    std::istringstream lines(read_file(kDefaultFile));
    std::string text;
    bool example = false;
    for (std::string line; std::getline(lines, line);) {
        example = line == "# [[port]]" || (example && line.size() > 1);
        if (example && line.rfind("# ", 0) == 0)
            text += line.substr(2) + "\n";
    }
    const Result<Settings> settings = parse(text, "example");
    ASSERT_TRUE(settings) << settings.error().message;
    ASSERT_EQ(settings->ports.size(), 2u);
    EXPECT_EQ(settings->ports[0].name, "em0");
    EXPECT_EQ(settings->ports[0].mtu, Port{}.mtu);
    ASSERT_EQ(settings->ports[0].addresses.size(), 2u);
    EXPECT_EQ(to_string(std::get<Ipv4>(settings->ports[0].addresses[0].address)), "192.0.2.1");
    EXPECT_EQ(settings->ports[0].addresses[0].prefix_length, 24u);
    EXPECT_EQ(to_string(std::get<Ipv6>(settings->ports[0].addresses[1].address)), "2001:db8::1");
    EXPECT_EQ(settings->peer_index(0), 1u);
    EXPECT_EQ(settings->peer_index(1), 0u);
}

TEST(SettingsTest, EveryKeyIsRead) {
    const Result<Settings> settings = parse(R"(
[dataplane]
socket = "/a"
workers = 2
cpus = [3, 4]
idle = "poll"
max_sleep_us = 7
burst = 8
receive_descriptors = 64
transmit_descriptors = 128
handover_packets = 512
huge_pages = false
memory_mb = 100
slot_capacity = 2000
states = 3000
log_ring_records = 256
reload_timeout_ms = 50
links_when_down = "down"
log_level = "debug"
eal_arguments = ["--force-max-simd-bitwidth=512"]
[reply]
rate = 1
burst = 2
[controlplane]
control_socket = "/b"
control_group = "wheel"
log_file = ""
syslog = false
log_format = "json"
default_action = "accept"
[control]
read = ["alice", "@staff"]
operate = ["@operators"]
admin = ["bob"]
audit_log = "/c"
state_directory = "/d"
)",
                                            "x.toml");
    ASSERT_TRUE(settings) << settings.error().message;
    const DataPlane& data = settings->dataplane;
    EXPECT_EQ(data.socket, "/a");
    EXPECT_EQ(data.workers, 2u);
    EXPECT_EQ(data.cpus, (std::vector<unsigned>{3, 4}));
    EXPECT_EQ(data.idle, Idle::poll);
    EXPECT_EQ(data.max_sleep_us, 7u);
    EXPECT_EQ(data.burst, 8u);
    EXPECT_EQ(data.receive_descriptors, 64u);
    EXPECT_EQ(data.transmit_descriptors, 128u);
    EXPECT_EQ(data.handover_packets, 512u);
    EXPECT_FALSE(data.huge_pages);
    EXPECT_EQ(data.memory_mb, 100u);
    EXPECT_EQ(data.slot_capacity, 2000u);
    EXPECT_EQ(data.states, 3000u);
    EXPECT_EQ(data.log_ring_records, 256u);
    EXPECT_EQ(data.reload_timeout_ms, 50u);
    EXPECT_EQ(data.links_when_down, LinksWhenDown::down);
    EXPECT_EQ(data.log_level, "debug");
    EXPECT_EQ(data.eal_arguments, (std::vector<std::string>{"--force-max-simd-bitwidth=512"}));
    EXPECT_EQ(settings->reply.rate, 1u);
    EXPECT_EQ(settings->reply.burst, 2u);
    EXPECT_EQ(settings->controlplane.control_socket, "/b");
    EXPECT_EQ(settings->controlplane.control_group, "wheel");
    EXPECT_EQ(settings->controlplane.log_file, "");
    EXPECT_FALSE(settings->controlplane.syslog);
    EXPECT_TRUE(settings->controlplane.json_log);
    EXPECT_TRUE(settings->controlplane.default_accept);
    EXPECT_EQ(settings->control.read, (std::vector<std::string>{"alice", "@staff"}));
    EXPECT_EQ(settings->control.operate, (std::vector<std::string>{"@operators"}));
    EXPECT_EQ(settings->control.admin, (std::vector<std::string>{"bob"}));
    EXPECT_EQ(settings->control.audit_log, "/c");
    EXPECT_EQ(settings->control.state_directory, "/d");
}

TEST(SettingsTest, ErrorsNameLineColumnAndWhatWasExpected) {
    EXPECT_EQ(error_of("[dataplane]\nworkers = 0\n"),
              "2:11: workers must be a whole number from 1 to 64");
    EXPECT_EQ(error_of("[dataplane]\nworkers = \"2\"\n"),
              "2:11: workers must be a whole number from 1 to 64");
    EXPECT_EQ(error_of("[dataplane]\nidle = \"lazy\"\n"),
              "2:8: idle is \"lazy\", expected one of \"auto\", \"poll\", \"backoff\"");
    EXPECT_EQ(error_of("[dataplane]\nhuge_pages = 1\n"), "2:14: huge_pages must be true or false");
    EXPECT_EQ(error_of("[dataplane]\nsocket = \"run\"\n"),
              "2:10: socket must be an absolute path, not \"run\"");
    EXPECT_EQ(error_of("[dataplane]\nsocket = \"\"\n"), "2:10: socket must not be empty");
    EXPECT_EQ(error_of("[dataplane]\nlog_ring_records = 100\n"),
              "2:20: log_ring_records must be a power of two");
    EXPECT_EQ(error_of("[control]\nread = [\"@\"]\n"),
              "2:8: read has an empty name; write the name of a user, or @ and that of a group");
    EXPECT_EQ(error_of("[dataplane]\ncpus = [1, 1]\n"), "2:12: CPU 1 stands in the list twice");
    EXPECT_EQ(error_of("[dataplane]\ncpus = [1, 2]\n"),
              "2:8: cpus must name one CPU for each worker (1), or none");
    EXPECT_EQ(error_of("[reply]\n\n  rat = 5\n"),
              "3:3: unknown key \"rat\" in [reply], expected one of rate, burst");
    EXPECT_EQ(error_of("[repl]\n"),
              "1:2: unknown key \"repl\" in the file, expected one of dataplane, port, reply, "
              "controlplane, control, metrics");
    EXPECT_EQ(error_of("reply = 1\n"), "1:9: reply must be a table, written [reply]");
    EXPECT_EQ(error_of("[controlplane]\ndefault_action = \"allow\"\n"),
              "2:18: default_action is \"allow\", expected one of \"deny\", \"accept\"");
}

TEST(SettingsTest, SyntaxErrorsHaveAPlace) {
    const std::string message = error_of("[dataplane]\nworkers = = 1\n");
    EXPECT_EQ(message.substr(0, 2), "2:") << message;
}

TEST(SettingsTest, PortsAreChecked) {
    const std::string pair = kPair;
    EXPECT_EQ(error_of(pair), "no error");
    EXPECT_EQ(error_of("[[port]]\ndevice = \"net_null0\"\npeer = \"b\"\n"),
              "1:1: [[port]] needs the key name");
    EXPECT_EQ(error_of("[[port]]\nname = \"a\"\ndevice = \"net_null0\"\npeer = \"b\"\n"),
              "4:8: the peer \"b\" is not the name of a port");
    EXPECT_EQ(error_of("[[port]]\nname = \"a\"\ndevice = \"net_null0\"\npeer = \"a\"\n"),
              "4:8: a port cannot be its own peer");
    EXPECT_EQ(error_of("[[port]]\nname = \"0a\"\ndevice = \"net_null0\"\npeer = \"a\"\n"),
              "2:8: a port name has 1 to 15 letters, digits, '.', '_' or '-' and begins with a "
              "letter, not \"0a\"");
    EXPECT_EQ(error_of(pair + "[[port]]\nname = \"em2\"\ndevice = \"net_null2\"\npeer = \"em0\"\n"),
              "13:8: peers must name each other, but the peer of \"em0\" is \"em1\"");
    EXPECT_EQ(error_of(pair + "[[port]]\nname = \"em0\"\ndevice = \"net_null2\"\npeer = \"em1\"\n"),
              "11:8: the port name \"em0\" is used twice");
    EXPECT_EQ(
        error_of(pair + "[[port]]\nname = \"em2\"\ndevice = \"net_null1,x=1\"\npeer = \"em1\"\n"),
        "12:10: the device \"net_null1\" is used by two ports");
    EXPECT_EQ(error_of(pair + "addresses = [\"10.0.0.1\"]\n"),
              "10:14: an address is written with its prefix length, such as \"10.0.0.1/24\" or "
              "\"fd00::1/64\", not \"10.0.0.1\"");
    EXPECT_EQ(error_of(pair + "addresses = [\"10.0.0.1/33\"]\n").substr(0, 6), "10:14:");
    const std::string device = "[[port]]\nname = \"em2\"\ndevice = \"net_null2\"\n";
    EXPECT_EQ(error_of(pair + device + "gateway = true\n"), "no error");
    EXPECT_EQ(error_of(pair + device),
              "10:1: [[port]] needs one of the keys peer, bridge and gateway = true");
    EXPECT_EQ(error_of(pair + device + "gateway = false\n"),
              "10:1: [[port]] needs one of the keys peer, bridge and gateway = true");
    EXPECT_EQ(error_of(pair + device + "gateway = true\nbridge = \"lan\"\n"),
              "13:11: a port has one of peer, bridge and gateway, not two");
    EXPECT_EQ(error_of(pair + device + "bridge = \"lan\"\n"),
              "13:10: the bridge \"lan\" has no other port");
    EXPECT_EQ(error_of(pair + "mtu = 65536\n"), "10:7: mtu must be a whole number from 68 to 9216");
}

TEST(SettingsTest, TheTwoSocketsAreNotTheSame) {
    EXPECT_EQ(error_of("[dataplane]\nsocket = \"/a\"\n[controlplane]\ncontrol_socket = \"/a\"\n"),
              "4:18: control_socket is the same path as socket in [dataplane]");
    EXPECT_EQ(error_of("[controlplane]\ncontrol_socket = \"/a\"\n[dataplane]\nsocket = \"/a\"\n"),
              "4:10: socket is the same path as control_socket in [controlplane]");
    EXPECT_EQ(error_of("[dataplane]\nsocket = \"" + ControlPlane{}.control_socket + "\"\n"),
              "2:10: socket is the same path as control_socket in [controlplane]");
    EXPECT_EQ(error_of("[controlplane]\ncontrol_socket = \"" + DataPlane{}.socket + "\"\n"),
              "2:18: control_socket is the same path as socket in [dataplane]");
}

TEST(SettingsTest, WhereMetricsAreServed) {
    const auto read = [](const std::string& text) { return parse("[metrics]\n" + text, "x"); };
    EXPECT_EQ(read("listen = \"192.0.2.1:80\"")->metrics.listen,
              (Endpoint{.address = Ipv4::from_host(0xc0000201), .port = 80}));
    EXPECT_EQ(read("listen = \"0.0.0.0:65535\"")->metrics.listen,
              (Endpoint{.address = {}, .port = 65535}));
    EXPECT_EQ(read("listen = \"\"")->metrics.listen, std::nullopt);
    EXPECT_EQ(read("rules = \"labelled\"")->metrics.rules, RuleMetrics::labelled);
    EXPECT_EQ(read("rules = \"none\"")->metrics.rules, RuleMetrics::none);
    for (const char* wrong :
         {"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1", ":9655",
          "127.0.0.1:96x", "127.1:9655", "localhost:9655", "[::1]:9655", "127.0.0.1:9655 "})
        EXPECT_EQ(error_of("[metrics]\nlisten = \"" + std::string(wrong) + "\"\n"),
                  "2:10: listen must be an IPv4 address and a port, such as \"127.0.0.1:9655\", or "
                  "empty, not \"" +
                      std::string(wrong) + "\"");
    EXPECT_EQ(error_of("[metrics]\nlisten = 9655\n"), "2:10: listen must be a text in quotes");
    EXPECT_EQ(error_of("[metrics]\nrules = \"some\"\n"),
              "2:9: rules is \"some\", expected one of \"auto\", \"all\", \"labelled\", \"none\"");
    EXPECT_EQ(error_of("[metrics]\nport = 1\n"),
              "2:1: unknown key \"port\" in [metrics], expected one of listen, rules, status_page");
    EXPECT_FALSE(read("status_page = false")->metrics.status_page);
    EXPECT_EQ(error_of("[metrics]\nstatus_page = 1\n"), "2:15: status_page must be true or false");
}

TEST(SettingsTest, AnEmptyFileGivesTheDefaults) {
    const std::string path = testing::TempDir() + "sluice-empty-settings.toml";
    std::ofstream(path).close();
    const Result<Settings> settings = load(path);
    std::remove(path.c_str());
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->dataplane.socket, DataPlane{}.socket);
}

TEST(SettingsTest, AFolderIsNoFile) {
    const Result<Settings> settings = load("/tmp");
    ASSERT_FALSE(settings);
    EXPECT_EQ(settings.error().message, "cannot read the settings from /tmp: Is a directory");
}

TEST(SettingsTest, AMissingFileIsASentence) {
    const Result<Settings> settings = load("/nonexistent/sluice.toml");
    ASSERT_FALSE(settings);
    EXPECT_EQ(settings.error().message,
              "cannot read the settings from /nonexistent/sluice.toml: No such file or directory");
}

}  // namespace
}  // namespace sluice::config
