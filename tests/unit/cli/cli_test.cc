// The whole command against a control plane that runs in a thread, with a data plane that says yes.

#include "controlplane/cli/cli.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "controlplane/service/control_server.h"
#include "controlplane/service/controller.h"
#include "tests/unit/service/fake_dataplane.h"

namespace sluice::cli {
namespace {

using std::chrono::milliseconds;

// Splits at blanks; that is all the quoting the tests need.
std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> result;
    for (std::string word; stream >> word;)
        result.push_back(word);
    return result;
}

using Json = nlohmann::json;

class CliTest : public testing::Test {
  protected:
    CliTest() {
        char name[] = "/tmp/sluice-cli-XXXXXX";
        folder_ = mkdtemp(name);
        setenv(service::kControlSocketVariable, (folder_ + "/control.sock").c_str(), 1);
        // Whoever runs the tests may sit at a terminal: nobody is asked.
        null_ = open("/dev/null", O_RDONLY);
        old_input_ = dup(STDIN_FILENO);
        dup2(null_, STDIN_FILENO);
    }
    ~CliTest() override {
        stop();
        dup2(old_input_, STDIN_FILENO);
        close(old_input_);
        close(null_);
        std::filesystem::remove_all(folder_);
    }

    void start(bool with_dataplane = true) {
        std::atomic<bool> ready = false;
        thread_ = std::thread([this, &ready, with_dataplane] {
            const auto loop = *service::EventLoop::create();
            std::unique_ptr<service::FakeDataplane> dataplane;
            if (with_dataplane)
                dataplane = std::make_unique<service::FakeDataplane>(*loop, folder_ + "/dp.sock");
            log::LogWriter log_writer({});
            service::Controller controller(*loop,
                                           {.dataplane_socket = folder_ + "/dp.sock",
                                            .default_accept = false,
                                            .answer_timeout = std::chrono::seconds(5)},
                                           log_writer, [](const std::string&) {});
            const auto server = *service::ControlServer::listen(
                *loop, folder_ + "/control.sock", {},
                [&](service::Request request, const service::Peer&,
                    service::ControlServer::Reply reply) {
                    controller.submit(std::move(request), std::move(reply));
                });
            controller.start();
            while (with_dataplane && controller.generation() == 0)
                loop->turn(milliseconds(10));
            ready = true;
            while (!stop_) {
                if (const std::uint16_t rule = wanted_state_.exchange(0); rule != 0)
                    dataplane->states.push_back(dataplane->state_of(rule));
                loop->turn(milliseconds(5));
            }
        });
        while (!ready)
            std::this_thread::sleep_for(milliseconds(1));
    }
    void stop() {
        if (!thread_.joinable())
            return;
        stop_ = true;
        thread_.join();
        stop_ = false;
    }

    // A packet that this rule makes a state for.
    void make_state(std::uint16_t rule) {
        wanted_state_ = rule;
        while (wanted_state_ != 0)
            std::this_thread::sleep_for(milliseconds(1));
    }

    static Output ipfw(const std::string& line) { return execute(words(line)); }
    static int status(const std::string& line) { return static_cast<int>(ipfw(line).status); }
    static std::string list() { return ipfw("list").out; }
    static Json json(const std::string& line) { return Json::parse(ipfw(line).out); }
    std::string file(const std::string& text) {
        const std::string path = folder_ + "/rules";
        std::ofstream(path) << text;
        return path;
    }

    std::string folder_;
    std::thread thread_;
    std::atomic<bool> stop_ = false;
    std::atomic<std::uint16_t> wanted_state_ = 0;
    int null_ = -1, old_input_ = -1;
};

constexpr char kDefault[] = "65535 deny ip from any to any\n";

TEST_F(CliTest, SaysThatTheControlPlaneIsMissing) {
    const Output output = ipfw("list");
    EXPECT_EQ(output.status, ExitStatus::unavailable);
    EXPECT_NE(output.err.find("sluice-controlplane is not running"), std::string::npos);
    EXPECT_NE(output.err.find(folder_ + "/control.sock"), std::string::npos);
}

TEST_F(CliTest, SaysThatTheDataPlaneIsMissing) {
    start(false);
    const Output output = ipfw("add allow ip from any to any");
    EXPECT_EQ(output.status, ExitStatus::unavailable);
    EXPECT_NE(output.err.find("sluice-dataplane is not running"), std::string::npos);
    const Output listed = ipfw("show");
    EXPECT_EQ(listed.out, "65535 0 0 deny ip from any to any\n");
    EXPECT_EQ(listed.status, ExitStatus::ok);
    EXPECT_NE(listed.err.find("counters are shown as 0"), std::string::npos);
    EXPECT_EQ(ipfw("list").err,
              "ipfw: sluice-dataplane is not connected: these rules are not in force\n");
}

TEST_F(CliTest, AddListDeleteFlush) {
    start();
    EXPECT_EQ(ipfw("add pass tcp from any to me 22 in").out,
              "00100 allow tcp from any to me 22 in\n");
    EXPECT_EQ(ipfw("add 50 deny all from 10.0.0.0/8 to any").out,
              "00050 deny ip from 10.0.0.0/8 to any\n");
    EXPECT_EQ(ipfw("-q add count ip from any to any").out, "");
    EXPECT_EQ(list(),
              "00050 deny ip from 10.0.0.0/8 to any\n"
              "00100 allow tcp from any to me 22 in\n"
              "00200 count ip from any to any\n" +
                  std::string(kDefault));
    EXPECT_EQ(ipfw("show 100").out, "00100 0 0 allow tcp from any to me 22 in\n");
    EXPECT_EQ(status("delete 50"), 0);
    const Output absent = ipfw("delete 50 100");
    EXPECT_EQ(absent.status, ExitStatus::unavailable);
    EXPECT_EQ(absent.err, "ipfw: rule 50 not found\n");
    EXPECT_EQ(list(), "00200 count ip from any to any\n" + std::string(kDefault));
    EXPECT_EQ(ipfw("flush").out, "Flushed all rules.\n");
    EXPECT_EQ(ipfw("-q flush").out, "");
    EXPECT_EQ(list(), kDefault);
}

// vectors/exit_codes.tsv, as far as a daemon answers.
TEST_F(CliTest, ExitStatuses) {
    start();
    EXPECT_EQ(status("add 65535 deny ip from any to any"), 69);
    EXPECT_EQ(status("add pipe 1 ip from any to any"), 69);
    EXPECT_EQ(status("add allow tcp from any to any keep-state // a state"), 0);
    EXPECT_EQ(status("delete 100"), 0);
    EXPECT_EQ(status("-D delete 12345"), 69);
    EXPECT_EQ(status("-f -D delete 12345"), 0);
    EXPECT_EQ(status("-D delete set 5"), 64);
    EXPECT_EQ(status("delete 12345"), 69);  // even though standard input is no terminal
    EXPECT_EQ(status("-f delete 12345"), 0);
    EXPECT_EQ(status("-q delete 12345"), 0);
    EXPECT_EQ(status("list 12345"), 69);
    EXPECT_EQ(status("list abc"), 64);
    EXPECT_EQ(status("zero 12345"), 69);
    EXPECT_EQ(status("zero 65535"), 0);
    EXPECT_EQ(status("zero 70000"), 65);
    EXPECT_EQ(status("zero abc"), 64);
    EXPECT_EQ(status("-q zero 12345"), 0);
    EXPECT_EQ(status("relative.rules"), 64);
    EXPECT_EQ(status("/no/such/file"), 64);
    EXPECT_EQ(status("table 1 add 1.2.3.4"), 0);
    EXPECT_EQ(status("table 1 add 1.2.3.4"), 71);
    EXPECT_EQ(status("-q table 1 add 1.2.3.4"), 0);
    EXPECT_EQ(status("table 1 delete 1.2.3.5"), 71);
    EXPECT_EQ(status("-q table 1 delete 1.2.3.5"), 0);
    EXPECT_EQ(status("table absent add 1.2.3.5"), 71);
    EXPECT_EQ(status("table absent list"), 71);
    EXPECT_EQ(status("table 1 lookup 9.9.9.9"), 69);
    EXPECT_EQ(status("table 1 add 1.2.3.400"), 65);
    EXPECT_EQ(status("set disable 5"), 0);
    EXPECT_EQ(status("set disable 31"), 0);
    EXPECT_EQ(status("set swap 1 2"), 0);
    EXPECT_EQ(status("set move 1 to 2"), 0);
    EXPECT_EQ(status("set move rule 777 to 2"), 69);
    EXPECT_EQ(status("set swap 1 32"), 65);
    EXPECT_EQ(status("nat 1 config ip 1.2.3.4"), 69);
    EXPECT_EQ(status(""), 64);
    EXPECT_EQ(status("-h"), 0);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.verbos=1"), 65);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.dyn_max=200000"), 69);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.dyn_buckets=1"), 69);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.tables_sets=1"), 69);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.static_count=1"), 69);
    EXPECT_EQ(list(), kDefault);
}

TEST_F(CliTest, ForcedDeleteKeepsItsMessage) {
    start();
    EXPECT_EQ(ipfw("-f delete 12345").err, "ipfw: rule 12345 not found\n");
    EXPECT_EQ(ipfw("-q delete 12345").err, "");
}

TEST_F(CliTest, Sysctls) {
    start();
    EXPECT_EQ(ipfw("sysctl -w net.inet.ip.fw.verbose=1").out, "net.inet.ip.fw.verbose: 0 -> 1\n");
    EXPECT_EQ(ipfw("sysctl net.inet.ip.fw.verbose").out, "net.inet.ip.fw.verbose: 1\n");
    EXPECT_EQ(status("disable verbose"), 0);
    EXPECT_EQ(ipfw("sysctl -n net.inet.ip.fw.verbose").out, "0\n");
    EXPECT_NE(ipfw("sysctl -a").out.find("net.inet.ip.fw.autoinc_step: 100\n"), std::string::npos);
    EXPECT_EQ(status("sysctl net.inet.ip.fw.autoinc_step=10"), 0);
    EXPECT_EQ(ipfw("add allow ip from any to any").out, "00010 allow ip from any to any\n");
}

TEST_F(CliTest, AFileIsCommittedAsAWhole) {
    start();
    const std::string path = file(
        "# comment\n"
        "-q flush\n"
        "add 100 allow ip from any to any via lo0   # loopback\n"
        "\n"
        "add deny log tcp from any to any 23, 25 // no telnet\n"
        "list\n");
    const Output output = ipfw(path);
    EXPECT_EQ(output.status, ExitStatus::ok) << output.err;
    EXPECT_EQ(output.out,
              "00100 allow ip from any to any via lo0\n"
              "00200 deny log tcp from any to any 23,25 // no telnet\n"
              "00100 allow ip from any to any via lo0\n"
              "00200 deny log tcp from any to any 23,25 // no telnet\n" +
                  std::string(kDefault));
    EXPECT_EQ(ipfw("-q " + path).out,
              "00100 allow ip from any to any via lo0\n"
              "00200 deny log tcp from any to any 23,25 // no telnet\n" +
                  std::string(kDefault));
}

// Scenario 36: whatever is wrong with a line, wherever it is found out, nothing of the file is
// active.
TEST_F(CliTest, AFileWithABadLineChangesNothing) {
    start();
    struct Bad {
        const char* line;
        int status;
    };
    for (const Bad& bad : {Bad{"add alow ip from any to any", 65},         // the language
                           Bad{"add 65535 allow ip from any to any", 69},  // the ruleset
                           Bad{"add pipe 1 ip from any to any", 69},       // not carried out
                           Bad{"set move rule 777 to 5", 69}, Bad{"delete 777", 69},
                           Bad{"sysctl net.inet.ip.fw.tables_sets=5", 69}}) {
        const Output output =
            ipfw(file("add allow ip from any to any\nadd deny ip from any to any\n" +
                      std::string(bad.line) + "\nadd count ip from any to any\n"));
        EXPECT_EQ(static_cast<int>(output.status), bad.status) << bad.line;
        EXPECT_TRUE(output.err.starts_with("Line 3: ")) << output.err;
        EXPECT_EQ(output.out, "");
        EXPECT_EQ(list(), kDefault) << bad.line;
    }
    EXPECT_EQ(static_cast<int>(ipfw(file("add allow ip from any to any\n-f delete 777\n")).status),
              0);
}

TEST_F(CliTest, APreprocessorSeesTheFileFirst) {
    start();
    const std::string path = file("add allow ip from any to any via IFACE\n");
    EXPECT_EQ(ipfw("-p sed s/IFACE/em0/ " + path).out, "00100 allow ip from any to any via em0\n");
    EXPECT_EQ(status("-p false " + path), 69);
}

TEST_F(CliTest, DryRunsNeedNobody) {
    EXPECT_EQ(ipfw("-n add pass all from any to any").out, "00000 allow ip from any to any\n");
    EXPECT_EQ(ipfw("-n -q add pass all from any to any").out, "");
    const Output pipe = ipfw("-n add 10 pipe 1 ip from any to any");
    EXPECT_EQ(pipe.out, "00010 pipe 1 ip from any to any\n");
    EXPECT_EQ(pipe.status, ExitStatus::ok);
    EXPECT_NE(pipe.err.find("warning: not supported yet: "), std::string::npos);
    EXPECT_EQ(status("-n table 1 add 1.2.3.4"), 0);
    EXPECT_EQ(status("-n flush"), 0);
    const Output whole = ipfw("-n " + file("flush\nadd 1 deny ip from any to any\n"
                                           "add queue 1 ip from any to any\n"));
    EXPECT_EQ(whole.out, "00001 deny ip from any to any\n00000 queue 1 ip from any to any\n");
    EXPECT_TRUE(whole.err.starts_with("Line 3: warning: not supported yet: ")) << whole.err;
    EXPECT_EQ(whole.status, ExitStatus::ok);
    EXPECT_EQ(status("-n " + file("add frobnicate ip from any to any\n")), 65);
}

TEST_F(CliTest, DryRunsRefuseTheDefaultRule) {
    const Output one = ipfw("-n add 65535 deny ip from any to any");
    EXPECT_EQ(one.status, ExitStatus::unavailable);
    EXPECT_EQ(one.out, "");
    EXPECT_EQ(one.err, "ipfw: rule 65535 is the default rule: it cannot be added or replaced\n");
    const Output whole = ipfw("-n " + file("add 1 deny ip from any to any\n"
                                           "add 65535 deny ip from any to any\n"));
    EXPECT_EQ(whole.status, ExitStatus::unavailable);
    EXPECT_EQ(whole.err,
              "Line 2: rule 65535 is the default rule: it cannot be added or replaced\n");
}

TEST_F(CliTest, VersionAndHelp) {
    EXPECT_TRUE(ipfw("--version").out.starts_with("ipfw (Sluice) "));
    EXPECT_NE(ipfw("-h").out.find("COMMAND"), std::string::npos);
    EXPECT_NE(ipfw("").err.find("COMMAND"), std::string::npos);
}

// A terminal on standard input, on which `typed` has been typed.
class Terminal {
  public:
    explicit Terminal(const std::string& typed) : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
        grantpt(master_);
        unlockpt(master_);
        const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
        old_ = dup(STDIN_FILENO);
        dup2(slave, STDIN_FILENO);
        close(slave);
        EXPECT_EQ(write(master_, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
        std::clearerr(stdin);
    }
    ~Terminal() {
        dup2(old_, STDIN_FILENO);
        close(old_);
        close(master_);
        std::clearerr(stdin);
    }

  private:
    int master_, old_;
};

TEST_F(CliTest, AFlushOnATerminalIsAskedAbout) {
    start();
    ipfw("-q add allow ip from any to any");
    testing::internal::CaptureStdout();
    {
        const Terminal terminal("what?\n\nno\n");
        EXPECT_EQ(ipfw("flush").out, "");
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout(),
              "Are you sure? [yn] Are you sure? [yn] Are you sure? [yn] ");
    testing::internal::CaptureStdout();
    {
        const Terminal terminal("\x04");  // end of input
        EXPECT_EQ(static_cast<int>(ipfw("flush").status), 0);
    }
    {
        const Terminal terminal("n\n");
        ipfw(file("flush\nadd 7 count ip from any to any\n"));
    }
    testing::internal::GetCapturedStdout();
    EXPECT_EQ(list(), "00007 count ip from any to any\n00100 allow ip from any to any\n" +
                          std::string(kDefault));
    testing::internal::CaptureStdout();
    {
        const Terminal terminal("Y\n");
        EXPECT_EQ(ipfw("flush").out, "Flushed all rules.\n");
    }
    {
        const Terminal terminal("");
        EXPECT_EQ(ipfw("-f flush").out, "Flushed all rules.\n");
    }
    testing::internal::GetCapturedStdout();
    EXPECT_EQ(list(), kDefault);
}

TEST_F(CliTest, Sets) {
    start();
    ipfw("-q add 100 set 1 allow ip from any to any");
    EXPECT_EQ(status("set disable 1 2"), 0);
    EXPECT_TRUE(ipfw("set show").out.starts_with("disable 1 2 enable 0 3 4 "));
    EXPECT_EQ(ipfw("add 200 set 1 deny ip from any to any").out, "00200 deny ip from any to any\n");
    EXPECT_EQ(list(), kDefault);
    EXPECT_EQ(ipfw("-S list").out,
              "# DISABLED 00100 set 1 allow ip from any to any\n"
              "# DISABLED 00200 set 1 deny ip from any to any\n"
              "65535 set 31 deny ip from any to any\n");
    EXPECT_EQ(status("list 100"), 0);  // there, but hidden
    EXPECT_EQ(status("delete 200"), 0);
    EXPECT_EQ(status("set enable 1"), 0);
    EXPECT_EQ(list(), "00100 allow ip from any to any\n" + std::string(kDefault));
}

TEST_F(CliTest, DynamicRules) {
    start();
    ipfw("-q add 100 allow tcp from any to any keep-state");
    ipfw("-q add 200 allow tcp from any to any keep-state :web");
    const std::string rule = "00100 0   0 allow tcp from any to any keep-state :default\n";
    const std::string other = "00200 0   0 allow tcp from any to any keep-state :web\n";
    const std::string end = "65535 0   0 deny ip from any to any\n";
    EXPECT_EQ(ipfw("-d show").out.find("Dynamic"), std::string::npos);
    make_state(100);
    make_state(200);
    const std::string first =
        "00100 4 208 (300s) STATE tcp 10.0.0.1 1025 <-> 10.0.0.2 80 :default\n";
    const std::string second = "00200 4 208 (300s) STATE tcp 10.0.0.1 1025 <-> 10.0.0.2 80 :web\n";
    EXPECT_EQ(ipfw("-d show").out,
              rule + other + end + "## Dynamic rules (2 272):\n" + first + second);
    EXPECT_EQ(ipfw("-D show").out, "## Dynamic rules (2 272):\n" + first + second);
    // As ipfw does it, states of some rules are not counted.
    EXPECT_EQ(ipfw("-d show 200").out, other + "## Dynamic rules:\n" + second);
    EXPECT_EQ(ipfw("-D list 100 7").out,
              "## Dynamic rules:\n00100 (300s) STATE tcp 10.0.0.1 1025 <-> 10.0.0.2 80 :default\n");
    EXPECT_EQ(ipfw("state list").out, first + second);
    EXPECT_EQ(status("-D delete 100"), 0);
    EXPECT_EQ(ipfw("state list").out, second);
    EXPECT_EQ(ipfw("list 100").out, "00100 allow tcp from any to any keep-state :default\n");
    const Output nothing = ipfw("-D delete 100");
    EXPECT_EQ(nothing.err, "ipfw: no dynamic rules of rule 100\n");
    EXPECT_EQ(nothing.status, ExitStatus::unavailable);
}

TEST_F(CliTest, ListingsAsJson) {
    start();
    ipfw("-q add 100 set 3 count tcp from any to any // \"odd\"\\");
    ipfw("-q add 200 allow tcp from any to any keep-state");
    ipfw("-q set disable 3");
    make_state(200);
    const Json all = json("show --json");
    EXPECT_EQ(all["schema"], "sluice/rules/1");
    EXPECT_EQ(all["in_force"], true);
    EXPECT_GT(all["generation"], 0);
    EXPECT_FALSE(all.contains("states"));
    ASSERT_EQ(all["rules"].size(), 3u);
    EXPECT_EQ(all["rules"][0], Json({{"number", 100},
                                     {"set", 3},
                                     {"enabled", false},
                                     {"text", "count tcp from any to any // \"odd\"\\"},
                                     {"packets", 0},
                                     {"bytes", 0},
                                     {"last_match_s", 0}}));
    EXPECT_EQ(json("-d list 200 --json")["states"][0]["rule"], 200);
    EXPECT_EQ(json("list 65535 --json")["rules"][0]["text"], "deny ip from any to any");
    const Output missing = ipfw("list 300 --json");
    EXPECT_EQ(missing.status, ExitStatus::unavailable);
    EXPECT_EQ(missing.err, "ipfw: rule 300 does not exist\n");
    EXPECT_EQ(Json::parse(missing.out)["rules"], Json::array());

    const Json sets = json("set show --json");
    EXPECT_EQ(sets["schema"], "sluice/sets/1");
    EXPECT_EQ(sets["sets"].size(), 32u);
    EXPECT_EQ(sets["sets"][3], Json({{"set", 3}, {"enabled", false}}));
    EXPECT_EQ(json("sysctl net.inet.ip.fw.enable --json"),
              Json({{"schema", "sluice/sysctls/1"}, {"sysctls", {{"net.inet.ip.fw.enable", 1}}}}));
    EXPECT_GT(json("sysctl -a --json")["sysctls"].size(), 20u);

    for (const char* line : {"add 300 count ip from any to any --json",
                             "sysctl net.inet.ip.fw.enable=0 --json", "-f flush --json"}) {
        EXPECT_EQ(status(line), 64) << line;
    }
    EXPECT_EQ(ipfw("list 300").status, ExitStatus::unavailable);
}

TEST_F(CliTest, TablesAsJson) {
    start();
    ipfw("-q table ports create type flow:src-ip,dst-port valtype skipto,fib");
    ipfw("-q table ports add 10.0.0.1,80 5,1");
    ipfw("-q table 1 create");
    EXPECT_EQ(
        json("table ports list --json"),
        Json({{"schema", "sluice/table-entries/1"},
              {"tables",
               {{{"name", "ports"}, {"entries", {{{"key", "10.0.0.1,80"}, {"value", "5,1"}}}}}}}}));
    EXPECT_EQ(json("table 1 list --json")["tables"],
              Json({{{"name", "1"}, {"entries", Json::array()}}}));
    EXPECT_EQ(json("table ports lookup 10.0.0.1,80 --json")["tables"][0]["entries"][0]["value"],
              "5,1");
    const Json every = json("table all list --json")["tables"];
    ASSERT_EQ(every.size(), 2u);
    EXPECT_EQ(every[0]["name"], "1");
    EXPECT_EQ(every[1]["entries"].size(), 1u);
    const Json info = json("table ports detail --json")["tables"][0];
    EXPECT_EQ(info["name"], "ports");
    EXPECT_EQ(info["type"], "flow:src-ip,dst-port");
    EXPECT_EQ(info["valtype"], "skipto,fib");
    EXPECT_EQ(info["items"], 1);
    EXPECT_TRUE(info.contains("references") && info.contains("size")) << info;
}

TEST_F(CliTest, StatesAreCountedAndKilled) {
    start();
    ipfw("-q add 100 allow tcp from any to any keep-state");
    for (int i = 0; i < 3; ++i)
        make_state(100);
    EXPECT_EQ(ipfw("state count").out, "3\n");
    EXPECT_EQ(json("state count rule 7 --json"),
              Json({{"schema", "sluice/state-count/1"}, {"states", 0}}));
    const Json states = json("state list --json");
    EXPECT_EQ(states["schema"], "sluice/states/1");
    EXPECT_EQ(states["states"].size(), 3u);
    EXPECT_EQ(states["states"][0]["source"], "10.0.0.1");
    EXPECT_EQ(states["states"][0]["expires_seconds"], 300);
    const Output none = ipfw("state kill rule 7");
    EXPECT_EQ(none.out, "0 states killed.\n");
    EXPECT_EQ(none.err, "ipfw: no dynamic rules of rule 7\n");
    EXPECT_EQ(none.status, ExitStatus::unavailable);
    EXPECT_EQ(status("-f state kill rule 7"), 0);
    EXPECT_EQ(ipfw("-q state kill rule 7").out + ipfw("-q state kill rule 7").err, "");
    EXPECT_EQ(ipfw("state kill rule 100").out, "3 states killed.\n");
    EXPECT_EQ(ipfw("state kill").out, "0 states killed.\n");  // nobody is there to be asked
    EXPECT_EQ(status("state kill"), 0);
    make_state(100);
    EXPECT_EQ(ipfw("-q state kill").out, "");
    EXPECT_EQ(ipfw("state count").out, "0\n");
}

TEST_F(CliTest, KillingAllStatesOnATerminalIsAskedAbout) {
    start();
    ipfw("-q add 100 allow tcp from any to any keep-state");
    make_state(100);
    testing::internal::CaptureStdout();
    {
        const Terminal terminal("n\n");
        EXPECT_EQ(ipfw("state kill").out, "");
    }
    EXPECT_EQ(ipfw("state count").out, "1\n");
    {
        const Terminal terminal("");
        EXPECT_EQ(ipfw("state kill rule 100").out, "1 state killed.\n");
    }
    make_state(100);
    {
        const Terminal terminal("y\n");
        EXPECT_EQ(ipfw("state kill").out, "1 state killed.\n");
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "Are you sure? [yn] Are you sure? [yn] ");
}

// ---- Tables ------------------------------------------------------------------------------------

TEST_F(CliTest, TablesAreFilledAndListed) {
    start();
    EXPECT_EQ(ipfw("table 1 add 10.0.0.0/8 5 192.0.2.1 6").out,
              "added: 10.0.0.0/8 5\nadded: 192.0.2.1/32 6\n");
    const Output again = ipfw("table 1 add 10.1.2.3/8 7");
    EXPECT_EQ(again.out, "exists: 10.0.0.0/8 7\n");
    EXPECT_EQ(again.err, "ipfw: Adding record failed: record already exists\n");
    EXPECT_EQ(again.status, ExitStatus::os);
    EXPECT_EQ(ipfw("-q table 1 add 10.0.0.0/8 7").out, "");
    EXPECT_EQ(ipfw("table 1 list").out, "--- table(1), set(0) ---\n10.0.0.0/8 7\n192.0.2.1/32 6\n");
    EXPECT_EQ(ipfw("-i table 1 list").out,
              "--- table(1), set(0) ---\n10.0.0.0/8 0.0.0.7\n192.0.2.1/32 0.0.0.6\n");
    EXPECT_EQ(ipfw("table 1 lookup 10.9.9.9").out, "10.0.0.0/8 7\n");
    const Output gone = ipfw("table 1 delete 10.0.0.0/8 10.0.0.0/9");
    EXPECT_EQ(gone.out, "deleted: 10.0.0.0/8 0\nnotfound: 10.0.0.0/9 0\n");
    EXPECT_EQ(gone.err, "ipfw: Deleting record failed: record not found\n");
    EXPECT_EQ(ipfw("table 1 flush").out, "");
    EXPECT_EQ(ipfw("table 1 list").out, "--- table(1), set(0) ---\n");
}

TEST_F(CliTest, AnAtomicAddIsMadeAsAWhole) {
    start();
    ipfw("table 1 add 10.0.0.0/8");
    const Output refused = ipfw("table 1 atomic add 11.0.0.0/8 1 10.0.0.0/8 2 12.0.0.0/8 3");
    EXPECT_EQ(refused.out,
              "added(reverted): 11.0.0.0/8 1\nexists: 10.0.0.0/8 2\nignored: 12.0.0.0/8 3\n");
    EXPECT_EQ(refused.status, ExitStatus::os);
    EXPECT_EQ(ipfw("table 1 list").out, "--- table(1), set(0) ---\n10.0.0.0/8 0\n");
}

TEST_F(CliTest, TablesAreCreatedLockedAndDestroyed) {
    start();
    EXPECT_EQ(status("table web create type addr valtype skipto,fib limit 2"), 0);
    EXPECT_EQ(status("table web create"), 71);
    EXPECT_EQ(status("table web create type addr valtype skipto,fib missing"), 0);
    EXPECT_EQ(status("table web create type number missing"), 71);
    EXPECT_EQ(status("table web add 10.0.0.0/8 100,2"), 0);
    EXPECT_EQ(status("table web add 11.0.0.0/8 100"), 65);
    EXPECT_EQ(status("table web add 11.0.0.0/8 100,3"), 0);
    EXPECT_EQ(ipfw("table web add 12.0.0.0/8 1,1").err, "ipfw: Adding record failed: limit hit\n");
    EXPECT_EQ(status("table web lock"), 0);
    EXPECT_EQ(ipfw("table web delete 10.0.0.0/8").err,
              "ipfw: Deleting record failed: table is locked\n");
    EXPECT_EQ(status("table web unlock"), 0);
    EXPECT_EQ(status("table web modify limit 5"), 0);
    EXPECT_EQ(status("add 100 skipto tablearg ip from table(web) to any"), 0);
    const std::string info = ipfw("table web info").out;
    EXPECT_TRUE(
        info.starts_with("--- table(web), set(0) ---\n kindex: 0, type: addr\n"
                         " references: 1, valtype: skipto,fib\n"
                         " algorithm: addr:radix\n items: 2, size: "))
        << info;
    EXPECT_TRUE(info.ends_with("\n limit: 5\n")) << info;
    EXPECT_EQ(ipfw("table web destroy").err,
              "ipfw: failed to destroy table web: 1 rule names it\n");
    EXPECT_EQ(status("delete 100"), 0);
    EXPECT_EQ(status("table web destroy"), 0);
    EXPECT_EQ(ipfw("table all list").out, "");
}

TEST_F(CliTest, EveryTypeOfTableHasItsKeys) {
    start();
    ipfw("table i create type iface");
    ipfw("table n create type number");
    ipfw("table m create type mac");
    ipfw("table f create type flow:src-ip,proto,dst-port");
    EXPECT_EQ(ipfw("table i add em0 4").out, "added: em0 4\n");
    EXPECT_EQ(ipfw("table n add 0x50").out, "added: 80 0\n");
    EXPECT_EQ(ipfw("table m add 02:00:00:00:00:ff/40").out, "added: 02:00:00:00:00:00/40 0\n");
    EXPECT_EQ(ipfw("table f add 10.0.0.1,tcp,443 9").out, "added: 10.0.0.1,6,443 9\n");
    EXPECT_EQ(ipfw("table all list").out,
              "--- table(f), set(0) ---\n10.0.0.1,6,443 9\n"
              "--- table(i), set(0) ---\nem0 4\n"
              "--- table(m), set(0) ---\n02:00:00:00:00:00/40 0\n"
              "--- table(n), set(0) ---\n80 0\n");
    EXPECT_EQ(status("add deny ip from table(i) to any"), 69);
    EXPECT_EQ(status("add deny ip from any to any recv table(i)"), 0);
    EXPECT_EQ(status("table i swap n"), 71);
}

TEST_F(CliTest, ARuleFileChangesTablesAndRulesTogether) {
    start();
    ASSERT_EQ(status(file("table 5 add 10.0.0.0/8 200\n"
                          "add 100 skipto tablearg ip from table(5) to any\n"
                          "table 6 create type number\n")),
              0);
    EXPECT_EQ(ipfw("table 5 list").out, "--- table(5), set(0) ---\n10.0.0.0/8 200\n");
    // The last line fails: no line of it has happened.
    const Output failed =
        ipfw(file("table 5 add 11.0.0.0/8\nadd 200 deny ip from any to any\n"
                  "table 5 add 10.0.0.0/8\n"));
    EXPECT_EQ(failed.status, ExitStatus::os);
    EXPECT_EQ(failed.err, "Line 3: Adding record failed: record already exists\n");
    EXPECT_EQ(ipfw("table 5 list").out, "--- table(5), set(0) ---\n10.0.0.0/8 200\n");
    EXPECT_EQ(status("list 200"), 69);
}

TEST_F(CliTest, AFileIsLoadedByDifference) {
    start();
    ipfw("table bad create");
    ipfw("table bad add 10.0.0.0/8 0 11.0.0.0/8 0");
    EXPECT_EQ(
        ipfw("table bad load " + file("# bad people\n10.0.0.0/8\n\n2001:db8::/32 7  # six\n")).out,
        "loaded: 2 entries, 1 added, 0 changed, 1 removed\n");
    EXPECT_EQ(ipfw("table bad list").out,
              "--- table(bad), set(0) ---\n10.0.0.0/8 0\n2001:db8::/32 7\n");
    const std::string wrong = file("10.0.0.0/8\n  10.0.0.0/33\n");
    const Output refused = ipfw("table bad load " + wrong);
    EXPECT_EQ(refused.status, ExitStatus::data);
    EXPECT_EQ(refused.err, "ipfw: " + wrong +
                               ":2:3: bad prefix length in \"10.0.0.0/33\"; "
                               "expected 0 to 32\n");
    EXPECT_EQ(ipfw("table bad info").out.find("items: 2") == std::string::npos, false);
}

TEST_F(CliTest, EntriesHaveATimeToLive) {
    start();
    EXPECT_EQ(status("table 1 add 10.0.0.0/8 5 ttl 1h"), 0);
    EXPECT_EQ(status("table 1 add 11.0.0.0/8 ttl 90"), 0);
    EXPECT_EQ(status("table 1 add 12.0.0.0/8 ttl never"), 65);
    EXPECT_EQ(ipfw("-a table 1 list").out,
              "--- table(1), set(0) ---\n10.0.0.0/8 5 hits 0 ttl 3600\n"
              "11.0.0.0/8 0 hits 0 ttl 90\n");
}

}  // namespace
}  // namespace sluice::cli
