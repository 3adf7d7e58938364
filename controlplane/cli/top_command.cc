#include "controlplane/cli/top_command.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "controlplane/cli/client.h"
#include "controlplane/cli/filter_words.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/words.h"
#include "controlplane/log/log_line.h"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;
using Status = nlohmann::json;
using std::chrono::milliseconds;

constexpr char kUsage[] = "; usage: ipfw top [--once] [--json] [--interval SECONDS]";
constexpr milliseconds kShortestInterval{100};
constexpr milliseconds kLongestInterval{3600 * 1000};

// `2`, `0.5`
bool read_interval(std::string_view text, milliseconds& interval) {
    double seconds = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (problem != std::errc{} || end != text.data() + text.size() || !(seconds > 0) ||
        seconds * 1000 > static_cast<double>(kLongestInterval.count()))
        return false;
    interval = milliseconds(std::llround(seconds * 1000));
    return interval >= kShortestInterval;
}

double number(const Status& object, const char* key) {
    const auto at = object.is_object() ? object.find(key) : object.end();
    return at != object.end() && at->is_number() ? at->get<double>() : 0;
}

std::string text(const Status& object, const char* key) {
    const auto at = object.is_object() ? object.find(key) : object.end();
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

const Status& list(const Status& status, const char* key) {
    static const Status kNone = Status::array();
    const auto at = status.find(key);
    return at != status.end() && at->is_array() ? *at : kNone;
}

// A counter that went back was set to zero in between: that is no rate.
class Rates {
  public:
    explicit Rates(double seconds) : seconds_(seconds) {}
    double operator()(const Status& before, const Status& after, const char* key) const {
        return std::max(0.0, number(after, key) - number(before, key)) / seconds_;
    }

  private:
    double seconds_;
};

std::string rule_key(const Status& rule) {
    return std::to_string(static_cast<unsigned>(number(rule, "number"))) + " " + text(rule, "id");
}

Json rules_of(const Status& before, const Status& after, const Rates& rate) {
    std::map<std::string, const Status*> earlier;
    for (const Status& rule : list(before, "rules"))
        earlier[rule_key(rule)] = &rule;
    std::vector<Json> rules;
    for (const Status& rule : list(after, "rules")) {
        const auto known = earlier.find(rule_key(rule));
        const Status& then = known == earlier.end() ? rule : *known->second;
        rules.push_back({{"number", static_cast<unsigned>(number(rule, "number"))},
                         {"set", static_cast<unsigned>(number(rule, "set"))},
                         {"id", text(rule, "id")},
                         {"text", text(rule, "text")},
                         {"packets_per_second", rate(then, rule, "packets")},
                         {"bytes_per_second", rate(then, rule, "bytes")}});
    }
    std::stable_sort(rules.begin(), rules.end(), [](const Json& a, const Json& b) {
        return a["packets_per_second"].get<double>() > b["packets_per_second"].get<double>();
    });
    return rules;
}

Json ports_of(const Status& before, const Status& after, const Rates& rate) {
    Json ports = Json::array();
    const Status& then = list(before, "ports");
    for (const Status& port : list(after, "ports")) {
        const auto known = std::find_if(then.begin(), then.end(), [&](const Status& other) {
            return text(other, "name") == text(port, "name");
        });
        const Status& earlier = known == then.end() ? port : *known;
        ports.push_back({{"name", text(port, "name")},
                         {"rx_packets_per_second", rate(earlier, port, "rx_packets")},
                         {"rx_bytes_per_second", rate(earlier, port, "rx_bytes")},
                         {"tx_packets_per_second", rate(earlier, port, "tx_packets")},
                         {"tx_bytes_per_second", rate(earlier, port, "tx_bytes")},
                         {"rx_drops_per_second", rate(earlier, port, "rx_drops")}});
    }
    return ports;
}

Json workers_of(const Status& before, const Status& after, const Rates& rate) {
    Json workers = Json::array();
    const Status &then = list(before, "workers"), &now = list(after, "workers");
    for (std::size_t i = 0; i < now.size(); ++i) {
        const Status& earlier = i < then.size() ? then[i] : now[i];
        workers.push_back({{"worker", i},
                           {"turns_per_second", rate(earlier, now[i], "turns")},
                           {"bursts_per_second", rate(earlier, now[i], "bursts")}});
    }
    return workers;
}

// ---- The table
// -----------------------------------------------------------------------------------

std::string padded(std::string word, std::size_t width) {
    if (word.size() < width)
        word.insert(0, width - word.size(), ' ');
    return word;
}

std::string left(std::string word, std::size_t width) {
    if (word.size() < width)
        word.append(width - word.size(), ' ');
    return word;
}

std::string figure(const Json& object, const char* key, double times = 1) {
    return padded(short_figure(object.at(key).get<double>() * times), 9);
}

constexpr double kBits = 8;

void add_ports(const Json& rates, std::vector<std::string>& lines) {
    lines.push_back("PORT              RX PKT/S RX BIT/S TX PKT/S TX BIT/S   DROP/S");
    for (const Json& port : rates.at("ports"))
        lines.push_back(
            left(log::printable(port.at("name").get<std::string>()), 16) +
            figure(port, "rx_packets_per_second") + figure(port, "rx_bytes_per_second", kBits) +
            figure(port, "tx_packets_per_second") + figure(port, "tx_bytes_per_second", kBits) +
            figure(port, "rx_drops_per_second"));
}

void add_workers(const Json& rates, std::vector<std::string>& lines) {
    lines.push_back("WORKER             TURNS/S BURSTS/S");
    for (const Json& worker : rates.at("workers"))
        lines.push_back(left(std::to_string(worker.at("worker").get<unsigned>()), 16) +
                        figure(worker, "turns_per_second") + figure(worker, "bursts_per_second"));
}

void add_rules(const Json& rates, std::vector<std::string>& lines) {
    lines.push_back("RULE   SET     PKT/S    BIT/S  TEXT");
    for (const Json& rule : rates.at("rules")) {
        char number[16];
        std::snprintf(number, sizeof number, "%05u", rule.at("number").get<unsigned>());
        lines.push_back(
            std::string(number) + padded(std::to_string(rule.at("set").get<unsigned>()), 5) +
            figure(rule, "packets_per_second") + figure(rule, "bytes_per_second", kBits) + "  " +
            log::printable(rule.at("text").get<std::string>()));
    }
}

// ---- Running
// -------------------------------------------------------------------------------------

ExitStatus fail(const Error& error) {
    Output output;
    output.complain(error.message);
    std::fwrite(output.err.data(), 1, output.err.size(), stderr);
    return error.status;
}

struct Sample {
    std::string status;
    std::chrono::steady_clock::time_point at;
};

Result<Sample> sample() {
    service::Request request;
    request.operations.push_back({.line = 0, .forgive = false, .what = service::StatusOperation{}});
    Result<service::Response> answer = exchange(control_socket_path(), request);
    if (!answer)
        return answer.error();
    if (answer->status != ExitStatus::ok)
        return Error{answer->status, answer->message};
    if (answer->results.size() != 1 || answer->results.front().lines.size() != 1)
        return Error{ExitStatus::software,
                     "sluice-controlplane answers something else than it was asked"};
    return Sample{.status = std::move(answer->results.front().lines.front()),
                  .at = std::chrono::steady_clock::now()};
}

// False: a signal has come meanwhile, which ends the command.
bool wait_for(milliseconds time, const sigset_t& signals) {
    const timespec pause{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    return sigtimedwait(&signals, nullptr, &pause) < 0;
}

Screen screen_of(bool terminal) {
    winsize size{};
    if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2)
        return {};
    return {.rows = size.ws_row - 1u, .columns = size.ws_col};
}

// On a terminal each table is written over the one before, line by line, so that nothing flickers.
std::string shown(const Json& rates, const TopCommand& command) {
    if (command.json)
        return rates.dump(command.once ? 2 : -1, ' ', false, Json::error_handler_t::replace) + "\n";
    const bool over = !command.once && isatty(STDOUT_FILENO) == 1;
    std::string text = over ? "\x1b[H" : "";
    for (const std::string& line : top_table(rates, screen_of(isatty(STDOUT_FILENO) == 1)))
        text += line + (over ? "\x1b[K\n" : "\n");
    return text + (over ? "\x1b[J" : command.once ? "" : "\n");
}

}  // namespace

bool is_top_command(std::span<const std::string> arguments) {
    return !arguments.empty() && arguments.front() == "top";
}

Result<TopCommand> parse_top_command(std::span<const std::string> arguments) {
    TopCommand command;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (word == "--once") {
            command.once = true;
        } else if (word == "--json") {
            command.json = true;
        } else if (word == "--interval") {
            const std::string value = ++i < arguments.size() ? arguments[i] : "";
            if (!read_interval(value, command.interval))
                return Error{ExitStatus::data, "bad argument " + language::quote(value) +
                                                   " of --interval; expected seconds from 0.1 to "
                                                   "3600"};
        } else {
            return Error{ExitStatus::usage, "unexpected word " + language::quote(word) + kUsage};
        }
    }
    return command;
}

Result<Json> rates_between(std::string_view before, std::string_view after, double seconds) {
    const Status then = Status::parse(before, nullptr, false);
    const Status now = Status::parse(after, nullptr, false);
    if (!then.is_object() || !now.is_object() || text(now, "schema") != "sluice/status/1" ||
        !(seconds > 0))
        return Error{ExitStatus::software, "sluice-controlplane tells no status"};
    const Rates rate(seconds);
    Json rates = {{"schema", "sluice/top/1"},
                  {"time_s", now.value("time_s", Status(0))},
                  {"interval_seconds", seconds},
                  {"dataplane", now.value("dataplane", Status(false))},
                  {"generation", now.value("generation", Status(0))},
                  {"states", nullptr},
                  {"ports", ports_of(then, now, rate)},
                  {"workers", workers_of(then, now, rate)},
                  {"rules", rules_of(then, now, rate)}};
    if (const auto states = now.find("states"); states != now.end() && states->is_object()) {
        const Status& earlier = then.contains("states") ? then.at("states") : *states;
        rates["states"] = {
            {"count", states->value("count", Status(0))},
            {"most", states->value("most", Status(0))},
            {"made_per_second", earlier.is_object() ? rate(earlier, *states, "made") : 0.0}};
    }
    return rates;
}

std::vector<std::string> top_table(const Json& rates, Screen screen) {
    std::vector<std::string> lines;
    std::string head = "generation " + rates.at("generation").dump();
    if (const Json& states = rates.at("states"); states.is_object())
        head += ", " + states.at("count").dump() + " of " + states.at("most").dump() + " states, " +
                short_figure(states.at("made_per_second").get<double>()) + " made a second";
    if (rates.at("dataplane") != true)
        head = "sluice-dataplane is not connected: nothing is filtered, and nothing counted";
    lines.push_back(head);
    if (!rates.at("ports").empty())
        add_ports(rates, lines);
    if (!rates.at("workers").empty())
        add_workers(rates, lines);
    add_rules(rates, lines);
    if (screen.rows != 0 && lines.size() > screen.rows)
        lines.resize(screen.rows);
    if (screen.columns != 0)
        for (std::string& line : lines)
            line = line.substr(0, screen.columns);
    return lines;
}

std::string short_figure(double value) {
    constexpr std::string_view kUnits = " kMGTPE";
    if (value < 0.05)
        return "0";
    std::size_t unit = 0;
    // What would be rounded to 1000 belongs to the next unit.
    for (; value >= 999.5 && unit + 1 < kUnits.size(); value /= 1000)
        ++unit;
    char text[32];
    const int digits = value < 9.995 && unit != 0 ? 2 : value < 99.95 ? 1 : 0;
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return std::string(text) + (unit == 0 ? "" : std::string(1, kUnits[unit]));
}

ExitStatus run_top_command(std::span<const std::string> arguments) {
    const Result<TopCommand> command = parse_top_command(arguments);
    if (!command)
        return fail(command.error());
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    Result<Sample> before = sample();
    if (!before)
        return fail(before.error());
    if (!command->once && !command->json && isatty(STDOUT_FILENO) == 1)
        std::fputs("\x1b[2J", stdout);
    do {
        if (!wait_for(command->interval, signals))
            return ExitStatus::ok;
        Result<Sample> after = sample();
        if (!after)
            return fail(after.error());
        const std::chrono::duration<double> taken = after->at - before->at;
        const Result<Json> rates = rates_between(before->status, after->status, taken.count());
        if (!rates)
            return fail(rates.error());
        const std::string text = shown(*rates, *command);
        if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
            std::fflush(stdout) != 0) {
            std::perror("ipfw: standard output");
            return ExitStatus::os;
        }
        before = std::move(after);
    } while (!command->once);
    return ExitStatus::ok;
}

}  // namespace sluice::cli
